"""KernelSHAP on a grid of cells."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution import Fill, Heatmap, cell_of, filled, forward_at_once
from diagnostics.methods.attribution import summing_remarks as remarks_of
from diagnostics.methods.attribution._coalitions import coalitions, shapley
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import ModelSpec

BLANK = "The image equals its fill, or covering cells does not change the logit."
LEAST = 4  # coalitions for each cell, so that the shares are determined


def _grid(height: int, width: int, cells: int) -> tuple[int, int]:
    return min(cells, height), min(cells, width)


def _asked(spec: ModelSpec, cells: int, samples: int, **_: object) -> int:
    """Return how many images the network is asked about for each image."""
    rows, columns = _grid(spec.height, spec.width, cells)
    return 2 + len(coalitions(rows * columns, max(samples, LEAST * rows * columns), 0)[0])


@method(
    "KernelSHAP", kind="map", source="Lundberg & Lee 2017, arXiv:1705.07874", forward_passes=_asked
)
def kernel_shap(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    cells: Annotated[int, Range(2, 16)] = 7,
    samples: Annotated[int, Range(16, 20000)] = 500,
    fill: Fill = "mean",
) -> Heatmap:
    """How much each cell of a grid adds to the logit, averaged over which others are there.

    Args:
        classifier: The classifier explained; no gradients are needed.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        cells: How many cells there are in a row and in a column.
        samples: How many sets of cells are tried; four for each cell at least. All sets are, where
            there are no more.
        fill: What stands where a cell is missing.

    Returns:
        Signed, in logits, on the grid of the cells: estimates of their Shapley values, exact where
        all sets are tried or cells do not act together. They sum to the logit of the image minus
        that of the fill.

    Source:
        Lundberg & Lee 2017, theorem 2; in pairs of opposite sets, the sum held exactly: Covert &
        Lee 2021, arXiv:2012.01536.
    """
    rows, columns = _grid(pixels.shape[2], pixels.shape[3], cells)
    count = rows * columns
    kept, weights = coalitions(count, max(samples, LEAST * count), torch.initial_seed())
    place = cell_of(pixels, rows, columns)
    maps, sums, rises = [], [], []
    for row, image in enumerate(torch.split(pixels, 1)):
        nothing = filled(image, fill)
        scores = []
        with torch.no_grad():
            for part in torch.split(kept.to(image.device), forward_at_once(pixels)):
                mixed = torch.where(part[:, place][:, None], image, nothing)
                scores.append(classifier.logits(mixed)[:, target[row]])
            ends = classifier.logits(torch.cat([nothing, image]))[:, target[row]].double().cpu()
        found = shapley(kept, weights, torch.cat(scores).double().cpu() - ends[0], ends.diff()[0])
        maps.append(found.reshape(rows, columns).to(image))
        sums.append(found.sum())
        rises.append(ends.diff()[0])
    return Heatmap(torch.stack(maps), True, blank=BLANK, remarks=remarks_of(sums, rises))
