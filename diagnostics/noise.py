"""Images that show nothing: noise and blanks, the same for the same seed."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["uniform", "gaussian", "salt-and-pepper", "constant", "checkerboard"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GREY_STD = 0.25
SQUARES = 8  # of a checkerboard, along the shorter side


def generate(
    kind: Kind, height: int, width: int, channels: int, *, seed: int = 0, level: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image of noise, or a blank one.

    Args:
        kind: "uniform" draws every value from 0..255 alike; "gaussian" around `level` with a
            standard deviation of a quarter of the range, clipped; "salt-and-pepper" turns the
            share `level` of the pixels of a mid-grey image black or white; "constant" is `level`;
            "checkerboard" has eight squares along the shorter side, black and of `level`.
        height: In px.
        width: In px.
        channels: 1 or 3.
        seed: Seed of the draw.
        level: What the kind makes of it, 0 to 1.

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
    elif kind == "salt-and-pepper":
        draws = random.random((height, width, 1))
        values = np.where(draws < level / 2, 0.0, np.where(draws < level, 1.0, 0.5))
        values = np.broadcast_to(values, shape)
    elif kind == "checkerboard":
        square = max(min(height, width) // SQUARES, 1)
        rows, columns = np.indices((height, width)) // square
        values = values * ((rows + columns) % 2)[..., None]
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
