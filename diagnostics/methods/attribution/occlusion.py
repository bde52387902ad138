"""Occlusion."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._batch_size import batch_size
from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.attribution._masking import Baseline, baseline_image
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import ModelSpec

ROUNDING = 32  # times the precision of numbers: what a deep network's rounding amounts to
BLANK = "Covering any window changes the logit by no more than rounding does."


def _forward_passes(spec: ModelSpec, window: int, stride: int, **_: object) -> int:
    """Return one for each window, and two for the whole image."""
    window, stride = _fitted(min(spec.height, spec.width), window, stride)
    rows, columns = (-(-(side - window) // stride) + 1 for side in (spec.height, spec.width))
    return 2 + rows * columns


def _fitted(side: int, window: int, stride: int) -> tuple[int, int]:
    """Take at most a quarter of the image for a window, and at most the window for a stride."""
    window = max(1, min(window, side // 4))
    return window, min(stride, window)


@method(
    "Occlusion",
    kind="map",
    source="Zeiler & Fergus 2014, arXiv:1311.2901",
    forward_passes=_forward_passes,
)
def occlusion(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    window: Annotated[int, Range(1, 128, "px")] = 32,
    stride: Annotated[int, Range(1, 128, "px")] = 16,
    fill: Baseline = "mean",
) -> Heatmap:
    """How much the logit falls when a window of the image is covered.

    Args:
        classifier: The classifier explained; no gradients are needed.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        window: Side of the square that is covered; at most a quarter of the image is taken.
        stride: Distance from one window to the next; at most the window is taken.
        fill: What covers the window.

    Returns:
        Signed, in logits: the mean over the windows that cover a pixel of the fall of the logit;
        negative where covering raises it. Same height and width as the pixels.

    Source:
        Zeiler & Fergus 2014, section 4.2; computed by captum.
    """
    import captum.attr  # brings matplotlib, which every worker would wait for at its start

    window, stride = _fitted(min(pixels.shape[2:]), window, stride)
    explainer = captum.attr.Occlusion(classifier.logits)
    maps = []
    for row, image in enumerate(torch.split(pixels, 1)):
        attribution = explainer.attribute(
            image,
            (image.shape[1], window, window),
            (image.shape[1], stride, stride),
            baseline_image(image, fill),
            target[row : row + 1],
            perturbations_per_eval=batch_size(pixels),
        )
        with torch.no_grad():
            logits = classifier.logits(image)[:, target[row]]
        values = attribution[0, 0]  # a window covers all channels alike
        maps.append(without_rounding(values, logits))
    remark = f"Windows of {window} px every {stride} px."
    return Heatmap(torch.stack(maps), signed=True, blank=BLANK, remarks=(remark,) * len(maps))


def without_rounding(values: Float[Tensor, "h w"], logits: Tensor) -> Float[Tensor, "h w"]:
    """Return a map of differences of logits; zero everywhere if they are no more than rounding.

    Args:
        values: Differences, in logits.
        logits: The logit of the target that was subtracted from.
    """
    rounding = ROUNDING * torch.finfo(logits.dtype).eps * logits.abs().max().clamp_min(1)
    return torch.zeros_like(values) if values.abs().max() <= rounding else values
