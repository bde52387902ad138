"""Corruptions that move or mix pixels: blur, compression, position, size, strokes.

What comes from beyond an edge repeats the edge, unless a function says otherwise.
"""

from __future__ import annotations

import io
import math
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from diagnostics.corruptions.registry import corruption
from diagnostics.data.image import eight_bit
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Values


@corruption(
    "Blur",
    "A Gaussian blur, edges mirrored.",
    unit="px, standard deviation",
    phrase="{} px of blur",
    limits=(0, 50),
    default_range=(0, 4),
    identity=0,
)
def blur(values: Values, sigma: float, _random: Generator) -> Values:
    """Blur with a Gaussian of this standard deviation in px, edges mirrored."""
    return stages.blur(values, sigma)


@corruption(
    "Out of focus",
    "Every pixel becomes the average of a disk about it.",
    unit="px, radius",
    phrase="a radius of {} px",
    limits=(0, 50),
    default_range=(0, 8),
    identity=0,
)
def out_of_focus(values: Values, radius: float, _random: Generator) -> Values:
    """Average over a disk of this radius in px, its rim weighed by how far it is covered."""
    reach = math.ceil(radius)
    rows, columns = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return filtered(values, disk / disk.sum(), edges="edge")


@corruption(
    "Motion blur",
    "Every pixel becomes the average of a level line through it.",
    unit="px",
    phrase="{} px of motion",
    limits=(0, 100),
    default_range=(0, 16),
    identity=0,
)
def motion(values: Values, length: float, _random: Generator) -> Values:
    """Average over a line of this length in px to left and right, as if the camera had moved."""
    reach = math.ceil(length / 2)
    columns = np.arange(-reach, reach + 1)
    line = np.clip((length + 1) / 2 - np.abs(columns) + 0.5, 0, 1)
    return filtered(values, (line / line.sum())[None], edges="edge")


@corruption(
    "JPEG",
    "The image is saved as JPEG of this quality and read back; lower is worse.",
    unit="quality",
    phrase="quality {}",
    limits=(1, 100),
    default_range=(100, 1),
    identity=None,
    integer=True,
)
def jpeg(values: Values, quality: float, _random: Generator) -> Values:
    """Save as JPEG of this quality, 1 to 100, and read it back."""
    levels, stream = eight_bit(values), io.BytesIO()
    image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    image.save(stream, "JPEG", quality=round(quality))
    compressed = np.asarray(Image.open(stream), np.float32) / np.float32(255)
    return compressed.reshape(values.shape)


@corruption(
    "Pixelated",
    "The image is shrunk to this share of its sides by averaging, and made large again.",
    unit="share of each side",
    phrase="{} of each side",
    limits=(0.01, 1),
    default_range=(1, 0.1),
    identity=1,
)
def pixelated(values: Values, share: float, _random: Generator) -> Values:
    """Shrink both sides to this share by averaging, and make the pixels large again."""
    height, width = values.shape[:2]
    small = max(1, int(height * share)), max(1, int(width * share))
    shrunk = stages.resize(values, *small, "box", True)
    return stages.resize(shrunk, height, width, "box", True)


@corruption(
    "Thicker or thinner",
    "Bright parts grow by so many px on every side; below zero dark parts grow.",
    unit="px",
    phrase="{} px",
    limits=(-16, 16),
    default_range=(-3, 3),
    identity=0,
    integer=True,
)
def thickened(values: Values, px: float, _random: Generator) -> Values:
    """Let bright parts grow by so many whole px on every side; below zero dark parts grow."""
    from scipy import ndimage

    side = 2 * abs(round(px)) + 1
    extreme = ndimage.maximum_filter if px > 0 else ndimage.minimum_filter
    grown: Values = extreme(values, (side, side, 1), mode="nearest")
    return grown


@corruption(
    "Rotation",
    "Turned about the centre, counter-clockwise above zero; edges are repeated outwards.",
    unit="degrees",
    phrase="{}°",
    limits=(-360, 360),
    default_range=(-180, 180),
    identity=0,
)
def rotated(values: Values, degrees: float, _random: Generator) -> Values:
    """Turn about the centre, counter-clockwise where the number is above zero; bilinear."""
    from scipy import ndimage

    turned: Values = ndimage.rotate(values, degrees, reshape=False, order=1, mode="nearest")
    return turned


@corruption(
    "Shift to the right",
    "Shifted in whole px, to the left below zero; the edge is repeated.",
    unit="% of the width",
    phrase="{} % of the width",
    limits=(-100, 100),
    default_range=(-50, 50),
    identity=0,
)
def shifted_right(values: Values, percent: float, _random: Generator) -> Values:
    """Shift to the right by this percentage of the width, in whole px; below zero to the left."""
    return _shifted(values, round(percent / 100 * values.shape[1]), axis=1)


@corruption(
    "Shift down",
    "Shifted in whole px, up below zero; the edge is repeated.",
    unit="% of the height",
    phrase="{} % of the height",
    limits=(-100, 100),
    default_range=(-50, 50),
    identity=0,
)
def shifted_down(values: Values, percent: float, _random: Generator) -> Values:
    """Shift down by this percentage of the height, in whole px; below zero up."""
    return _shifted(values, round(percent / 100 * values.shape[0]), axis=0)


@corruption(
    "Size",
    "What is in the image becomes larger or smaller about its centre; the edge is repeated.",
    unit="× both sides",
    phrase="{} × the size",
    limits=(0.05, 8),
    default_range=(0.25, 4),
    identity=1,
    geometric=True,
)
def scaled(values: Values, factor: float, _random: Generator) -> Values:
    """Make what is in the image larger or smaller about its centre, both sides by this factor."""
    height, width = values.shape[:2]
    tall, wide = max(1, round(height * factor)), max(1, round(width * factor))
    resized = stages.resize(values, tall, wide, "bilinear", True)
    down, across = max(height - tall, 0), max(width - wide, 0)
    pads = ((down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0))
    return stages.crop(np.pad(resized, pads, mode="edge"), height, width)


@corruption(
    "Crop",
    "Only the central part is kept; what lies outside becomes the image's mean.",
    unit="share of each side",
    phrase="{} of each side",
    limits=(0, 1),
    default_range=(1, 0),
    identity=1,
)
def cropped(values: Values, share: float, _random: Generator) -> Values:
    """Keep the central part, this share of both sides; the rest becomes the image's mean."""
    height, width = values.shape[:2]
    tall, wide = round(height * share), round(width * share)
    top, left = (height - tall) // 2, (width - wide) // 2
    centre = (slice(top, top + tall), slice(left, left + wide))
    framed = np.empty_like(values)
    framed[:] = values.mean((0, 1), dtype=np.float64)
    framed[centre] = values[centre]
    return framed


def filtered(
    values: Values, kernel: NDArray[np.float64], *, edges: Literal["edge", "reflect"]
) -> Values:
    """Mix every pixel with its neighbours.

    Args:
        values: Shape (h, w, c).
        kernel: Weights of the neighbours; both sides odd.
        edges: What lies beyond an edge: "edge" repeats it, "reflect" mirrors the image about it.

    Returns:
        The same shape, clipped to [0, 1].
    """
    from scipy.signal import fftconvolve

    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    pads = ((down, down), (across, across), (0, 0))
    padded = np.pad(values.astype(np.float64), pads, mode=edges)
    mixed: NDArray[np.float64] = fftconvolve(padded, kernel[..., None], "valid", axes=(0, 1))
    return mixed.clip(0, 1).astype(np.float32)


def _shifted(values: Values, px: int, *, axis: int) -> Values:
    length = values.shape[axis]
    source = np.clip(np.arange(length) - px, 0, length - 1)
    shifted: Values = values.take(source, axis)
    return shifted
