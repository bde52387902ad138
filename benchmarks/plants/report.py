"""The rows of a run as a file, and as the tables of docs/why-benchmark.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.plants.score import Row, bars, share
from diagnostics.verdict.causes import ORDER

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "benchmarks" / "why.json"
HEADS = {
    "A": "World A, on which the rule was chosen",
    "B": "World B, on which it was chosen too",
    "C": "World C, only reported on",
}


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
    lines = json.dumps(record).replace("}, {", "},\n{")  # an image a line
    path.write_text(lines + "\n", encoding="utf-8")


def read(path: Path) -> list[Row]:
    """Return the rows of a file; none where there is no file."""
    if not path.exists():
        return []
    return [Row(**one) for one in json.loads(path.read_text(encoding="utf-8"))["images"]]


def tables(path: Path = FIGURES) -> str:
    """Return the tables of every world in a file, as markdown."""
    rows = read(path)
    parts = [] if rows else ["Not measured yet."]
    for world in sorted({one.world for one in rows}, reverse=True):
        of_world = [one for one in rows if one.world == world]
        parts += [
            f"## {HEADS[world]}",
            *_bars(of_world),
            *_causes(of_world),
            *_spared(of_world),
            _passes(of_world),
        ]
    return "\n\n".join(parts) + "\n"


def _bars(rows: Sequence[Row]) -> list[str]:
    lines = ["| bar | measured | limit | kept |", "| --- | ---: | ---: | --- |"]
    for bar in bars(rows):
        limit = f"{'≤' if bar.at_most else '≥'} {bar.limit:.0%}"
        kept = "yes" if bar.kept else "**no**" if bar.share.n else "not measured"
        lines.append(f"| {bar.name} | {bar.share} | {limit} | {kept} |")
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
        first = share(found, lambda one: one.mark == "first")
        cells = [f"`{truth}`", str(first), *counts, _named(found)]
        lines.append(f"| {' | '.join(cells)} |")
    return ["\n".join(lines)] if planted else []


def _spared(rows: Sequence[Row]) -> list[str]:
    lines = ["| nothing planted | accused | trusted | what came first |"]
    lines += ["| --- | ---: | ---: | --- |"]
    for kind in ("healthy", "innocent"):
        found = [one for one in rows if one.kind == kind]
        accused = share(found, lambda one: one.mark == "accused")
        trusted = share(found, lambda one: one.verdict == "trust")
        cells = [kind, str(accused), str(trusted), _named(found)]
        lines.append(f"| {' | '.join(cells)} |")
    return ["\n".join(lines)]


def _passes(rows: Sequence[Row]) -> str:
    passes = [one.passes for one in rows]
    return (
        f"The median image took {median(passes):,.0f} passes of the network and the dearest "
        f"{max(passes):,.0f}, its share of what is asked of the model once included."
    )


def _named(rows: Sequence[Row]) -> str:
    counts = Counter(one.named for one in rows)
    return ", ".join(f"`{name}` {n}" for name, n in counts.most_common())


def matrix(rows: Sequence[Row]) -> list[str]:
    """Return lines of truth, named and how often, for a terminal."""
    pairs = Counter((one.kind, one.truth, one.named) for one in rows)
    return [
        f"{kind:8} {truth:27} {named:27} {n:3}" for (kind, truth, named), n in sorted(pairs.items())
    ]
