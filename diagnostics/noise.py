"""Images that show nothing: noise and blanks, the same for the same seed."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["uniform", "gaussian", "constant"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GREY_STD = 0.25


def generate(
    kind: Kind, height: int, width: int, channels: int, *, seed: int = 0, level: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image of noise, or a blank one.

    Args:
        kind: "uniform" draws every value from 0..255 alike; "gaussian" around `level` with a
            standard deviation of a quarter of the range, clipped; "constant" is `level`.
        height: In px.
        width: In px.
        channels: 1 or 3.
        seed: Seed of the draw.
        level: Middle of the Gaussian or value of the blank, 0 black to 1 white.

    Returns:
        Shape (height, width, channels).
    """
    random = np.random.default_rng(seed)
    shape = (height, width, channels)
    if kind == "uniform":
        return random.integers(0, 256, shape, dtype=np.uint8)
    values = np.full(shape, level)
    if kind == "gaussian":
        values = values + random.normal(0, GREY_STD, shape)
    levels: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return levels


def shuffle(image: NDArray[Any], *, seed: int = 0) -> NDArray[Any]:
    """Return the image with its pixels in random order: the same values, no shape left.

    Args:
        image: Shape (h, w, c).
        seed: Seed of the order.
    """
    pixels = image.reshape(-1, image.shape[2])
    return np.random.default_rng(seed).permutation(pixels).reshape(image.shape)
