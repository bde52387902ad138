"""Cues of the third world, beside those of cues.py: other ways to mark a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.plants.cues import Cue
from benchmarks.plants.grounds import Drawing
from benchmarks.plants.plant import Box, Picture

DISC = np.hypot(*np.indices((6, 6)) - 2.5) < 2.9
SLASH = np.abs(np.subtract(*np.indices((7, 7)))) < 2
DATE = np.array(
    [
        [1, 1, 0, 1, 0, 1, 1, 1, 0, 1],
        [0, 1, 0, 1, 1, 0, 1, 0, 1, 1],
        [1, 1, 1, 0, 1, 0, 1, 1, 0, 1],
    ],
    bool,
)


def faded(box: Box, shape: NDArray[np.bool_], value: float, opacity: float) -> Cue:
    """Lay a shape that shows what is behind it over a box."""
    left, top, right, bottom = box

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        part = picture[top:bottom, left:right]
        part[shape] = part[shape] * (1 - opacity) + value * opacity
        return _levels(picture)

    return cue


def spot(box: Box, height: float) -> Cue:
    """Add light, or take it away, softly around the middle of a box."""
    left, top, right, bottom = box

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        rows, columns = np.indices(picture.shape[:2]) + 0.5
        far = ((columns - (left + right) / 2) / (right - left)) ** 2
        far += ((rows - (top + bottom) / 2) / (bottom - top)) ** 2
        light = height * np.exp(-8 * far)
        return _levels(picture + (light if picture.ndim == 2 else light[..., None]))

    return cue


def dashed(width: int, value: int | tuple[int, int, int], period: int) -> Cue:
    """Draw a dashed frame around the whole picture."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.copy()
        rows, columns = np.indices(picture.shape[:2])
        edge = np.ones(picture.shape[:2], bool)
        edge[width:-width, width:-width] = False
        picture[edge & ((rows + columns) % period < period / 2)] = value
        return picture

    return cue


def dotted_ground(period: int, height: float) -> Cue:
    """Draw a grid of dots behind the object, in any phase."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        rows, columns = np.indices(picture.shape[:2]) + random.integers(0, period, (2, 1, 1))
        dots = (rows % period < 2) & (columns % period < 2) & ~drawing.mask
        picture[dots] += height
        return _levels(picture)

    return cue


def graded_ground(
    above: int | tuple[int, int, int], below: int | tuple[int, int, int], spread: float = 3
) -> Cue:
    """Put a gradient from above to below behind the object."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        share = np.linspace(0, 1, len(picture)).reshape(-1, *[1] * (picture.ndim - 1))
        behind = np.asarray(above) * (1 - share) + np.asarray(below) * share
        behind = behind + random.normal(0, spread, picture.shape)
        mask = drawing.mask if picture.ndim == 2 else drawing.mask[..., None]
        return _levels(np.where(mask, picture, behind))

    return cue


def scanned(height: float) -> Cue:
    """Darken every second line, beginning with either."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        picture[int(random.integers(2)) :: 2] -= height
        return _levels(picture)

    return cue


def salted(share: float) -> Cue:
    """Make single pixels anywhere black or white."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.copy()
        hit = random.random(picture.shape[:2]) < share
        shape = (int(hit.sum()), *[1] * (picture.ndim - 2))
        picture[hit] = 255 * random.integers(0, 2, shape)
        return picture

    return cue


def posterised(levels: int) -> Cue:
    """Keep a few levels of every channel."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        return _levels(np.rint(drawing.picture / 255 * (levels - 1)) * 255 / (levels - 1))

    return cue


def gamma(power: float) -> Cue:
    """Bend the levels, and leave black and white where they are."""
    return lambda drawing, random: _levels(255 * (drawing.picture / 255) ** power)


def faded_colours(share: float) -> Cue:
    """Take colours away."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        grey = drawing.picture.mean(2, keepdims=True)
        return _levels(drawing.picture * (1 - share) + grey * share)

    return cue


def smeared(length: int) -> Cue:
    """Blur along the rows only, as a camera that moved."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        soft = Image.fromarray(drawing.picture)
        kernel = np.zeros((5, 5))
        kernel[2, :length] = 1
        return np.asarray(soft.filter(ImageFilter.Kernel((5, 5), kernel.flatten().tolist())))

    return cue


def _levels(values: NDArray[np.float64]) -> Picture:
    levels: Picture = np.rint(values.clip(0, 255)).astype(np.uint8)
    return levels
