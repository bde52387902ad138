"""What each preprocessing stage does to values in [0, 1], or to levels of 0 to 255.

Stages that change size or channels take levels as they are, which is the same and takes a quarter
of the memory.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnostics.data.image import Levels, as_values, strips
from diagnostics.data.image import Values as Values

Array: TypeAlias = Values | Levels

KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
Kept = TypeVar("Kept", Values, Levels, Array)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def to_grey(array: Kept) -> Kept:
    """Weigh red, green and blue as ITU-R 601 does; 8-bit values stay 8-bit values, as in Pillow."""
    if array.shape[2] == 1:
        return array
    levels = _levels(array)
    if levels is not None:
        grey: Kept = _like(array, np.asarray(Image.fromarray(levels).convert("L"))[..., None])
        return grey
    weighed: Kept = cast(Any, array) @ LUMA[:, None]
    return weighed


def to_colour(array: Kept) -> Kept:
    """Show one grey channel three times, without a copy of it."""
    if array.shape[2] != 1:
        return array
    shown: Kept = cast(Any, np.broadcast_to)(array, (*array.shape[:2], 3))
    return shown


def invert(array: Kept) -> Kept:
    """Exchange black and white."""
    return (255 if array.dtype == np.uint8 else 1) - array


def resize(array: Kept, height: int, width: int, kernel: str, antialias: bool) -> Kept:
    """Resample to height × width as Pillow does; 8-bit values stay 8-bit values.

    Without antialiasing the kernel keeps its size when shrinking, so that values between the
    sampled points have no influence.
    """
    if array.shape[:2] == (height, width):
        return array
    levels = _levels(array)
    if levels is not None:
        plane = levels[..., 0] if levels.shape[2] == 1 else levels
        made = np.asarray(_resample(Image.fromarray(plane), height, width, kernel, antialias))
        resized: Kept = _like(array, made[..., None] if made.ndim == 2 else made)
        return resized
    channels = [
        _resample(Image.fromarray(array[..., c]), height, width, kernel, antialias)
        for c in range(array.shape[2])
    ]
    stacked: Any = np.stack([np.asarray(channel, np.float32) for channel in channels], 2)
    clipped: Kept = stacked.clip(0, 1)
    return clipped


def crop(values: Kept, height: int, width: int) -> Kept:
    """Cut the centre out; where the image is smaller, black fills the rest, as in torchvision."""
    tall, wide = values.shape[:2]
    down, across = max(height - tall, 0), max(width - wide, 0)
    if down or across:
        pads = ((down // 2, (down + 1) // 2), (across // 2, (across + 1) // 2), (0, 0))
        values = cast(Any, np.pad)(values, pads)
        tall, wide = values.shape[:2]
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    return values[top : top + height, left : left + width]


def letterbox_size(values: Array, height: int, width: int) -> tuple[int, int]:
    """Return the largest size of the same aspect ratio that fits inside height × width."""
    tall, wide = values.shape[:2]
    share = min(height / tall, width / wide)
    return max(1, round(tall * share)), max(1, round(wide * share))


def shortest_side(values: Array, side: int) -> tuple[int, int]:
    """Return the size whose shortest side is `side`, the other one rounded down."""
    tall, wide = values.shape[:2]
    if tall <= wide:
        return side, int(side * wide / tall)
    return int(side * tall / wide), side


def contrast(values: Values, slope: float, keeps_range: bool) -> Values:
    """Apply the logistic curve 1 / (1 + exp(-slope (v - 0.5))).

    Args:
        values: In [0, 1].
        slope: Steepness at 0.5.
        keeps_range: Rescale so that 0 stays 0 and 1 stays 1.
    """
    curve = _logistic(slope * (values.astype(np.float64) - 0.5))
    if keeps_range:
        low, high = _logistic(np.array([-slope / 2, slope / 2]))
        curve = (curve - low) / (high - low)
    return curve.astype(np.float32)


def blur(values: Values, sigma: float) -> Values:
    """Blur with a Gaussian of standard deviation `sigma` px, edges mirrored, cut at 4 sigma."""
    from scipy import ndimage

    radius = max(1, int(4 * sigma + 0.5))
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(
        values.astype(np.float64), sigma, axes=(0, 1), mode="reflect", radius=radius
    )
    return blurred.clip(0, 1).astype(np.float32)


def _logistic(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -z))


def _levels(array: Array) -> Levels | None:
    """Return levels of 0 to 255; None where some value is no whole 255th."""
    if array.dtype == np.uint8:
        return array  # type: ignore[return-value]
    levels = np.empty(array.shape, np.uint8)
    start = 0
    for strip in strips(array):
        scaled = strip * np.float32(255)
        whole = np.rint(scaled)
        if not (np.abs(scaled - whole) < 1e-3).all():
            return None
        levels[start : start + len(strip)] = whole
        start += len(strip)
    return levels


def _like(array: Array, levels: Levels) -> Any:
    """Return levels as what they were made from: as levels, or as values."""
    return levels if array.dtype == np.uint8 else as_values(levels)


def _resample(
    image: Image.Image, height: int, width: int, kernel: str, antialias: bool
) -> Image.Image:
    if antialias or kernel in ("nearest", "box"):
        return image.resize((width, height), KERNELS[kernel])
    source, margin = _with_edges(image)
    step_x, step_y = image.width / width, image.height / height
    affine: Any = (step_x, 0, margin, 0, step_y, margin)
    narrow: Any = KERNELS["bicubic" if kernel == "lanczos" else kernel]
    return source.transform((width, height), Image.Transform.AFFINE, affine, narrow)


def _with_edges(image: Image.Image) -> tuple[Image.Image, int]:
    """Repeat the edge pixels outwards, because Pillow's transform leaves the border empty."""
    margin = 2
    values = np.asarray(image)
    pads = [(margin, margin), (margin, margin), (0, 0)][: values.ndim]
    return Image.fromarray(np.pad(values, pads, mode="edge")), margin
