"""RISE."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from diagnostics.methods.attribution._batch_size import forward_batch_size
from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.attribution._masking import Baseline, baseline_image
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
    fill: Baseline = "black",
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
    shifts_px = torch.stack(
        [
            torch.randint(_cell_px(side, cells), (masks,), generator=generator)
            for side in (height, width)
        ],
        1,
    )
    batch = forward_batch_size(pixels)
    maps = []
    for row, image in enumerate(torch.split(pixels, 1)):
        baseline, total_logit = baseline_image(image, fill), 0.0
        sums = torch.zeros(2, height * width, dtype=torch.float64)  # of weighed masks, and of masks
        for part in zip(torch.split(grids, batch), torch.split(shifts_px, batch), strict=True):
            smooth = _smooth_masks(*part, (height, width))
            with torch.no_grad():
                masked = torch.lerp(baseline, image, smooth[:, None].to(image))
                logits = classifier.logits(masked)[:, target[row]].cpu()
            weights = torch.stack([logits, torch.ones_like(logits)])
            sums += weights @ smooth.flatten(1).to(weights)
            total_logit += float(logits.double().sum())
        weighted_logits, total_mask = sums.view(2, height, width)
        mean_logit = total_logit / masks
        maps.append((weighted_logits / total_mask.clamp_min(1e-9) - mean_logit).to(image))
    return Heatmap(torch.stack(maps), signed=True, blank=BLANK)


def _smooth_masks(
    grids: Float[Tensor, "n cells cells"], shifts_px: Int[Tensor, "n 2"], size: tuple[int, int]
) -> Float[Tensor, "n h w"]:
    """Return grids of cells made large and smooth, and shifted by less than a cell.

    Args:
        grids: One where a cell is kept, zero elsewhere.
        shifts_px: Down and along.
        size: Height and width of the masks.

    Source:
        Petsiuk et al. 2018, section 3.2; bilinear interpolation is one along the columns and then
        one along the rows, so that all masks are two products of matrices.
    """
    cells = grids.shape[1]
    for side, shift in zip(size, shifts_px.unbind(1), strict=True):
        enlarged = (cells + 1) * _cell_px(side, cells)
        weights = interpolate(torch.eye(cells)[None], size=enlarged, mode="linear")[0].T
        grids = torch.bmm(weights[shift[:, None] + torch.arange(side)], grids).mT
    return grids


def _cell_px(side: int, cells: int) -> int:
    return -(-side // cells)
