"""What a row of the table shows of one layer, for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics import pictures, words
from diagnostics.render import Picture, Scale
from diagnostics.report.rows import Arrays, Entry
from diagnostics.report.table import Cell
from diagnostics.spec import ModelSpec

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
        pinned: Show besides how every image differs from the first one.
    """
    found = [_layer_entry(image, name) for image in images]
    kept = {
        index: arrays[f"{index}/{entry['picture']}"]
        for index, entry in enumerate(found)
        if entry and entry["picture"]
    }
    common = Scale.covering(*kept.values()) if scale == "all images" else None
    cells = []
    for index, (image, entry) in enumerate(zip(images, found, strict=True)):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif entry is None or index not in kept:
            cells.append(Cell(empty=undrawn(entry)))
        else:
            drawn = [
                pictures.layer(
                    entry,
                    kept[index],
                    image["file"],
                    common,
                    each=scale == "each map",
                    classes=spec.class_names if name == class_layer(spec) else (),
                )
            ]
            if pinned and index and 0 in kept:
                name_of_both = f"{image['file']} minus {images[0]['file']}"
                drawn += [
                    replace(one, caption=f"minus the pinned image's, {one.caption}")
                    for one in difference(found[0], kept[0], entry, kept[index], name_of_both)
                ]
            notes = _statistics(entry, kept[index], pinned=pinned)
            cells.append(Cell(pictures=tuple(drawn), notes=notes))
    return cells


def difference(
    first: Entry | None, before: NDArray[Any], entry: Entry, after: NDArray[Any], name: str
) -> list[Picture]:
    """Draw how one image's values differ from another's; nothing where they are other maps.

    Args:
        first: The other image's entry.
        before: The other image's values.
        entry: The one image's entry.
        after: The one image's values.
        name: Of the difference.
    """
    if first is None or first["channels"] != entry["channels"] or before.shape != after.shape:
        return []
    values = after - before
    scale = Scale.covering(values, signed=True)
    return [pictures.layer(entry, values, name, scale)]


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


def _statistics(entry: Entry, values: NDArray[Any], *, pinned: bool) -> tuple[str, ...]:
    zeros = "" if entry["zeros"] is None else f", {entry['zeros']:.0%} zeros"
    numbers = (
        f"{words.number(entry['low'])} … {words.number(entry['high'])}, "
        f"mean {words.number(entry['mean'])}, std {words.number(entry['std'])}{zeros}"
    )
    if not np.isfinite(values).all():
        return numbers, "Some values are not finite; they are drawn in pink."
    notes = [numbers]
    if entry["channels"] and entry["layout"] == "channels":
        strongest = ", ".join(str(channel) for channel in entry["channels"][:6])
        more = " …" if len(entry["channels"]) > 6 else ""
        order = "as in the pinned image" if pinned else "strongest first"
        notes.append(f"maps, {order}: {strongest}{more}")
    silent = entry["silent"]
    if silent and silent["silent"]:
        on = words.counted(silent["images"], "image")
        notes.append(f"{silent['silent']} of {silent['units']} units silent on {on}")
    return tuple(notes)
