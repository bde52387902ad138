"""RISE."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution import Fill, Heatmap, filled, forward_at_once
from diagnostics.methods.attribution._coalitions import cell_px, smooth_masks
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range

BLANK = "The logit does not depend on which pixels are kept."


@method(
    "RISE",
    kind="map",
    source="Petsiuk et al. 2018, arXiv:1806.07421",
    forward_passes=lambda _spec, masks, **_: masks,
)
def rise(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    masks: Annotated[int, Range(16, 10000)] = 1000,
    cells: Annotated[int, Range(2, 28)] = 7,
    keep: Annotated[float, Range(0.05, 0.95)] = 0.5,
    fill: Fill = "black",
) -> Heatmap:
    """How much higher the logit is on average while a pixel is kept under a random mask.

    Args:
        classifier: The classifier explained; no gradients are needed.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        masks: How many random masks are tried; every image gets the same.
        cells: How many cells a mask has in a row and in a column, before it is made smooth.
        keep: Share of the cells that are kept.
        fill: What stands where a mask covers the image.

    Returns:
        Signed, in logits: the mean logit weighed by how far a pixel is kept, minus the plain mean
        over all masks. Same height and width as the pixels.

    Source:
        Petsiuk et al. 2018, equation 6, of the logit, with the masks' own sum instead of its
        expectation.
    """
    height, width = pixels.shape[2:]
    generator = torch.Generator().manual_seed(torch.initial_seed())
    grids = (torch.rand(masks, cells, cells, generator=generator) < keep).float()
    shifts = torch.stack(
        [
            torch.randint(cell_px(side, cells), (masks,), generator=generator)
            for side in (height, width)
        ],
        1,
    )
    at_once = forward_at_once(pixels)
    maps = []
    for row, image in enumerate(torch.split(pixels, 1)):
        nothing, total = filled(image, fill), 0.0
        weighed, kept = (torch.zeros(height, width, dtype=torch.float64) for _ in range(2))
        for part in zip(torch.split(grids, at_once), torch.split(shifts, at_once), strict=True):
            drawn = smooth_masks(*part, (height, width))
            with torch.no_grad():
                covered = torch.lerp(nothing, image, drawn[:, None].to(image))
                logits = classifier.logits(covered)[:, target[row]].double().cpu()
            weighed += torch.einsum("n,nhw->hw", logits, drawn.double())
            kept, total = kept + drawn.double().sum(0), total + float(logits.sum())
        maps.append((weighed / kept.clamp_min(1e-9) - total / masks).to(image))
    return Heatmap(torch.stack(maps), signed=True, blank=BLANK)
