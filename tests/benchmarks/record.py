"""What was measured, part by part, in a file: figures, when, and on what machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

from tests.benchmarks.figure import Figure

PACKAGES = ("torch", "torchvision", "onnxruntime", "streamlit")


class Machine(TypedDict):
    """What the figures of a part were taken on.

    Args:
        processor: Its model.
        cores: How many this process may use.
        load: How many processes wanted a core before the first part began; figures of a calm
            machine have a load near zero.
        versions: Of Python and of what computes.
    """

    processor: str
    cores: int
    load: float
    versions: dict[str, str]


class PartRecord(TypedDict):
    """What one part gave.

    Args:
        date: When it was measured, as 2026-11-30.
        machine: On what.
        figures: In the order in which they were taken.
        failure: Why it ended before its end; empty where it did not.
    """

    date: str
    machine: Machine
    figures: list[dict[str, Any]]
    failure: str


Record = dict[str, PartRecord]


def read(path: Path) -> Record:
    """Return what a file holds; nothing where there is none."""
    if not path.exists():
        return {}
    parts: Record = json.loads(path.read_text("utf-8"))["parts"]
    return parts


def write(path: Path, record: Mapping[str, PartRecord]) -> None:
    """Replace the file, in one go, so that it is whole whenever a run is ended."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".part")
    parts = {name: record[name] for name in sorted(record)}
    unfinished.write_text(json.dumps({"parts": parts}, indent=1) + "\n", "utf-8")
    unfinished.replace(path)


def part_record(figures: Sequence[Figure], machine: Machine, failure: str = "") -> PartRecord:
    """Return what is written of a part."""
    today = datetime.now(UTC).date().isoformat()
    rows = [{**asdict(figure), "kept": figure.kept} for figure in figures]
    return PartRecord(date=today, machine=machine, figures=rows, failure=failure)


def figures(part: PartRecord) -> list[Figure]:
    """Return the figures of a part that was written."""
    return [
        Figure(**{name: value for name, value in row.items() if name != "kept"})
        for row in part["figures"]
    ]


def this_machine() -> Machine:
    """Return what is measured on, without anything that names it."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 2),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
