"""The pictures of an intervention: what the network received, and where the cause lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diagnostics.report.pictures import plain
from diagnostics.report.render import Picture
from diagnostics.schema.results.diagnosis import Box

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

MAX_SIDE = 4096


def picture(arrays: Arrays, name: str, alt: str, box: Box | None = None) -> Picture | None:
    """Return what the network received, with the box outlined; None where there is no picture.

    Args:
        arrays: Of the answer.
        name: Of the picture among them.
        alt: What it shows.
        box: Left, top, right and bottom in px of the picture.
    """
    pixels = arrays.get(name)
    if pixels is None or not _is_picture(pixels):
        return None
    shown = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    outline = _inside(box, shown.shape)
    if outline is None:
        return Picture(shown, alt, "", plain(name))
    left, top, right, bottom = outline
    where = f"outlined: columns {left} to {right - 1}, rows {top} to {bottom - 1}"
    return Picture(shown, f"{alt} {where.capitalize()}.", where, plain(name), outline=outline)


def _is_picture(pixels: NDArray[Any]) -> bool:
    """Say whether an array is a picture, whatever a worker sent."""
    return (
        pixels.dtype == np.uint8
        and pixels.ndim == 3
        and pixels.shape[2] in (1, 3)
        and 0 < min(pixels.shape) <= max(pixels.shape) <= MAX_SIDE
    )


def _inside(box: Box | None, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return the part of a box that lies in a picture; None where there is none."""
    if box is None or len(box) != 4:
        return None
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], shape[1]), min(box[3], shape[0])
    return (left, top, right, bottom) if left < right and top < bottom else None
