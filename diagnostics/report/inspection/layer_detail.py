"""One layer in depth: two images, their difference, and what one cell can see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from diagnostics import text
from diagnostics.report import pictures, render
from diagnostics.report.inspection import difference
from diagnostics.report.inspection.layers import (
    LayerScale,
    class_layer,
    layer_entry,
    strongest_units,
    why_not_drawn,
)
from diagnostics.report.render import Picture, Scale
from diagnostics.report.table import Cell
from diagnostics.schema.layouts import layout, token_grid
from diagnostics.schema.request import Result
from diagnostics.schema.results.inspection import (
    FieldAnswer,
    InspectAnswer,
    LayerEntry,
    LayerNumbers,
    ReceptiveField,
    SilentUnits,
    StageEntry,
)
from diagnostics.schema.spec import ModelSpec

MAX_VALUES = 8 * 2**20  # of one layer and image that cross the wire
Order = Literal["strongest", "number", "most different"]

SILENT_EXPLAINED = (
    "A unit is a map, a dense value, a channel of tokens or a head. It is silent when nothing in "
    "these images moves it; with few images that says little of the unit. The participation ratio "
    "is 1 when all units are equally active and 1/n when one of n is active alone."
)


def attends(spec: ModelSpec, name: str) -> bool:
    """Say whether a layer's values are attention weights."""
    info = spec.layer(name)
    return info is not None and info.kind == "attention"


def has_cells(spec: ModelSpec, name: str) -> bool:
    """Say whether a layer's values lie at places of the image."""
    info, size = spec.layer(name), (spec.height, spec.width)
    if info is None:
        return False
    arrangement = layout(info, size)
    grid = arrangement == "tokens" and token_grid(info.shape[0], size) is not None
    return grid or arrangement in ("channels", "channels last")


def max_maps(spec: ModelSpec, name: str) -> int:
    """Return how many maps of a layer are compared: all of them, unless they are very large."""
    info = spec.layer(name)
    if info is None or not info.shape:
        return 1
    last = layout(info, (spec.height, spec.width)) != "channels"
    units = info.shape[-1 if last else 0]
    return max(1, min(units, MAX_VALUES // (math.prod(info.shape) // units)))


def pair(answer: Result, spec: ModelSpec, name: str, scale: LayerScale, order: Order) -> list[Cell]:
    """Draw what a layer gave for two images, with the same maps in the same places, and A − B.

    Args:
        answer: To the two images, with this layer drawn.
        spec: Gives the names of the classes.
        name: The layer.
        scale: Which values share a scale.
        order: How the maps are sorted: by their mean magnitude in the first image, by their
            number, or by how much they differ.
    """
    scores: InspectAnswer = answer.scores
    images = scores["images"]
    entries: list[LayerEntry] = []
    for image in images:
        entry = layer_entry(image, name)
        if image["error"] or entry is None or not entry["picture"]:
            return [Cell(title=name, empty=image["error"] or why_not_drawn(entry))]
        entries.append(entry)
    values = [answer.arrays[f"{index}/{entry['picture']}"] for index, entry in enumerate(entries)]
    values, numbers = _same_order(entries, values, order)
    common = Scale.covering(*values) if scale == "all images" else None
    classes = spec.class_names if name == class_layer(spec) else ()
    sorted_entries: list[LayerEntry] = [{**entry, "channels": numbers} for entry in entries]
    each = scale == "each map"
    cells = [
        Cell(
            title=f"{title}: {image['file']}",
            pictures=(
                pictures.layer(entry, maps, image["file"], common, each=each, classes=classes),
            ),
            notes=(f"strongest units: {strongest_units(maps, classes)}",)
            if entry["layout"] == "dense"
            else (),
        )
        for title, image, entry, maps in zip("AB", images, sorted_entries, values, strict=True)
    ]
    names = " minus ".join(image["file"] for image in images)
    second, first = sorted_entries[1], sorted_entries[0]
    drawn = difference.difference(second, values[1], first, values[0], names)
    size = difference.size(values[0] - values[1])
    return [*cells, Cell(title="A − B", pictures=tuple(drawn), notes=(size,))]


def _same_order(
    entries: Sequence[LayerEntry], values: list[NDArray[Any]], order: Order
) -> tuple[list[NDArray[Any]], list[int]]:
    """Put both images' maps in the same order; return them and their numbers."""
    if entries[0]["layout"] != "channels":
        return values, list(entries[0]["channels"])
    common = sorted(set(entries[0]["channels"]) & set(entries[1]["channels"]))
    rows = [[entry["channels"].index(channel) for channel in common] for entry in entries]
    first, second = (maps[row] for maps, row in zip(values, rows, strict=True))
    strength = {
        "strongest": -np.abs(first).mean((1, 2)),
        "number": np.arange(len(common)),
        "most different": -np.abs(first - second).mean((1, 2)),
    }[order]
    sequence = np.argsort(strength, kind="stable")
    return [first[sequence], second[sequence]], [common[index] for index in sequence]


class CellPosition(TypedDict):
    """Where a cell lies in a layer's maps."""

    row: int
    column: int


def cell_title(number: int, row: int, column: int) -> str:
    """Name a cell."""
    return f"Map {number}, row {row}, column {column}: what this cell can see"


def patches(
    answer: Result, name: str, number: int, position: CellPosition, field: Result
) -> list[Cell]:
    """Show the part of each image that a cell can see, and the cell's values.

    Args:
        answer: To the two images, with this layer drawn.
        name: The layer.
        number: The map.
        position: Row and column of the cell.
        field: The answer with the cell's receptive field.
    """
    scores: InspectAnswer = answer.scores
    field_scores: FieldAnswer = field.scores
    box = field_scores["field"]
    if box is None:
        return [Cell(empty="No pixel reaches this cell: it is the same for every image.")]
    cells = []
    for index, image in enumerate(scores["images"]):
        entry = layer_entry(image, name)
        unsigned = [stage for stage in image["preprocessing"] if not stage["signed"]]
        if entry is None or not unsigned:
            cells.append(Cell(empty=image["error"] or why_not_drawn(entry)))
            continue
        pixels = answer.arrays[f"{index}/{unsigned[-1]['picture']}"]
        maps = answer.arrays[f"{index}/{entry['picture']}"]
        channel = entry["channels"].index(number)
        value = maps[channel, position["row"], position["column"]]
        cells.append(
            Cell(
                title=image["file"],
                pictures=_field(pixels, _shrunk(box, unsigned[-1], pixels), image["file"]),
                side_by_side=True,
                notes=(f"value of the cell {text.number(float(value))}",),
            )
        )
    return cells


def _shrunk(box: ReceptiveField, stage: StageEntry, pixels: NDArray[Any]) -> ReceptiveField:
    """Return where a field lies in a picture that may have been shrunk for the screen."""
    down, across = (max(1, stage["shape"][axis] // pixels.shape[axis]) for axis in (0, 1))
    bottom = min(-(-box["bottom"] // down), pixels.shape[0])
    right = min(-(-box["right"] // across), pixels.shape[1])
    top, left = min(box["top"] // down, bottom - 1), min(box["left"] // across, right - 1)
    return ReceptiveField(top=top, bottom=bottom, left=left, right=right)


def _field(pixels: NDArray[Any], box: ReceptiveField, name: str) -> tuple[Picture, ...]:
    """Draw what the network receives with the rest dimmed, and the part that a cell can see."""
    rows, columns = slice(box["top"], box["bottom"]), slice(box["left"], box["right"])
    patch = render.photo(pixels[rows, columns])
    dimmed, file = render.photo(0.3 * pixels + 0.35), f"{pictures.stem(name)}-field"
    dimmed[rows, columns] = patch
    if patch.shape == dimmed.shape:
        alt = f"{name}: the cell can see the whole image."
        return (Picture(patch, alt, "the cell can see the whole image", f"{file}-whole"),)
    where = f"rows {box['top']}–{box['bottom'] - 1}, columns {box['left']}–{box['right'] - 1}"
    return (
        Picture(dimmed, f"{name}, dimmed but for {where}.", "the rest is dimmed", f"{file}-whole"),
        Picture(patch, f"{name}: the part that the cell can see, {where}.", where, file),
    )


def statistics(answer: Result, overview: Result, name: str) -> list[dict[str, str]]:
    """Return the numbers of one layer for the two images, and its silent units over all."""
    scores: InspectAnswer = answer.scores
    over_all: InspectAnswer = overview.scores
    everywhere = [layer_entry(image, name) for image in over_all["images"]]
    silent = next((entry["silent"] for entry in everywhere if entry and entry["silent"]), None)
    rows = []
    for image in scores["images"]:
        entry = layer_entry(image, name)
        if entry is not None:
            numbers = _numbers(entry)
            rows.append({"image": image["file"], **numbers, "silent units": _silent(silent)})
    return rows


def table_title(overview: Result) -> str:
    """Say what the table of all layers is of."""
    scores: InspectAnswer = overview.scores
    layers = len(scores["model"]["layers"])
    return f"All {layers} layers, over {text.counted(len(scores['images']), 'image')}"


def table(overview: Result) -> list[dict[str, str]]:
    """Return a row for every layer, its numbers taken over all images."""
    scores: InspectAnswer = overview.scores
    images = [image for image in scores["images"] if not image["error"]]
    rows = []
    for entries in zip(*(image["layers"] for image in images), strict=True):
        first = entries[0]
        shape = " × ".join(str(side) for side in first["shape"]) or "not captured"
        rows.append(
            {
                "layer": first["name"],
                "kind": first["kind"],
                "shape": shape,
                **_numbers(_over_images(entries)),
                "silent units": _silent(first["silent"]),
            }
        )
    return rows


def _over_images(entries: Sequence[LayerNumbers]) -> LayerNumbers:
    """Return the extremes over all images, and the means of the other numbers."""
    finite = [entry for entry in entries if entry["low"] is not None]
    return LayerNumbers(
        low=min(_known(entry["low"] for entry in finite), default=None),
        high=max(_known(entry["high"] for entry in finite), default=None),
        mean=_mean(entry["mean"] for entry in finite),
        std=_mean(entry["std"] for entry in finite),
        zeros=_mean(entry["zeros"] for entry in finite),
        participation=_mean(entry["participation"] for entry in finite),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return float(np.mean(known)) if known else None


def _numbers(numbers: LayerNumbers) -> dict[str, str]:
    if numbers["low"] is None:
        return dict.fromkeys(("lowest", "highest", "mean", "std", "zeros", "participation"), "")
    zeros, participation = numbers["zeros"], numbers["participation"]
    return {
        "lowest": text.number(numbers["low"]),
        "highest": text.number(numbers["high"]),
        "mean": text.number(numbers["mean"]),
        "std": text.number(numbers["std"]),
        "zeros": "" if zeros is None else f"{zeros:.0%}",
        "participation": "" if participation is None else f"{participation:.2f}",
    }


def _silent(silent: SilentUnits | None) -> str:
    if not silent:
        return ""
    on = text.counted(silent["images"], "image")
    return f"{silent['silent']} of {silent['units']} on {on}"
