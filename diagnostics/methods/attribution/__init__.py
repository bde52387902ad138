"""Attribution: where changing the pixels changes a logit most.

Promise of every method here: one heatmap per image, on a grid that covers the whole input; a
signed map is positive where the target logit is raised; a magnitude is never negative. What is
explained is the logit, never the probability, whose gradient vanishes on the images that are
classified with certainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.errors import NotOfferedError
from diagnostics.models.classifier import Classifier
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import last_maps, layout, token_grid
from diagnostics.schema.spec import LayerInfo, ModelSpec

ROUNDING = 32  # times the precision of numbers: what a deep network's rounding amounts to

FEW, SMALL = 64, 28**2  # so many images of so many values stay in the processor's cache

Fill: TypeAlias = Literal["mean", "black", "grey", "white", "blur"]


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


def layer_with_maps(spec: ModelSpec, name: str) -> LayerInfo:
    """Return the layer of that name, or the usual one when it is empty.

    Raises:
        NotOfferedError: When the layer gives no maps, or none does.
    """
    usual = last_maps(spec)
    info = spec.layer(name or usual)
    if not usual:
        raise NotOfferedError(
            "This needs a layer that gives maps; this network has dense layers only. Gradient "
            "saliency works here."
        )
    if info is None or not info.shape:
        raise NotOfferedError(f"Layer {name} did not run, so there are no maps to weigh.")
    arranged = layout(info, (spec.height, spec.width))
    grid = arranged == "tokens" and token_grid(info.shape[0], (spec.height, spec.width))
    if not grid and not arranged.startswith("channels"):
        raise NotOfferedError(
            f"This needs a layer that gives maps; {info.name} gives {list(info.shape)}."
        )
    return info


def maps_of(
    values: Mapping[str, Tensor], layer: LayerInfo, spec: ModelSpec
) -> Float[Tensor, "n c h w"]:
    """Return a layer's maps, outside the autograd graph, see `layer_with_maps`."""
    maps = as_maps(values[layer.name].detach(), layer, (spec.height, spec.width))
    if maps is None:
        raise ValueError(f"{layer.name} gives no maps.")
    return maps


def at_once(pixels: Tensor) -> int:
    """Return how many images a method that asks about many should ask about at once."""
    return 64 if pixels.is_cuda else 10


def forward_at_once(pixels: Tensor) -> int:
    """Return how many images to ask about at once where no gradients are kept."""
    if pixels.is_cuda:
        return 256
    return max(at_once(pixels), min(FEW, FEW * SMALL // max(pixels[0].numel(), 1)))


def cell_of(pixels: Tensor, rows: int, columns: int) -> Int[Tensor, "h w"]:
    """Return in which cell of a grid each pixel lies, counted row by row."""
    height, width = pixels.shape[2:]
    down = torch.arange(height, device=pixels.device) * rows // height
    across = torch.arange(width, device=pixels.device) * columns // width
    return down[:, None] * columns + across


def pixel_gradient(
    classifier: Classifier, pixels: Float[Tensor, "n c h w"], target: Int[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Return the gradient of each image's target logit with respect to its pixels."""
    with torch.enable_grad():
        pixels = pixels.detach().requires_grad_()
        score = classifier.logits(pixels).gather(1, target[:, None]).sum()
        return torch.autograd.grad(score, pixels)[0]


def filled(image: Float[Tensor, "n c h w"], fill: Fill) -> Float[Tensor, "n c h w"]:
    """Return an image that stands for "nothing", of the same size.

    Args:
        image: Pixels in [0, 1].
        fill: "mean" is the image's own mean colour; "blur" the image, blurred by a twentieth of
            its side.
    """
    if fill == "mean":
        return image.mean((2, 3), keepdim=True).expand_as(image)
    if fill == "blur":
        from torchvision.transforms.v2.functional import gaussian_blur

        side = min(image.shape[2:])
        reach = min(max(3 * side // 20, 1), side - 1)
        blurred: Tensor = gaussian_blur(image, [2 * reach + 1] * 2, [max(side / 20, 0.5)] * 2)
        return blurred
    return torch.full_like(image, {"black": 0.0, "grey": 0.5, "white": 1.0}[fill])


def without_rounding(values: Float[Tensor, "h w"], logits: Tensor) -> Float[Tensor, "h w"]:
    """Return a map of differences of logits; zero everywhere if they are no more than rounding.

    Args:
        values: Differences, in logits.
        logits: The logit of the target that was subtracted from.
    """
    noise = ROUNDING * torch.finfo(logits.dtype).eps * logits.abs().max().clamp_min(1)
    return torch.zeros_like(values) if values.abs().max() <= noise else values


def summing_remarks(sums: Iterable[Tensor], rises: Iterable[Tensor]) -> tuple[str, ...]:
    """Say of each map what it sums to, and what it should sum to, in logits."""
    return tuple(
        f"The map sums to {float(total):.3g} of {float(rise):.3g} logits.".replace("-", "−")
        for total, rise in zip(sums, rises, strict=True)
    )


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
