"""Alterations of an image that move or mix its pixels: blur, compression, place, size, strokes.

Each takes values of shape (h, w, c) in [0, 1] and a number, and returns values of the same shape.
What comes from beyond an edge repeats the edge, unless something else is said.
"""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from diagnostics.data.image import eight_bit
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Values

ALIAS = {3: 0.1}  # standard deviation of the blur that smooths a disk of this radius
USUAL_ALIAS = 0.5
SMALL_RADIUS = 8  # up to it ImageNet-C puts a disk on a grid of 17 × 17 px
FINE = 9  # decimals of a place in the image: a whole turn comes back to the same pixels


def blurred(values: Values, sigma: float, _random: Generator) -> Values:
    """Blur with a Gaussian of this standard deviation in px; 0 leaves the image alone."""
    return stages.blur(values, sigma) if sigma > 0 else values


def out_of_focus(values: Values, radius: float, _random: Generator) -> Values:
    """Average over a disk of this radius in px, its rim weighed by how far it is covered."""
    reach = math.ceil(radius)
    rows, columns = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return _filtered(values, disk / disk.sum(), "edge")


def moved(values: Values, length: float, _random: Generator) -> Values:
    """Average over a line of this length in px to left and right, as if the camera had moved."""
    reach = math.ceil(length / 2)
    places = np.arange(-reach, reach + 1)
    line = np.clip((length + 1) / 2 - np.abs(places) + 0.5, 0, 1)
    return _filtered(values, (line / line.sum())[None], "edge")


def jpeg(values: Values, quality: float, _random: Generator) -> Values:
    """Save as JPEG of this quality, 1 to 100, and read it back."""
    stream = io.BytesIO()
    _image(values).save(stream, "JPEG", quality=round(quality))
    made = np.asarray(Image.open(stream), np.float32) / np.float32(255)
    return made[..., None] if made.ndim == 2 else made


def pixelated(values: Values, share: float, _random: Generator) -> Values:
    """Shrink both sides to this share by averaging, and make the pixels large again."""
    height, width = values.shape[:2]
    small = max(1, int(height * share)), max(1, int(width * share))
    shrunk = stages.resize(values, *small, "box", True)
    return stages.resize(shrunk, height, width, "box", True)


def rotated(values: Values, degrees: float, _random: Generator) -> Values:
    """Turn about the centre, counter-clockwise where the number is above zero."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    height, width = values.shape[:2]
    down, across = (height - 1) / 2, (width - 1) / 2
    rows, columns = np.indices((height, width))
    y, x = rows - down, columns - across
    return _sampled(values, down + cos * y + sin * x, across - sin * y + cos * x)


def shifted_right(values: Values, percent: float, _random: Generator) -> Values:
    """Shift to the right by this percentage of the width, in whole px; below zero to the left."""
    return _shifted(values, round(percent / 100 * values.shape[1]), 1)


def shifted_down(values: Values, percent: float, _random: Generator) -> Values:
    """Shift down by this percentage of the height, in whole px; below zero up."""
    return _shifted(values, round(percent / 100 * values.shape[0]), 0)


def scaled(values: Values, factor: float, _random: Generator) -> Values:
    """Make what is in the image larger or smaller about its centre, both sides by this factor."""
    height, width = values.shape[:2]
    tall, wide = max(1, round(height * factor)), max(1, round(width * factor))
    resized = stages.resize(values, tall, wide, "bilinear", True)
    down, across = max(height - tall, 0), max(width - wide, 0)
    pads = ((down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0))
    return stages.crop(np.pad(resized, pads, mode="edge"), height, width)


def cropped(values: Values, share: float, _random: Generator) -> Values:
    """Keep the central part, this share of both sides; the rest becomes the image's mean."""
    height, width = values.shape[:2]
    tall, wide = round(height * share), round(width * share)
    top, left = (height - tall) // 2, (width - wide) // 2
    made = np.empty_like(values)
    made[:] = values.mean((0, 1), dtype=np.float64)
    inside = (slice(top, top + tall), slice(left, left + wide))
    made[inside] = values[inside]
    return made


def thickened(values: Values, px: float, _random: Generator) -> Values:
    """Let bright parts grow by so many whole px on every side; below zero dark parts grow."""
    reach = round(px)
    if reach == 0:
        return values
    chosen = np.maximum if reach > 0 else np.minimum
    made = values
    for axis in (0, 1):
        pads = [(abs(reach), abs(reach)) if side == axis else (0, 0) for side in range(3)]
        padded, length = np.pad(made, pads, mode="edge"), values.shape[axis]
        made = padded.take(range(length), axis)
        for shift in range(1, 2 * abs(reach) + 1):
            made = chosen(made, padded.take(range(shift, shift + length), axis))
    return made


def imagenet_c_blur(values: Values, sigma: float, _random: Generator) -> Values:
    """Blur as ImageNet-C does: a Gaussian of this standard deviation in px, edges repeated."""
    reach = int(4 * sigma + 0.5)
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    inner: Values = stages.blur(padded, sigma)[reach:-reach, reach:-reach]
    return inner


def imagenet_c_defocus(values: Values, radius: float, _random: Generator) -> Values:
    """Blur as ImageNet-C does: an aliased disk of this radius in px, smoothed a little."""
    reach = SMALL_RADIUS if radius <= SMALL_RADIUS else int(radius)
    side = np.arange(-reach, reach + 1)
    disk = (side[:, None] ** 2 + side**2 <= radius**2).astype(np.float64)
    taps = np.arange(-1, 2) if radius <= SMALL_RADIUS else np.arange(-2, 3)
    line = np.exp(-0.5 * (taps / ALIAS.get(int(radius), USUAL_ALIAS)) ** 2)
    line /= line.sum()
    for axis in (0, 1):
        padded = np.pad(disk, len(taps) // 2, mode="reflect")
        padded = padded if axis == 0 else padded.T
        mixed = sum(w * padded[at : at + len(side)] for at, w in enumerate(line))
        inner = np.asarray(mixed)[:, len(taps) // 2 : -(len(taps) // 2)]
        disk = inner if axis == 0 else inner.T
    return _filtered(values, disk / disk.sum(), "reflect")


def _filtered(values: Values, kernel: NDArray[np.float64], mode: str) -> Values:
    """Mix every pixel with its neighbours, weighed by an odd-sided symmetric kernel."""
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    pads = ((down, down), (across, across), (0, 0))
    padded = _padded(values.astype(np.float64), pads, mode)
    size = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, size)[..., None]
    mixed = np.fft.irfft2(spectrum, size, axes=(0, 1))[2 * down :, 2 * across :]
    clipped: Values = mixed.clip(0, 1).astype(np.float32)
    return clipped


def _padded(
    values: NDArray[np.float64], pads: tuple[tuple[int, int], ...], mode: str
) -> NDArray[np.float64]:
    """Pad at the edges; "reflect" is the edge where a side of one pixel has nothing to mirror."""
    if mode == "reflect" and min(values.shape[:2]) > 1:
        return np.pad(values, pads, mode="reflect")
    return np.pad(values, pads, mode="edge")


def _shifted(values: Values, px: int, axis: int) -> Values:
    length = values.shape[axis]
    moved: Values = values.take(np.clip(np.arange(length) - px, 0, length - 1), axis)
    return moved


def _sampled(values: Values, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Values:
    """Return the values between pixels at these places, bilinear."""
    height, width = values.shape[:2]
    y = np.clip(rows.round(FINE), 0, height - 1)
    x = np.clip(columns.round(FINE), 0, width - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (y - top)[..., None], (x - left)[..., None]
    wide = values.astype(np.float64)
    upper = wide[top, left] * (1 - across) + wide[top, right] * across
    lower = wide[below, left] * (1 - across) + wide[below, right] * across
    between: Values = (upper * (1 - down) + lower * down).astype(np.float32)
    return between


def _image(values: Values) -> Image.Image:
    levels = eight_bit(values)
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
