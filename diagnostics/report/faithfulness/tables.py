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
    TrustAnswer,
    TrustEntry,
)
from diagnostics.schema.results.inspection import ImageEntry
from diagnostics.text import counted, signed

EXPLAINED = (
    "Model: whether its last layer tells images apart better than with its weights shuffled; a "
    "network that nobody trained does not, and none of its maps is trusted. Random weights: rank "
    "correlation of the map with that of a copy whose last layer (head), later half, or every "
    "weight (all) was shuffled, and of such copies with one another (floor); near 1 the map says "
    "little of the weights. Null maps: how many maps that know nothing of this model, or nothing "
    "of this image, it beats when the cells it ranks first are put back or taken away, on two "
    "fills. Every verdict rests on its one image."
)
NAMES = {"trust": "Trust", "doubt": "Doubt", "can't tell": "Can't tell"}
MAPS = ("map", "head", "upper", "all")  # arrays that are drawn


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
    if name == "model":
        layer = evaluation["last_layer"]
        ratio = layer["spread"] / max(median_high(layer["shuffled"]), 1e-12)
        return f"model: logits vary {ratio:.2g} × as much as with its last layer shuffled"
    if name == "randomization":
        correlations = evaluation["randomization"]
        parts = {
            "head": correlations["head"]["copies"],
            "later half": correlations["upper"]["copies"],
            "all": correlations["all"]["copies"],
            "floor": correlations["all"]["floor"],
        }
        medians = [f"{signed(median_high(each))} {part}" for part, each in parts.items() if each]
        return f"random weights: {', '.join(medians)}"
    if name == "insertion_deletion":
        n = sum(map(len, evaluation["insertion_deletion"]["mean"]["nulls"].values()))
        return f"beats all {n} null maps"
    if name == "seeds":
        return f"between seeds: {signed(median_high(evaluation['seed_correlations']))}"
    if name == "completeness" and evaluation["sum"] is not None and evaluation["rise"] is not None:
        return f"sums to {signed(evaluation['sum'])} of {signed(evaluation['rise'])} logits"
    return criterion["reason"]


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
