"""Whether maps can be trusted: badges, sentences and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_high
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report.render import Scale
from diagnostics.report.table import Cell, Table
from diagnostics.schema.results.faithfulness import (
    CriterionEntry,
    Evaluation,
    InsertionDeletion,
    TrustAnswer,
    TrustEntry,
)
from diagnostics.schema.results.inspection import ImageEntry
from diagnostics.text import counted, signed

EXPLAINED = (
    "Random weights: rank correlation of the map with that of a copy whose last layer (head), or "
    "whose every weight (all), was shuffled; near 1 the map says little of the weights, near 0 is "
    "better. Random maps: how many of them the map beats when the cells it ranks first are put "
    "back (insertion) or taken away (deletion), on two fills; more is better. Every verdict rests "
    "on its one image."
)
NAMES = {"trust": "Trust", "doubt": "Doubt", "can't tell": "Can't tell"}
MAPS = ("map", "head", "all")  # arrays that are drawn


def badges(images: Sequence[ImageEntry], answer: TrustAnswer) -> list[Cell]:
    """Return each image's verdict with its figures, in the order of the columns.

    Args:
        images: The images' entries of the answer that drew the maps.
        answer: What `faithfulness/trust` answered.
    """
    waiting = list(answer["images"])
    cells = []
    for image in images:
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif waiting and waiting[0]["file"] == image["file"]:
            cells.append(_badge(waiting.pop(0)))
        else:
            cells.append(Cell(empty="Not examined."))
    return cells


def _badge(entry: TrustEntry) -> Cell:
    """Return a verdict with the figures that speak for it, and as sentences what does not."""
    evaluation, criteria = entry["evaluation"], entry["criteria"]
    return Cell(
        answer=NAMES[entry["verdict"]],
        notes=tuple(
            _figures(criterion, evaluation) if evaluation else criterion["reason"]
            for criterion in criteria
            if criterion["status"] == "for"
        ),
        warnings=tuple(
            criterion["reason"] for criterion in criteria if criterion["status"] != "for"
        ),
    )


def _figures(criterion: CriterionEntry, evaluation: Evaluation) -> str:
    """Return a criterion's figures without its sentence."""
    name = criterion["name"]
    if name == "randomization":
        correlations = evaluation["randomization"]
        parts = {"head": correlations["head"], "all": correlations["all"]}
        medians = [f"{signed(median_high(parts[part]))} {part}" for part in parts if parts[part]]
        return f"random weights: {', '.join(medians)}"
    if name == "insertion_deletion":
        fills = evaluation["insertion_deletion"]
        wins = ", ".join(f"{fill} {_wins(areas)}" for fill, areas in fills.items())
        return f"beats random maps: {wins} of {fills['mean']['random_maps']}"
    if name == "seeds":
        return f"between seeds: {signed(median_high(evaluation['seed_correlations']))}"
    if name == "completeness" and evaluation["sum"] is not None and evaluation["rise"] is not None:
        return f"sums to {signed(evaluation['sum'])} of {signed(evaluation['rise'])} logits"
    return criterion["reason"]


def _wins(areas: InsertionDeletion) -> str:
    rates = (areas["insertion_win_rate"], areas["deletion_win_rate"])
    inserted, deleted = (round(rate * areas["random_maps"]) for rate in rates)
    return f"{inserted} + {deleted}"


def reasons(answer: TrustAnswer) -> Table:
    """Return every image's reasons as sentences."""
    rows = tuple(
        {
            "image": entry["file"],
            "class": entry["class_name"],
            "verdict": NAMES[entry["verdict"]],
            "speaks": "neither way" if criterion["status"] == "open" else criterion["status"],
            "reason": criterion["reason"],
        }
        for entry in answer["images"]
        for criterion in entry["criteria"]
    )
    return Table(rows, title=f"{answer['title']}: can this map be trusted?")


def headline(answer: TrustAnswer) -> str:
    """Count the verdicts."""
    verdicts = [entry["verdict"] for entry in answer["images"]]
    counts = {name: sum(verdict == key for verdict in verdicts) for key, name in NAMES.items()}
    listed = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"{listed} of {counted(len(verdicts), 'map')}"


def lines(answer: TrustAnswer) -> list[str]:
    """Return verdicts and reasons for the command line."""
    texts = []
    for entry in answer["images"]:
        verdict = NAMES[entry["verdict"]].lower()
        texts.append(f"{entry['file']}: {entry['class_name']}, {verdict}")
        texts += [
            f"  {criterion['status']:8} {criterion['reason']}" for criterion in entry["criteria"]
        ]
    return [*texts, *(f"note: {note}" for note in answer["notes"])]


def pictures(
    answer: TrustAnswer, arrays: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[np.uint8]]:
    """Return the maps, and those of the random networks, as pictures by their arrays' names."""
    images = {}
    for index, entry in enumerate(answer["images"]):
        for name in MAPS:
            values = arrays.get(f"{index}/{name}")
            if values is not None:
                scale = Scale.of_most(values, signed=entry["signed"])
                images[f"{index}/{name}"] = scale.colour(values)
    return images
