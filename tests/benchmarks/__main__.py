"""Run every benchmark, print a table, and write benchmarks/latest.json."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import serving_speed, torch_speed

LATEST = Path("benchmarks/latest.json")


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, the value, the limit it should keep, and its unit."""

    what: str
    value: float
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.value <= self.limit


def paired(ours: Callable[[], object], other: Callable[[], object], rounds: int = 15) -> float:
    """Return the median of ours / other, each pair measured back to back."""
    ratios = []
    for run in (ours, other, ours, other):
        run()
    for _ in range(rounds):
        ratios.append(_seconds(ours) / _seconds(other))
    return statistics.median(ratios)


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> int:
    """Measure, print, write; the exit code says whether every limit was kept."""
    rows = [Row(*figure) for figure in (*torch_speed.figures(paired), *serving_speed.figures())]
    for row in rows:
        mark = "ok  " if row.kept else "OVER"
        print(f"{mark} {row.value:8.2f} {row.unit:6} at most {row.limit:g}  {row.what}")
    machine = {
        "python": platform.python_version(),
        "processor": platform.machine(),
        **{name: version(name) for name in ("torch", "torchvision", "streamlit")},
    }
    LATEST.parent.mkdir(exist_ok=True)
    content = {"machine": machine, "figures": [{**asdict(row), "kept": row.kept} for row in rows]}
    LATEST.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
