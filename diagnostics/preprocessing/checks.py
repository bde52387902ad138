"""What a person should know about an image and its preprocessing before believing an answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.image import Decoded, as_values, strips
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Array
from diagnostics.schema.preprocessing import Preprocessing

STRETCHED, CROPPED, ENLARGED = 0.10, 0.5, 4.0
GREY_TOLERANCE = 1 / 255


def warnings(
    image: Decoded,
    settings: Preprocessing,
    pixels: NDArray[np.float32],
    *,
    dark_background: bool = False,
) -> list[str]:
    """Return one sentence for everything about this image that may spoil the answer.

    Args:
        image: The decoded image.
        settings: What it goes through.
        pixels: What comes out, shape (c, h, w), values in [0, 1].
        dark_background: Whether the network was trained on bright strokes on a dark ground.
    """
    said = [*_geometry(image, settings), *_colour(image, settings), *_scale(settings)]
    if image.array.max() == image.array.min():
        value = float(as_values(image.array[:1, :1]).flat[0])
        said.append(f"All pixels have the same value, {value:.2f}.")
    elif dark_background:
        said += _polarity(pixels[0])
    return said


def _geometry(image: Decoded, settings: Preprocessing) -> list[str]:
    tall, wide = image.array.shape[:2]
    height, width = settings.height, settings.width
    said = []
    stretch = (wide / tall) / (width / height)
    if settings.fit == "stretch" and max(stretch, 1 / stretch) > 1 + STRETCHED:
        change = max(stretch, 1 / stretch) - 1
        said.append(
            f"The aspect ratio changes by {change:.0%} ({wide} × {tall} becomes {width} × "
            f"{height}); choose crop or letterbox to keep it."
        )
    if settings.fit == "crop":
        down, across = stages.shortest_side(image.array, settings.resize_px)
        kept = min(height / down, 1) * min(width / across, 1)
        if kept < 1 - CROPPED:
            said.append(
                f"{1 - kept:.0%} of the image is cropped away; choose letterbox to keep it whole."
            )
    if settings.fit != "none":
        growth = max(height / tall, width / wide)
        if growth > ENLARGED:
            said.append(
                f"The image is enlarged {growth:.1f} times, from {wide} × {tall}; what looks like "
                "detail to the network is interpolation."
            )
    return said


def _colour(image: Decoded, settings: Preprocessing) -> list[str]:
    spread = max(map(_channel_spread, strips(image.array)))
    if settings.colour and not settings.grey and spread < GREY_TOLERANCE:
        return ["A grey image goes into a colour network: its three channels are equal."]
    if not settings.colour and spread > 0.1:
        return ["A coloured image goes into a grey network: its colours are lost."]
    return []


def _channel_spread(array: Array) -> float:
    """Return how far a channel is at most from the first."""
    first, *others = np.moveaxis(as_values(array), 2, 0)
    return max((float(np.abs(other - first).max()) for other in others), default=0.0)


def _scale(settings: Preprocessing) -> list[str]:
    top, mean = settings.value_range, max(settings.mean)
    if (top == 1 and mean > 1) or (top == 255 and mean != 0 and abs(mean) < 1):
        return [
            f"Values in 0..{top} meet a mean of {mean:g}, which belongs to the other range; "
            "choose the range that mean and std were measured in."
        ]
    return []


def _polarity(pixels: NDArray[np.float32]) -> list[str]:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if float(np.quantile(edge, 0.25)) > 0.5:  # noise has bright pixels, but no background
        return [
            "The background is bright, and this network was trained on bright strokes on a dark "
            "ground; try to invert."
        ]
    return []
