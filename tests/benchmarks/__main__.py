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

from tests.benchmarks import (
    attack_speed,
    attribution_speed,
    gates_speed,
    inspection_speed,
    random_speed,
    reference_speed,
    serving_memory,
    serving_speed,
    sharing_speed,
    sufficient_pixels_speed,
)

LATEST = Path("benchmarks/latest.json")


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, the value, the limit it should keep, and its unit.

    A figure in "x faster" should be at least its limit, every other at most.
    """

    what: str
    value: float
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.value >= self.limit if self.faster else self.value <= self.limit

    @property
    def faster(self) -> bool:
        return self.unit == "x faster"


def paired(ours: Callable[[], object], other: Callable[[], object], rounds: int = 15) -> float:
    """Return the median of ours / other, each pair measured back to back."""
    ratios = []
    for run in (ours, other) * (2 if rounds > 5 else 1):
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
    measured = (
        *inspection_speed.figures(paired),
        *attribution_speed.figures(paired),
        *gates_speed.figures(paired),
        *attack_speed.figures(),
        *random_speed.figures(paired),
        *reference_speed.figures(),
        *serving_speed.figures(),
        *serving_memory.figures(),
        *sharing_speed.figures(),
        *sufficient_pixels_speed.figures(),
    )
    rows = [Row(*figure) for figure in measured]
    for row in rows:
        mark = "ok  " if row.kept else "OVER"
        bound = "at least" if row.faster else "at most"
        print(f"{mark} {row.value:8.2f} {row.unit:8} {bound:8} {row.limit:<5g} {row.what}")
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
