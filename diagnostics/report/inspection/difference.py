"""How every image differs from the pinned one, row by row: rows of their own, the first empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures
from diagnostics.report.inspection.answers import Arrays
from diagnostics.report.inspection.layers import layer_entry
from diagnostics.report.render import Picture, Scale
from diagnostics.report.table import Cell
from diagnostics.schema.request import STRONGEST, Result
from diagnostics.schema.results.inspection import (
    ImageEntry,
    InspectAnswer,
    LayerEntry,
    StageEntry,
)
from diagnostics.text import number

OTHER_CLASS = "This map explains another class than the pinned image's, so nothing is subtracted."
STRONGEST_CLASS = (
    "Each map subtracts its image's own strongest other class, so none can be compared."
)
OTHER_SHAPE = "The pinned image gives other maps or another shape, so nothing is subtracted."


def network_inputs(images: Sequence[ImageEntry], arrays: Arrays) -> list[Cell]:
    """What enters the network of each image, minus what enters of the first."""

    def cell(index: int) -> Cell:
        first, other = images[0]["preprocessing"][-1], images[index]["preprocessing"][-1]
        before, after = arrays[f"0/{first['picture']}"], arrays[f"{index}/{other['picture']}"]
        if before.shape != after.shape:
            return Cell(empty=OTHER_SHAPE)
        signed: StageEntry = {**other, "signed": True}
        return _cell(
            [pictures.stage(signed, after - before, _names(images, index))], after - before
        )

    return _row(images, cell)


def heatmaps(answer: Result) -> list[Cell]:
    """Each image's map of where the network looked, minus the first image's."""
    scores: InspectAnswer = answer.scores
    images, arrays = scores["images"], answer.arrays

    def cell(index: int) -> Cell:
        first, other = images[0]["attributions"][0], images[index]["attributions"][0]
        if not first["array"] or not other["array"]:
            return Cell(empty=first["note"] or other["note"])
        if first["target"] != other["target"] and not other["any_class"]:
            return Cell(empty=OTHER_CLASS)
        if other["against"] == STRONGEST and not other["any_class"]:
            return Cell(empty=STRONGEST_CLASS)
        before, after = arrays[f"0/{first['array']}"], arrays[f"{index}/{other['array']}"]
        if before.shape != after.shape:
            return Cell(empty=OTHER_SHAPE)
        values = after - before
        scale = Scale.of_most(values, signed=True)
        return _cell([pictures.heatmap(other, values, _names(images, index), scale)], values)

    return _row(images, cell)


def layer(images: Sequence[ImageEntry], arrays: Arrays, name: str) -> list[Cell]:
    """What a layer gave for each image, minus what it gave for the first: the same maps of both."""
    entries = [layer_entry(image, name) for image in images]

    def cell(index: int) -> Cell:
        first, other = entries[0], entries[index]
        if not first or not other or not first["picture"] or not other["picture"]:
            return Cell()  # the row above says why
        before, after = arrays[f"0/{first['picture']}"], arrays[f"{index}/{other['picture']}"]
        drawn = difference(first, before, other, after, _names(images, index))
        return _cell(drawn, after - before) if drawn else Cell(empty=OTHER_SHAPE)

    return _row(images, cell)


def difference(
    first: LayerEntry, before: NDArray[Any], entry: LayerEntry, after: NDArray[Any], name: str
) -> list[Picture]:
    """Draw how one image's values of a layer differ from another's; nothing for other maps.

    Args:
        first: The other image's entry.
        before: The other image's values.
        entry: This image's entry.
        after: This image's values.
        name: Of the difference.
    """
    if first["channels"] != entry["channels"] or before.shape != after.shape:
        return []
    values = after - before
    return [pictures.layer(entry, values, name, Scale.covering(values, signed=True))]


def size(values: NDArray[Any]) -> str:
    """Say how large a difference is."""
    return f"mean magnitude of the difference {number(float(np.abs(values).mean()))}"


def _row(images: Sequence[ImageEntry], cell: Callable[[int], Cell]) -> list[Cell]:
    """Return a cell for each image, empty for the first; nothing when there is nothing to see."""
    if images[0]["error"]:
        return []
    others = [
        Cell() if image["error"] else cell(index) for index, image in enumerate(images[1:], 1)
    ]
    return [Cell(), *others] if any(other.pictures or other.empty for other in others) else []


def _cell(drawn: Sequence[Picture], values: NDArray[Any]) -> Cell:
    return Cell(pictures=tuple(drawn), details=(size(values),))


def _names(images: Sequence[ImageEntry], index: int) -> str:
    return f"{images[index]['file']} minus {images[0]['file']}"
