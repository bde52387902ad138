"""The tables of docs/benchmarks.md, made from what was measured last."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import record
from tests.benchmarks.figure import Figure, number
from tests.benchmarks.record import PartRecord
from tests.benchmarks.runner import described

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SPEED, RATES = FOLDER / "latest.json", FOLDER / "rates.json"


def speed() -> str:
    """Return the tables of `make bench`, a part after the other."""
    return _tables(SPEED)


def rates() -> str:
    """Return the tables of `make rates`."""
    return _tables(RATES)


def _tables(path: Path) -> str:
    parts = record.read(path)
    return "\n".join(_table(name, part) for name, part in parts.items()) or "Not measured yet.\n"


def _table(name: str, part: PartRecord) -> str:
    failure = f" It failed: {part['failure']}" if part["failure"] else ""
    lines = [
        f"**{name}**, {part['date']}; {described(part['machine'])}.{failure}",
        "",
        "| what | figure | spread | should be | how |",
        "| --- | ---: | --- | --- | --- |",
        *map(_row, record.figures(part)),
    ]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    bound = figure.bound if figure.kept else f"{figure.bound}: **missed**"
    value = f"{number(figure.value)} {figure.unit}".strip()
    cells = (figure.what, value, figure.spread, bound, figure.conditions)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
