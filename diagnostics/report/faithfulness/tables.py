"""What was found of whether maps can be trusted: badges, sentences, numbers and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import text as words
from diagnostics.report.render import Scale
from diagnostics.report.table import Cell, Table
from diagnostics.schema.request import Result

Entry = Mapping[str, Any]

EXPLAINED = (
    "Random weights: rank correlation of the map with that of a copy whose last layer (head), or "
    "whose every weight (all), was shuffled; near 1 the map says little of the weights, near 0 is "
    "better. Random maps: how many of them the map beats when the cells it ranks first are put "
    "back (insertion) or taken away (deletion), on two fills; more is better. Every verdict rests "
    "on its one image."
)
NAMES = {"trust": "Trust", "doubt": "Doubt", "can't tell": "Can't tell"}
FILLS = ("mean", "blur")
MAPS = {"map": "the map", "head": "last layer random", "all": "all weights random"}


def badges(images: Sequence[Entry], scores: Entry) -> list[Cell]:
    """Return each image's verdict with its figures, in the order of the columns.

    Args:
        images: The images' entries of the answer that drew the maps.
        scores: What `faithfulness/trust` answered.
    """
    waiting = list(scores["images"])
    cells = []
    for image in images:
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif waiting and waiting[0]["file"] == image["file"]:
            cells.append(_badge(waiting.pop(0)))
        else:
            cells.append(Cell(empty="Not examined."))
    return cells


def _badge(one: Entry) -> Cell:
    """Return a verdict with the figures that speak for it, and as sentences what does not."""
    told = one["criteria"]
    return Cell(
        answer=NAMES[one["verdict"]],
        notes=tuple(_short(said, one) for said in told if said["status"] == "for"),
        warnings=tuple(said["said"] for said in told if said["status"] != "for"),
    )


def _short(said: Entry, one: Entry) -> str:
    """Return a criterion's figures without its sentence."""
    if said["name"] == "weights":
        weights = one["weights"]
        shown = [
            f"{words.signed(sorted(weights[part])[len(weights[part]) // 2])} {part}"
            for part in ("head", "all")
            if weights[part]
        ]
        return f"random weights: {', '.join(shown)}" if shown else said["said"]
    if said["name"] == "removal":
        shown = [
            f"{fill} {_won(one, fill, 'insertion')} + {_won(one, fill, 'deletion')}"
            for fill in FILLS
        ]
        return f"beats random maps: {', '.join(shown)} of {one['removal'][FILLS[0]]['random']}"
    if said["name"] == "seeds":
        values = one["seeds"]
        return f"between seeds: {words.signed(sorted(values)[len(values) // 2])}"
    if said["name"] == "sum":
        return f"sums to {words.signed(one['sum'])} of {words.signed(one['rise'])} logits"
    text: str = said["said"]
    return text


def _won(one: Entry, fill: str, curve: str) -> int:
    found = one["removal"][fill]
    return round(float(found[f"beats_{curve}"]) * int(found["random"]))


def reasons(scores: Entry) -> Table:
    """Return every image's reasons as sentences."""
    rows = tuple(
        {
            "image": one["file"],
            "class": one["class"],
            "verdict": NAMES[one["verdict"]],
            "speaks": said["status"] if said["status"] != "open" else "neither way",
            "reason": said["said"],
        }
        for one in scores["images"]
        for said in one["criteria"]
    )
    return Table(rows, title=f"{scores['title']}: can this map be trusted?")


def headline(scores: Entry) -> str:
    """Count the verdicts."""
    found = [one["verdict"] for one in scores["images"]]
    counted = [f"{name} {found.count(key)}" for key, name in NAMES.items() if key in found]
    return f"{', '.join(counted)} of {words.counted(len(found), 'map')}"


def lines(scores: Entry) -> list[str]:
    """Return verdicts and reasons for the command line."""
    said = []
    for one in scores["images"]:
        said.append(f"{one['file']}: {one['class']}, {NAMES[one['verdict']].lower()}")
        said += [f"  {reason['status']:8} {reason['said']}" for reason in one["criteria"]]
    return [*said, *(f"note: {note}" for note in scores["notes"])]


def drawn(result: Result) -> dict[str, NDArray[np.uint8]]:
    """Return the maps, and those of the random networks, as pictures by their arrays' names."""
    found = {}
    for place, one in enumerate(result.scores["images"]):
        for name in MAPS:
            values = result.arrays.get(f"{place}/{name}")
            if values is not None:
                scale = Scale.of_most(values, signed=one["signed"])
                found[f"{place}/{name}"] = scale.colour(values)
    return found
