"""Occlusion."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._batch_size import forward_batch_size
from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.attribution._masking import Baseline, baseline_image
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import ModelSpec

ROUNDING = 32  # times the precision of numbers: what a deep network's rounding amounts to
BLANK = "Covering any window changes the logit by no more than rounding does."


def _forward_passes(spec: ModelSpec, window: int, stride: int, **_: object) -> int:
    """Return one for each window, and one for the whole image."""
    window, stride = _fitted(min(spec.height, spec.width), window, stride)
    rows, columns = (-(-(side - window) // stride) + 1 for side in (spec.height, spec.width))
    return 1 + rows * columns


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
        Zeiler & Fergus 2014, section 4.2; of overlapping windows the mean, as in captum.
    """
    height, width = pixels.shape[2:]
    window, stride = _fitted(min(height, width), window, stride)
    windows = _windows(height, width, window, stride)
    covers = torch.zeros(height, width)
    for rows, columns in windows:
        covers[rows, columns] += 1
    size = forward_batch_size(pixels)
    batches = [windows[start : start + size] for start in range(0, len(windows), size)]
    maps = []
    for row, image in enumerate(torch.split(pixels, 1)):
        baseline = baseline_image(image, fill)
        with torch.no_grad():
            logits = classifier.logits(image)[:, target[row]]
            parts = [
                classifier.logits(_covered(image, baseline, part))[:, target[row]]
                for part in batches
            ]
        falls = (logits - torch.cat(parts)).cpu()
        total = torch.zeros(height, width, dtype=falls.dtype)
        for (rows, columns), fall in zip(windows, falls, strict=True):
            total[rows, columns] += fall
        maps.append(without_rounding((total / covers).to(image), logits))
    remark = f"Windows of {window} px every {stride} px."
    return Heatmap(torch.stack(maps), signed=True, blank=BLANK, remarks=(remark,) * len(maps))


def _windows(height: int, width: int, window: int, stride: int) -> list[tuple[slice, slice]]:
    """Return the rows and columns of every window; the last of a row ends with the image."""
    rows, columns = (
        [
            slice(start, min(start + window, side))
            for start in range(0, side - window + stride, stride)
        ]
        for side in (height, width)
    )
    return list(itertools.product(rows, columns))


def _covered(
    image: Float[Tensor, "1 c h w"],
    baseline: Float[Tensor, "1 c h w"],
    windows: Sequence[tuple[slice, slice]],
) -> Float[Tensor, "m c h w"]:
    """Return the image once for each window, covered there."""
    covered = image.repeat(len(windows), 1, 1, 1)
    for place, (rows, columns) in enumerate(windows):
        covered[place, :, rows, columns] = baseline[0, :, rows, columns]
    return covered


def without_rounding(values: Float[Tensor, "h w"], logits: Tensor) -> Float[Tensor, "h w"]:
    """Return a map of differences of logits; zero everywhere if they are no more than rounding.

    Args:
        values: Differences, in logits.
        logits: The logit of the target that was subtracted from.
    """
    rounding = ROUNDING * torch.finfo(logits.dtype).eps * logits.abs().max().clamp_min(1)
    return torch.zeros_like(values) if values.abs().max() <= rounding else values
