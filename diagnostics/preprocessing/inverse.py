"""From what a network received back to an image that its preprocessing makes just that of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diagnostics.schema.preprocessing import Preprocessing


def framed(pixels: NDArray[np.uint8], settings: Preprocessing) -> NDArray[np.uint8]:
    """Return the image that a preprocessing makes this very picture of, as far as there is one.

    It has a border where the preprocessing cuts out the middle, and is inverted where that inverts.
    A contrast curve and a blur cannot be undone.

    Args:
        pixels: What the network should receive, shape (h, w, c).
        settings: The preprocessing.
    """
    height, width = pixels.shape[:2]
    whole = pixels
    tall, wide = max(settings.resize_px, height), max(settings.resize_px, width)
    if settings.fit == "crop" and min(tall, wide) == settings.resize_px:
        whole = np.empty((tall, wide, pixels.shape[2]), np.uint8)
        whole[:] = np.rint(pixels.mean((0, 1))).astype(np.uint8)
        top, left = round((tall - height) / 2), round((wide - width) / 2)
        whole[top : top + height, left : left + width] = pixels
    return 255 - whole if settings.invert else whole
