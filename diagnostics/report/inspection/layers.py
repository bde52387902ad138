"""What a row of the table shows of one layer, for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures
from diagnostics.report.inspection.answers import Arrays, Entry
from diagnostics.report.render import Scale
from diagnostics.report.table import SEPARATOR, Cell
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted, number, signed

NOT_FINITE = "Some values are not finite; they are drawn in pink."
UNITS_LISTED = 5

LayerScale = Literal["each image", "all images", "each map"]


def layer(
    images: Sequence[Entry],
    arrays: Arrays,
    name: str,
    *,
    scale: LayerScale,
    spec: ModelSpec,
    pinned: bool = False,
) -> list[Cell]:
    """What one layer gave for every image, with its statistics.

    Args:
        images: The images' entries.
        arrays: Every array of the answer.
        name: The layer.
        scale: Which values share a scale: one image's, all images', or one map's.
        spec: Names the units of the layer that gives the classes' scores.
        pinned: Whether the maps are those that are strongest in the first image.
    """
    found = [_layer_entry(image, name) for image in images]
    kept = {
        index: arrays[f"{index}/{entry['picture']}"]
        for index, entry in enumerate(found)
        if entry and entry["picture"]
    }
    common = Scale.covering(*kept.values()) if scale == "all images" else None
    classes = spec.class_names if name == class_layer(spec) else ()
    cells = []
    for index, (image, entry) in enumerate(zip(images, found, strict=True)):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif entry is None or index not in kept:
            cells.append(Cell(empty=undrawn(entry)))
        else:
            values, each = kept[index], scale == "each map"
            drawn = pictures.layer(entry, values, image["file"], common, each=each, classes=classes)
            notes = () if np.isfinite(values).all() else (NOT_FINITE,)
            details = _statistics(entry, values, classes, pinned=pinned)
            cells.append(Cell(pictures=(drawn,), notes=notes, details=details))
    return cells


def heading(images: Sequence[Entry], name: str, *, pinned: bool) -> str:
    """Say what a layer is, its shape, which maps are drawn, and how many units no image moves."""
    found = [entry for image in images if (entry := _layer_entry(image, name))]
    if not found or not found[0]["shape"]:
        return name
    shape = " × ".join(str(side) for side in found[0]["shape"])
    parts = [name, f"{found[0]['kind']}, {shape}"]
    silent, drawn = found[0]["silent"], len(found[0].get("channels", ()))
    if found[0].get("layout") == "channels" and silent:
        order = "the pinned image's" if pinned else "each image's"
        parts.append(f"{drawn} of {silent['units']} maps, {order} strongest first")
    if silent and silent["silent"]:
        on = counted(silent["images"], "image")
        parts.append(f"{silent['silent']} of {silent['units']} units silent on {on}")
    return SEPARATOR.join(parts)


def class_layer(spec: ModelSpec) -> str:
    """Return the layer whose units are the classes."""
    outputs = [item.name for item in spec.layers if item.shape == (len(spec.class_names),)]
    return outputs[-1] if outputs else ""


def _layer_entry(image: Entry, name: str) -> Entry | None:
    return next((entry for entry in image["layers"] if entry["name"] == name), None)


def undrawn(entry: Entry | None) -> str:
    """Say why there is no picture of a layer."""
    if entry is None or not entry["shape"]:
        return "Not captured: this layer did not run, or gave nothing that belongs to one image."
    shape = " × ".join(str(side) for side in entry["shape"])
    return f"No picture for the shape {shape}."


def _statistics(
    entry: Entry, values: NDArray[Any], classes: Sequence[str], *, pinned: bool
) -> tuple[str, ...]:
    zeros = "" if entry["zeros"] is None else f", {entry['zeros']:.0%} zeros"
    numbers = (
        f"values {number(entry['low'])} … {number(entry['high'])}, "
        f"mean {number(entry['mean'])}, std {number(entry['std'])}{zeros}"
    )
    notes = [numbers]
    if entry["channels"] and entry["layout"] == "channels":
        strongest = ", ".join(str(channel) for channel in entry["channels"][:6])
        more = " …" if len(entry["channels"]) > 6 else ""
        order = "as in the pinned image" if pinned else "strongest first"
        notes.append(f"maps, {order}: {strongest}{more}")
    if entry["layout"] == "dense":
        notes.append(f"strongest units: {strongest_units(values, classes)}")
    return tuple(notes)


def strongest_units(values: NDArray[Any], classes: Sequence[str] = ()) -> str:
    """List the units of largest magnitude, with their values, and their names if they have any.

    Args:
        values: Shape (k,).
        classes: Names of the units, where these are the classes.
    """
    finite = np.where(np.isfinite(values), np.abs(values), -1.0)
    first = np.argsort(-finite, kind="stable")[:UNITS_LISTED]
    names = classes if len(classes) == len(values) else [""] * len(values)
    return ", ".join(f"{unit} {names[unit]}".strip() + f" {signed(values[unit])}" for unit in first)
