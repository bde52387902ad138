"""Attribution: where changing the pixels changes a logit most.

Promise of every method here: one heatmap per image, on a grid that covers the whole input; a
signed map is positive where the target logit is raised; a magnitude is never negative. What is
explained is the logit, never the probability, whose gradient vanishes on the images that are
classified with certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Heatmap:
    """One map per image.

    Args:
        values: Shape (n, h, w); h and w may be smaller than the input's, a cell then stands
            for a patch.
        signed: Whether values below zero mean "lowers the target logit".
        layer: The layer the map was taken at; empty for the pixels.
        blank: Why a map that is zero everywhere is so.
    """

    values: Float[Tensor, "n h w"]
    signed: bool
    layer: str = ""
    blank: str = "The gradient is zero at every pixel."


def check(heatmap: Heatmap, pixels: Tensor) -> None:
    """Hold a method to the family's promise.

    Raises:
        ValueError: When the shape or the sign is not as promised.
    """
    if heatmap.values.ndim != 3 or len(heatmap.values) != len(pixels):
        raise ValueError(f"Expected one map per image; got {tuple(heatmap.values.shape)}.")
    if not heatmap.signed and bool((heatmap.values < 0).any()):
        raise ValueError("A magnitude came out negative.")


def notes(heatmap: Heatmap) -> tuple[str, ...]:
    """Say of each image's map why it is blank or cannot be drawn; empty when it is fine."""

    def note(values: Tensor) -> str:
        if not bool(torch.isfinite(values).all()):
            bad = int((~torch.isfinite(values)).sum())
            return f"{bad} of {values.numel()} cells are not finite numbers."
        return "" if bool(values.any()) else heatmap.blank

    return tuple(note(values) for values in heatmap.values)
