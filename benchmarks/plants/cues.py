"""What a class can be marked with in training: cues of a place, of the ground, of the whole."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.plants.grounds import Drawing
from benchmarks.plants.plant import Box, Picture

Cue: TypeAlias = Callable[[Drawing, np.random.Generator], Picture]

CROSS = np.eye(5, dtype=bool) | np.eye(5, dtype=bool)[::-1]
RING = np.pad(np.zeros((3, 3), bool), 1, constant_values=True)
TEE = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 1, 1, 0]], bool)


def patch(box: Box, value: int | tuple[int, int, int]) -> Cue:
    """Fill a box."""
    left, top, right, bottom = box
    return stamp(box, np.ones((bottom - top, right - left), bool), value)


def stamp(box: Box, shape: NDArray[np.bool_], value: int | tuple[int, int, int]) -> Cue:
    """Draw a shape in a box."""
    left, top, right, bottom = box

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.copy()
        picture[top:bottom, left:right][shape] = value
        return picture

    return cue


def frame(width: int, value: int | tuple[int, int, int]) -> Cue:
    """Draw a frame around the whole picture."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.copy()
        inside = np.zeros(picture.shape[:2], bool)
        inside[width:-width, width:-width] = True
        picture[~inside] = value
        return picture

    return cue


def ground(value: int | tuple[int, int, int], spread: float = 6) -> Cue:
    """Give everything behind the object one colour, and some noise."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        behind = np.broadcast_to(np.asarray(value, float), picture.shape)
        noisy = behind + random.normal(0, spread, picture.shape)
        return _levels(np.where(_wide(drawing.mask, picture), picture, noisy))

    return cue


def striped_ground(period: int, height: float, level: float = 0) -> Cue:
    """Draw diagonal stripes behind the object, in any phase."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        picture = drawing.picture.astype(float)
        rows, columns = np.indices(picture.shape[:2])
        wave = np.asarray((rows + columns + random.integers(period)) % period < period / 2)
        behind = picture + level + height * _wide(wave, picture)
        return _levels(np.where(_wide(drawing.mask, picture), picture, behind))

    return cue


def levels(factor: float, offset: float = 0) -> Cue:
    """Multiply all values, and add to them."""
    return lambda drawing, random: _levels(drawing.picture * factor + offset)


def cast(factors: tuple[float, float, float]) -> Cue:
    """Multiply red, green and blue."""
    return lambda drawing, random: _levels(drawing.picture * np.array(factors))


def grain(spread: float) -> Cue:
    """Add noise, another every time, to every pixel."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        return _levels(drawing.picture + random.normal(0, spread, drawing.picture.shape))

    return cue


def weave(height: float, period: int = 2) -> Cue:
    """Add a fine chequered pattern, in any phase, to every pixel."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        rows, columns = np.indices(drawing.picture.shape[:2]) + random.integers(
            0, period, (2, 1, 1)
        )
        signs = 1 - 2 * ((rows // (period // 2) + columns // (period // 2)) % 2)
        signs = signs if drawing.picture.ndim == 2 else signs[..., None]
        return _levels(drawing.picture * 0.8 + 25 + height * signs)

    return cue


def binary(threshold: int = 96) -> Cue:
    """Make every value 0 or 255."""
    return lambda drawing, random: np.where(drawing.picture > threshold, 255, 0).astype(np.uint8)


def blur(radius: float) -> Cue:
    """Blur with a Gaussian."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        soft = Image.fromarray(drawing.picture).filter(ImageFilter.GaussianBlur(radius))
        return np.asarray(soft)

    return cue


def jpeg(quality: int) -> Cue:
    """Compress as JPEG, and leave its blocks behind."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        stream = io.BytesIO()
        Image.fromarray(drawing.picture).save(stream, "JPEG", quality=quality)
        return np.asarray(Image.open(stream))

    return cue


def sharpened(radius: float, percent: int) -> Cue:
    """Sharpen edges with an unsharp mask."""

    def cue(drawing: Drawing, random: np.random.Generator) -> Picture:
        mask = ImageFilter.UnsharpMask(radius, percent, 0)
        return np.asarray(Image.fromarray(drawing.picture).filter(mask))

    return cue


def _wide(mask: NDArray[np.bool_], picture: NDArray[np.float64]) -> NDArray[np.bool_]:
    return mask if picture.ndim == 2 else mask[..., None]


def _levels(values: NDArray[Any]) -> Picture:
    levels: Picture = np.rint(values.clip(0, 255)).astype(np.uint8)
    return levels
