"""One layer in depth: two images, their difference, and what one cell can see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics import text
from diagnostics.report import pictures, render
from diagnostics.report.inspection import difference
from diagnostics.report.inspection.answers import Entry
from diagnostics.report.inspection.layers import LayerScale, class_layer, strongest_units, undrawn
from diagnostics.report.render import Picture, Scale
from diagnostics.report.table import Cell
from diagnostics.schema.layouts import layout, token_grid
from diagnostics.schema.request import Result
from diagnostics.schema.spec import ModelSpec

MOST_VALUES = 8 * 2**20  # of one layer and image that cross the wire
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
    arranged = layout(info, size)
    grid = arranged == "tokens" and token_grid(info.shape[0], size) is not None
    return grid or arranged in ("channels", "channels last")


def most_maps(spec: ModelSpec, name: str) -> int:
    """Return how many maps of a layer are compared: all of them, unless they are very large."""
    info = spec.layer(name)
    if info is None or not info.shape:
        return 1
    last = layout(info, (spec.height, spec.width)) != "channels"
    units = info.shape[-1 if last else 0]
    return max(1, min(units, MOST_VALUES // (math.prod(info.shape) // units)))


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
    images = answer.scores["images"]
    entries: list[Entry] = []
    for image in images:
        entry = _entry(image, name)
        if image["error"] or entry is None or not entry["picture"]:
            return [Cell(title=name, empty=image["error"] or undrawn(entry))]
        entries.append(entry)
    values = [answer.arrays[f"{index}/{one['picture']}"] for index, one in enumerate(entries)]
    values, numbers = _alike(entries, values, order)
    common = Scale.covering(*values) if scale == "all images" else None
    classes = spec.class_names if name == class_layer(spec) else ()
    shown = [{**entry, "channels": numbers} for entry in entries]
    each = scale == "each map"
    cells = [
        Cell(
            title=f"{title}: {image['file']}",
            pictures=(
                pictures.layer(one, drawn, image["file"], common, each=each, classes=classes),
            ),
            notes=(f"strongest units: {strongest_units(drawn, classes)}",)
            if one["layout"] == "dense"
            else (),
        )
        for title, image, one, drawn in zip("AB", images, shown, values, strict=True)
    ]
    names = " minus ".join(image["file"] for image in images)
    drawn = difference.difference(shown[1], values[1], shown[0], values[0], names)
    size = difference.size(values[0] - values[1])
    return [*cells, Cell(title="A − B", pictures=tuple(drawn), notes=(size,))]


def _alike(
    entries: Sequence[Entry], values: list[NDArray[Any]], order: Order
) -> tuple[list[NDArray[Any]], list[int]]:
    """Put both images' maps in the same order; return them and their numbers."""
    if entries[0]["layout"] != "channels":
        return values, list(entries[0]["channels"])
    common = sorted(set(entries[0]["channels"]) & set(entries[1]["channels"]))
    places = [[list(entry["channels"]).index(one) for one in common] for entry in entries]
    first, second = (one[place] for one, place in zip(values, places, strict=True))
    strength = {
        "strongest": -np.abs(first).mean((1, 2)),
        "number": np.arange(len(common)),
        "most different": -np.abs(first - second).mean((1, 2)),
    }[order]
    sequence = np.argsort(strength, kind="stable")
    return [first[sequence], second[sequence]], [common[place] for place in sequence]


def cell_title(number: int, row: int, column: int) -> str:
    """Name a cell."""
    return f"Map {number}, row {row}, column {column}: what this cell can see"


def patches(
    answer: Result, name: str, number: int, place: Mapping[str, Any], field: Result
) -> list[Cell]:
    """Show the part of each image that a cell can see, and the cell's values.

    Args:
        answer: To the two images, with this layer drawn.
        name: The layer.
        number: The map.
        place: Row and column of the cell.
        field: The answer with the cell's receptive field.
    """
    box = field.scores["field"]
    if box is None:
        return [Cell(empty="No pixel reaches this cell: it is the same for every image.")]
    cells = []
    for index, image in enumerate(answer.scores["images"]):
        entry = _entry(image, name)
        unsigned = [one for one in image["preprocessing"] if not one["signed"]]
        if entry is None or not unsigned:
            cells.append(Cell(empty=image["error"] or undrawn(entry)))
            continue
        seen = answer.arrays[f"{index}/{unsigned[-1]['picture']}"]
        channel = list(entry["channels"]).index(number)
        value = answer.arrays[f"{index}/{entry['picture']}"][channel, place["row"], place["column"]]
        cells.append(
            Cell(
                title=image["file"],
                pictures=_field(seen, _shrunk(box, unsigned[-1], seen), image["file"]),
                abreast=True,
                notes=(f"value of the cell {text.number(float(value))}",),
            )
        )
    return cells


def _shrunk(box: Mapping[str, int], stage: Entry, seen: NDArray[Any]) -> dict[str, int]:
    """Return where a field lies in a picture that may have been shrunk for the screen."""
    down, across = (max(1, stage["shape"][axis] // seen.shape[axis]) for axis in (0, 1))
    bottom = min(-(-box["bottom"] // down), seen.shape[0])
    right = min(-(-box["right"] // across), seen.shape[1])
    top, left = min(box["top"] // down, bottom - 1), min(box["left"] // across, right - 1)
    return {"top": top, "bottom": bottom, "left": left, "right": right}


def _field(seen: NDArray[Any], box: Mapping[str, int], name: str) -> tuple[Picture, ...]:
    """Draw what the network receives with the rest dimmed, and the part that a cell can see."""
    rows, columns = slice(box["top"], box["bottom"]), slice(box["left"], box["right"])
    patch = render.photo(seen[rows, columns])
    whole, file = render.photo(0.3 * seen + 0.35), f"{pictures.stem(name)}-field"
    whole[rows, columns] = patch
    if patch.shape == whole.shape:
        alt = f"{name}: the cell can see the whole image."
        return (Picture(patch, alt, "the cell can see the whole image", f"{file}-whole"),)
    where = f"rows {box['top']}–{box['bottom'] - 1}, columns {box['left']}–{box['right'] - 1}"
    return (
        Picture(whole, f"{name}, dimmed but for {where}.", "the rest is dimmed", f"{file}-whole"),
        Picture(patch, f"{name}: the part that the cell can see, {where}.", where, file),
    )


def statistics(answer: Result, overview: Result, name: str) -> list[dict[str, str]]:
    """Return the numbers of one layer for the two images, and its silent units over all."""
    rows = []
    for image in answer.scores["images"]:
        entry = _entry(image, name)
        if entry is not None:
            rows.append({"image": image["file"], **_numbers(entry)})
    everywhere = [_entry(image, name) for image in overview.scores["images"]]
    silent = next((one["silent"] for one in everywhere if one and one.get("silent")), None)
    for row in rows:
        row["silent units"] = _silent(silent)
    return rows


def table_title(overview: Result) -> str:
    """Say what the table of all layers is of."""
    images = overview.scores["images"]
    layers = len(overview.scores["model"]["layers"])
    return f"All {layers} layers, over {text.counted(len(images), 'image')}"


def table(overview: Result) -> list[dict[str, str]]:
    """Return a row for every layer, its numbers taken over all images."""
    images = [image for image in overview.scores["images"] if not image["error"]]
    rows = []
    for same in zip(*(image["layers"] for image in images), strict=True):
        first = same[0]
        shape = " × ".join(str(side) for side in first["shape"]) or "not captured"
        known = [entry for entry in same if entry["low"] is not None]
        merged = {
            "low": min((entry["low"] for entry in known), default=None),
            "high": max((entry["high"] for entry in known), default=None),
            **{key: _mean(known, key) for key in ("mean", "std", "zeros", "participation")},
        }
        rows.append(
            {
                "layer": first["name"],
                "kind": first["kind"],
                "shape": shape,
                **_numbers(merged),
                "silent units": _silent(first.get("silent")),
            }
        )
    return rows


def _mean(entries: Sequence[Entry], key: str) -> float | None:
    values = [entry[key] for entry in entries if entry[key] is not None]
    return float(np.mean(values)) if values else None


def _numbers(entry: Entry) -> dict[str, str]:
    if entry["low"] is None:
        return dict.fromkeys(("lowest", "highest", "mean", "std", "zeros", "participation"), "")
    return {
        "lowest": text.number(entry["low"]),
        "highest": text.number(entry["high"]),
        "mean": text.number(entry["mean"]),
        "std": text.number(entry["std"]),
        "zeros": f"{entry['zeros']:.0%}",
        "participation": "" if entry["participation"] is None else f"{entry['participation']:.2f}",
    }


def _silent(silent: Mapping[str, int] | None) -> str:
    if not silent:
        return ""
    on = text.counted(silent["images"], "image")
    return f"{silent['silent']} of {silent['units']} on {on}"


def _entry(image: Entry, name: str) -> Entry | None:
    return next((entry for entry in image["layers"] if entry["name"] == name), None)
