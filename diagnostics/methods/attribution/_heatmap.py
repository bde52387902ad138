"""A heatmap, and what the family promises of it."""

from __future__ import annotations

from collections.abc import Iterable
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
        remarks: What should be read with each image's map; none when empty.
        any_class: Whether the map is the same whatever class is explained.
        rises: By how much each image's logit rises over its baseline, where the map promises to
            sum to that; empty where it promises nothing.
    """

    values: Float[Tensor, "n h w"]
    signed: bool
    layer: str = ""
    blank: str = "The gradient is zero at every pixel."
    remarks: tuple[str, ...] = ()
    any_class: bool = False
    rises: tuple[float, ...] = ()


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
    return tuple(_note(values, heatmap.blank) for values in heatmap.values)


def completeness_remarks(sums: Iterable[Tensor], rises: Iterable[Tensor]) -> tuple[str, ...]:
    """Say of each map what it sums to, and what it should sum to, in logits."""
    return tuple(
        f"The map sums to {float(total):.3g} of {float(rise):.3g} logits.".replace("-", "−")
        for total, rise in zip(sums, rises, strict=True)
    )


def _note(values: Float[Tensor, "h w"], blank: str) -> str:
    not_finite = int((~torch.isfinite(values)).sum())
    if not_finite:
        return f"{not_finite} of {values.numel()} cells are not finite numbers."
    return "" if bool(values.any()) else blank
