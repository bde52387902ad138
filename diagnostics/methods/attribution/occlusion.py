"""Occlusion."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution import Fill, Heatmap, at_once, filled, without_rounding
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import ModelSpec

BLANK = "Covering any window changes the logit by no more than rounding does."


def _windows(spec: ModelSpec, window: int, stride: int, **_: object) -> int:
    """Return how many images the network is asked about for each image."""
    window, stride = _fitting(min(spec.height, spec.width), window, stride)
    rows, columns = (-(-(side - window) // stride) + 1 for side in (spec.height, spec.width))
    return 2 + rows * columns


def _fitting(side: int, window: int, stride: int) -> tuple[int, int]:
    """Take at most a quarter of the image for a window, and at most the window for a stride."""
    window = max(1, min(window, side // 4))
    return window, min(stride, window)


@method(
    "Occlusion", kind="map", source="Zeiler & Fergus 2014, arXiv:1311.2901", forward_passes=_windows
)
def occlusion(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    window: Annotated[int, Range(1, 128, "px")] = 32,
    stride: Annotated[int, Range(1, 128, "px")] = 16,
    fill: Fill = "mean",
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

    window, stride = _fitting(min(pixels.shape[2:]), window, stride)
    explainer = captum.attr.Occlusion(classifier.logits)
    maps = []
    for row, image in enumerate(torch.split(pixels, 1)):
        found = explainer.attribute(
            image,
            (image.shape[1], window, window),
            (image.shape[1], stride, stride),
            filled(image, fill),
            target[row : row + 1],
            perturbations_per_eval=at_once(pixels),
        )
        with torch.no_grad():
            logits = classifier.logits(image)[:, target[row]]
        maps.append(without_rounding(found[0, 0], logits))  # a window covers all channels alike
    used = f"Windows of {window} px every {stride} px."
    return Heatmap(torch.stack(maps), signed=True, blank=BLANK, remarks=(used,) * len(maps))
