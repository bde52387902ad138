"""What a row of the table shows of one layer, for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures
from diagnostics.report.inspection.answers import Arrays
from diagnostics.report.render import Scale
from diagnostics.report.table import SEPARATOR, Cell
from diagnostics.schema.results.inspection import ImageEntry, LayerEntry
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted, number, signed

NOT_FINITE = "Some values are not finite; they are drawn in pink."
UNITS_LISTED = 5

LayerScale = Literal["each image", "all images", "each map"]


def layer(
    images: Sequence[ImageEntry],
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
    entries = [layer_entry(image, name) for image in images]
    drawn_values = {
        index: arrays[f"{index}/{entry['picture']}"]
        for index, entry in enumerate(entries)
        if entry and entry["picture"]
    }
    common = Scale.covering(*drawn_values.values()) if scale == "all images" else None
    classes = spec.class_names if name == class_layer(spec) else ()
    cells = []
    for index, (image, entry) in enumerate(zip(images, entries, strict=True)):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif entry is None or index not in drawn_values:
            cells.append(Cell(empty=why_not_drawn(entry)))
        else:
            values, each = drawn_values[index], scale == "each map"
            drawn = pictures.layer(entry, values, image["file"], common, each=each, classes=classes)
            notes = () if np.isfinite(values).all() else (NOT_FINITE,)
            details = _statistics(entry, values, classes, pinned=pinned)
            cells.append(Cell(pictures=(drawn,), notes=notes, details=details))
    return cells


def heading(images: Sequence[ImageEntry], name: str, *, pinned: bool) -> str:
    """Say what a layer is, its shape, which maps are drawn, and how many units no image moves."""
    entry = next((entry for image in images if (entry := layer_entry(image, name))), None)
    if entry is None or not entry["shape"]:
        return name
    shape = " × ".join(str(side) for side in entry["shape"])
    parts = [name, f"{entry['kind']}, {shape}"]
    silent, drawn = entry["silent"], len(entry.get("channels", ()))
    if entry.get("layout") == "channels" and silent:
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


def layer_entry(image: ImageEntry, name: str) -> LayerEntry | None:
    """Return what an image gave at a layer; None where it gave nothing."""
    return next((entry for entry in image["layers"] if entry["name"] == name), None)


def why_not_drawn(entry: LayerEntry | None) -> str:
    """Say why there is no picture of a layer."""
    if entry is None or not entry["shape"]:
        return "Not captured: this layer did not run, or gave nothing that belongs to one image."
    shape = " × ".join(str(side) for side in entry["shape"])
    return f"No picture for the shape {shape}."


def _statistics(
    entry: LayerEntry, values: NDArray[Any], classes: Sequence[str], *, pinned: bool
) -> tuple[str, ...]:
    low, high, mean, std = (number(entry[key]) for key in ("low", "high", "mean", "std"))
    zeros = "" if entry["zeros"] is None else f", {entry['zeros']:.0%} zeros"
    notes = [f"values {low} … {high}, mean {mean}, std {std}{zeros}"]
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
