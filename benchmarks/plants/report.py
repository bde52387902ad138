"""The rows of a run as a file, and as the tables of docs/why-benchmark.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.plants.score import Row, bars, shown
from diagnostics.verdict.causes import ORDER

ROOT = Path(__file__).resolve().parents[2]
FIGURES, PAGE = ROOT / "benchmarks" / "why.json", ROOT / "docs" / "why-benchmark.md"
BEGIN, END = "<!-- why: begin -->", "<!-- why: end -->"
HEADS = {"A": "World A, on which thresholds were chosen", "B": "World B, only reported"}


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the rows and the bars of each world."""
    worlds = sorted({one.world for one in rows})
    record = {
        "schema": 1,
        "bars": {
            world: [asdict(bar) for bar in bars([one for one in rows if one.world == world])]
            for world in worlds
        },
        "images": [asdict(one) for one in rows],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: Path = FIGURES) -> list[Row]:
    """Return the rows of a file."""
    return [Row(**one) for one in json.loads(path.read_text(encoding="utf-8"))["images"]]


def tables(rows: Sequence[Row]) -> str:
    """Return the tables of every world in the rows, as markdown."""
    parts = []
    for world in sorted({one.world for one in rows}, reverse=True):
        of_world = [one for one in rows if one.world == world]
        parts += [f"## {HEADS[world]}", *_bars(of_world), *_causes(of_world), *_spared(of_world)]
    return "\n\n".join(parts) + "\n"


def _bars(rows: Sequence[Row]) -> list[str]:
    lines = ["| bar | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    for bar in bars(rows):
        limit = f"{'≤' if bar.at_most else '≥'} {bar.limit:.0%}"
        kept = "yes" if bar.kept else "**no**" if bar.n else "not measured"
        lines.append(f"| {bar.name} | {shown(bar.hits, bar.n)} | {limit} | {kept} |")
    return ["\n".join(lines)]


def _causes(rows: Sequence[Row]) -> list[str]:
    planted = [one for one in rows if one.kind == "plant"]
    lines = [
        "| planted | named first | second | wrong cause | can't tell | excused | what came first |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for truth in sorted({one.truth for one in planted}, key=ORDER.__getitem__):
        found = [one for one in planted if one.truth == truth]
        marks = Counter(one.mark for one in found)
        counts = [str(marks[mark]) for mark in ("second", "wrong", "abstained", "excused")]
        cells = [f"`{truth}`", shown(marks["first"], len(found)), *counts, _named(found)]
        lines.append(f"| {' | '.join(cells)} |")
    return ["\n".join(lines)] if planted else []


def _spared(rows: Sequence[Row]) -> list[str]:
    lines = ["| nothing planted | accused | trusted | what came first |"]
    lines += ["| --- | ---: | ---: | --- |"]
    for kind in ("healthy", "innocent"):
        found = [one for one in rows if one.kind == kind]
        accused = sum(one.mark == "accused" for one in found)
        trusted = sum(one.verdict == "trust" for one in found)
        cells = [kind, shown(accused, len(found)), shown(trusted, len(found)), _named(found)]
        lines.append(f"| {' | '.join(cells)} |")
    return ["\n".join(lines)]


def _named(rows: Sequence[Row]) -> str:
    counts = Counter(one.named for one in rows)
    return ", ".join(f"`{name}` {n}" for name, n in counts.most_common())


def matrix(rows: Sequence[Row]) -> list[str]:
    """Return lines of truth, named and how often, for a terminal."""
    pairs = Counter((one.kind, one.truth, one.named) for one in rows)
    return [
        f"{kind:8} {truth:27} {named:27} {n:3}" for (kind, truth, named), n in sorted(pairs.items())
    ]


def write_page(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Put the tables between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(rows)}\n{END}{after}", encoding="utf-8")
