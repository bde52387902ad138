"""What stands for a missing part of an image, and which part each pixel belongs to."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.models import infill

Baseline: TypeAlias = Literal["mean", "black", "grey", "white", "blur"]
LEVELS = {"black": 0.0, "grey": 0.5, "white": 1.0}


def baseline_image(
    pixels: Float[Tensor, "n c h w"], baseline: Baseline
) -> Float[Tensor, "n c h w"]:
    """Return images that stand for "nothing", of the same size.

    Args:
        pixels: Images, values in [0, 1].
        baseline: "mean" is each image's own mean colour; "blur" the image, blurred by a twentieth
            of its side.
    """
    if baseline == "mean":
        return infill.image_mean(pixels)
    if baseline == "blur":
        side_px = min(pixels.shape[2:])
        return infill.gaussian_blur(pixels, max(side_px / 20, 0.5), max(3 * side_px // 20, 1))
    return infill.constant(pixels, LEVELS[baseline])


def cell_indices(pixels: Tensor, rows: int, columns: int) -> Int[Tensor, "h w"]:
    """Return in which cell of a grid each pixel lies, counted row by row."""
    height, width = pixels.shape[2:]
    row = torch.arange(height, device=pixels.device) * rows // height
    column = torch.arange(width, device=pixels.device) * columns // width
    return row[:, None] * columns + column
