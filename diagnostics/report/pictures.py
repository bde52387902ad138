"""The pictures of an inspection, the same on the page and on the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import render
from diagnostics.report.render import Cells, Picture, Rgb, Scale
from diagnostics.schema.results.inspection import AttributionEntry, LayerEntry, StageEntry
from diagnostics.text import number, shortened

CELL_PX = 8


def stage(
    entry: StageEntry, values: NDArray[Any], name: str, scale: Scale | None = None
) -> Picture:
    """Draw what one preprocessing stage made of an image.

    Args:
        entry: The stage's entry in the answer.
        values: Shape (h, w, c). Signed values are drawn channel by channel around zero.
        name: Name of the image.
        scale: Colours of signed values, when images are compared; None takes this image's own.
    """
    height, width = entry["shape"][:2]
    label = f"{name}, after {entry['stage']}, {width} × {height} px"
    file = f"{stem(name)}-{plain(entry['stage'])}"
    shrunk = "" if values.shape[:2] == (height, width) else f"average of {width} × {height} px"
    if not entry["signed"]:
        return Picture(render.photo(values), f"{label}.", shrunk, file)
    scale = scale or Scale.covering(values, signed=True)
    sheet = render.tiles(np.moveaxis(values, 2, 0), scale)
    channels = "one channel" if values.shape[2] == 1 else f"{values.shape[2]} channels"
    caption = scale.ends if values.shape[2] == 1 else f"{channels}, {scale.ends}"
    return Picture(sheet, f"{label}, signed values of {channels}.", caption, file)


def layer(
    entry: LayerEntry,
    values: NDArray[Any],
    name: str,
    scale: Scale | None = None,
    *,
    each: bool = False,
    classes: Sequence[str] = (),
) -> Picture:
    """Draw what one layer gave: its strongest maps, a padded square, or a token table.

    Args:
        entry: The layer's entry in the answer.
        values: Maps (c, h, w), a vector (k,), or tokens (t, c).
        name: Name of the image.
        scale: Colours, when images are compared; None takes this image's own.
        each: Give each map a scale of its own instead.
        classes: Names of the units, where these are the classes.
    """
    scale = scale or Scale.covering(values)
    shape = " × ".join(str(side) for side in entry["shape"])
    largest = number(float(values[np.isfinite(values)].max(initial=-np.inf)))
    label = f"{name}, layer {entry['name']} ({shape}), largest {largest}"
    file = f"{stem(name)}-{plain(entry['name'])}"
    if entry["layout"] == "dense":
        empty = len(render.padded_square(values).ravel()) - len(values)
        hatch = f", {empty} hatched cells hold no value" if empty else ""
        alt = f"{label}: {len(values)} values row by row{hatch}."
        cells = _unit_cells(values, classes)
        return Picture(render.dense(values, scale, CELL_PX), alt, scale.ends, file, cells)
    if entry["layout"] == "tokens":
        alt = f"{label}: a row for each token."
        return Picture(scale.colour(values), alt, scale.ends, file)
    order = ", ".join(str(channel) for channel in entry["channels"])
    kind = "head" if entry["layout"] == "attention" else "map"
    total = entry["silent"]["units"] if entry["silent"] else len(values)
    alt = f"{label}: {kind}s {order}."
    if kind == "map":
        alt = f"{label}: {len(values)} of {total} maps, strongest first: {order}."
    ends = f"each {kind} has its own scale" if each else scale.ends
    caption = " · ".join(part for part in (ends, entry["note"]) if part)
    labels = tuple(f"{kind} {channel}" for channel in entry["channels"])
    cells = _map_cells(values, labels, entry["channels"])
    return Picture(render.tiles(values, None if each else scale), alt, caption, file, cells)


def _unit_cells(values: NDArray[Any], classes: Sequence[str]) -> Cells:
    """Say of each unit which one it is, and its value."""
    names = classes if len(classes) == len(values) else [""] * len(values)
    labels = tuple(
        f"{index}{' ' + shown if shown else ''}: {number(float(value))}"
        for index, (shown, value) in enumerate(zip(names, values, strict=True))
    )
    side = math.ceil(math.sqrt(len(values)))
    return Cells(side, CELL_PX, CELL_PX, 0, labels, tuple(range(len(values))), pixels=False)


def _map_cells(values: NDArray[Any], labels: tuple[str, ...], numbers: Sequence[int]) -> Cells:
    _, height, width = values.shape
    return Cells(
        render.tile_columns(values.shape), height, width, 1, labels, tuple(numbers), pixels=True
    )


def heatmap(
    entry: AttributionEntry, values: NDArray[Any], name: str, scale: Scale | None = None
) -> Picture:
    """Draw where the network looked, as a map of its own."""
    scale = scale or Scale.covering(values, signed=entry["signed"])
    caption = f"{values.shape[1]} × {values.shape[0]} cells, {scale.ends}"
    return Picture(
        scale.colour(values), _heatmap_text(entry, name), caption, _heatmap_name(entry, name)
    )


def over(
    entry: AttributionEntry,
    values: NDArray[Any],
    image: Rgb,
    name: str,
    opacity: float,
    scale: Scale,
) -> Picture:
    """Lay where the network looked over what it received."""
    mixed = render.overlay(image, scale.colour(values), opacity)
    alt = f"{_heatmap_text(entry, name)} Laid over what the network received at {opacity:.0%}."
    return Picture(mixed, alt, scale.ends, f"{_heatmap_name(entry, name)}-over")


def _heatmap_text(entry: AttributionEntry, name: str) -> str:
    where = f" at layer {entry['layer']}" if entry["layer"] else ""
    return f"{name}: {entry['method'].split('/')[1]}{where} for class {entry['target']}."


def _heatmap_name(entry: AttributionEntry, name: str) -> str:
    method = entry["method"].split("/")[1]
    return f"{stem(name)}-{method}-{plain(entry['layer'] or 'pixels')}"


def stem(name: str) -> str:
    """Return an image's name without its ending, safe as part of a file name."""
    return plain(name.rpartition(".")[0] or name)


def plain(name: str, length: int = 48) -> str:
    """Return a name that is safe as part of a file name, at most so long."""
    safe = "".join(mark if mark.isalnum() or mark in "-_." else "-" for mark in name)
    return shortened(safe.strip("-."), length).replace("…", "-") or "picture"
