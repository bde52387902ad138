"""The pictures of an intervention: what the network received, and where the cause lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import render
from diagnostics.report.pictures import plain
from diagnostics.report.render import Picture, Rgb
from diagnostics.schema.results.diagnosis import Box

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

SHOWN_PX = 224  # a picture with an outline is enlarged by a whole number to about so many
MAX_SIDE = 4096
OUTLINE = ((255, 255, 255), (200, 30, 90))  # its inner and outer line: seen on bright and on dark


def picture(arrays: Arrays, name: str, alt: str, box: Box | None = None) -> Picture | None:
    """Return what the network received, with the box outlined; None where there is no picture.

    Args:
        arrays: Of the answer.
        name: Of the picture among them.
        alt: What it shows.
        box: Left, top, right and bottom in px of the picture; what lies in it stays as it is.
    """
    pixels = arrays.get(name)
    if pixels is None or not _is_picture(pixels):
        return None
    shown = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    if box is None or (sides := _inside(box, shown.shape)) is None:
        return Picture(shown, alt, "", plain(name))
    left, top, right, bottom = sides
    where = f"outlined: columns {left} to {right - 1}, rows {top} to {bottom - 1}"
    factor = max(1, SHOWN_PX // max(shown.shape[:2]))
    caption = f"{where}; {factor}×" if factor > 1 else where
    return Picture(_outlined(shown, sides, factor), f"{alt} {where}.", caption, plain(name))


def _is_picture(pixels: NDArray[Any]) -> bool:
    """Say whether an array is a picture, whatever a worker sent."""
    return (
        pixels.dtype == np.uint8
        and pixels.ndim == 3
        and pixels.shape[2] in (1, 3)
        and 0 < min(pixels.shape) <= max(pixels.shape) <= MAX_SIDE
    )


def _inside(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return the part of a box that lies in a picture; None where there is none."""
    if len(box) != 4:
        return None
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], shape[1]), min(box[3], shape[0])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _outlined(pixels: Rgb, box: tuple[int, int, int, int], factor: int) -> Rgb:
    """Enlarge a picture and draw two lines around a box, outside of it where there is room."""
    shown = render.enlarge(pixels, factor)
    left, top, right, bottom = (side * factor for side in box)
    height, width = shown.shape[:2]
    for distance, colour in enumerate(OUTLINE, 1):
        first, last = max(top - distance, 0), min(bottom + distance, height) - 1
        start, end = max(left - distance, 0), min(right + distance, width) - 1
        shown[[first, last], start : end + 1] = colour
        shown[first : last + 1, [start, end]] = colour
    return shown
