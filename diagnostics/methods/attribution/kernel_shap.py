"""KernelSHAP on a grid of cells."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from diagnostics.methods.attribution._batch_size import forward_batch_size
from diagnostics.methods.attribution._heatmap import Heatmap, completeness_remarks
from diagnostics.methods.attribution._masking import Baseline, baseline_image, cell_indices
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import ModelSpec

BLANK = "The image equals its fill, or covering cells does not change the logit."
MIN_SAMPLES = 4  # coalitions for each cell, so that the shares are determined


def _grid(height: int, width: int, cells: int) -> tuple[int, int]:
    return min(cells, height), min(cells, width)


def _forward_passes(spec: ModelSpec, cells: int, samples: int, **_: object) -> int:
    """Return one for each coalition, one for the image and one for its fill."""
    rows, columns = _grid(spec.height, spec.width, cells)
    players = rows * columns
    return 2 + len(coalitions(players, max(samples, MIN_SAMPLES * players), 0)[0])


@method(
    "KernelSHAP",
    kind="map",
    source="Lundberg & Lee 2017, arXiv:1705.07874",
    forward_passes=_forward_passes,
)
def kernel_shap(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    cells: Annotated[int, Range(2, 16)] = 7,
    samples: Annotated[int, Range(16, 20000)] = 500,
    fill: Baseline = "mean",
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
    players = rows * columns
    members, weights = coalitions(
        players, max(samples, MIN_SAMPLES * players), torch.initial_seed()
    )
    cell = cell_indices(pixels, rows, columns)
    maps, sums, rises = [], [], []
    for row, image in enumerate(torch.split(pixels, 1)):
        baseline, logits = baseline_image(image, fill), []
        with torch.no_grad():
            for batch in torch.split(members.to(image.device), forward_batch_size(pixels)):
                masked = torch.where(batch[:, cell][:, None], image, baseline)
                logits.append(classifier.logits(masked)[:, target[row]])
            ends = classifier.logits(torch.cat([baseline, image]))[:, target[row]].double().cpu()
        gains, rise = torch.cat(logits).double().cpu() - ends[0], ends[1] - ends[0]
        values = _shapley_values(members, weights, gains, rise)
        maps.append(values.reshape(rows, columns).to(image))
        sums.append(values.sum())
        rises.append(rise)
    remarks = completeness_remarks(sums, rises)
    return Heatmap(torch.stack(maps), signed=True, blank=BLANK, remarks=remarks)


@lru_cache(maxsize=8)
def coalitions(
    players: int, max_sets: int, seed: int
) -> tuple[Bool[Tensor, "m players"], Float[Tensor, " m"]]:
    """Return sets of players with their weights: every set where there are no more than allowed.

    Args:
        players: How many there are, two or more.
        max_sets: How many sets at most; the empty and the full set do not count.
        seed: Of the draw.

    Returns:
        Who is in each set, shape (m, players), and the weight of each set. Sets that are drawn come
        in pairs of opposites, each size as often as the Shapley kernel weighs it.
    """
    if players < 40 and 2**players - 2 <= max_sets:
        numbers = torch.arange(1, 2**players - 1)
        members = (numbers[:, None] >> torch.arange(players)) & 1 == 1
        weights = [
            1 / (math.comb(players, size) * size * (players - size))
            for size in members.sum(1).tolist()
        ]
        return members, torch.tensor(weights, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.arange(1, players, dtype=torch.float64)
    share = 1 / (sizes * (players - sizes))
    pairs = max_sets // 2
    drawn_sizes = torch.multinomial(share, pairs, replacement=True, generator=generator) + 1
    order = torch.rand(pairs, players, generator=generator).argsort(1).argsort(1)
    half = order < drawn_sizes[:, None]
    members = torch.stack([half, ~half], 1).flatten(0, 1)
    return members, torch.ones(len(members), dtype=torch.float64)


def _shapley_values(
    members: Bool[Tensor, "m players"],
    weights: Float[Tensor, " m"],
    gains: Float[Tensor, " m"],
    total: Float[Tensor, ""],
) -> Float[Tensor, " players"]:
    """Return what each player adds, so that all add up to the total.

    Args:
        members: Who is in each set.
        weights: Of the sets.
        gains: What each set gives beyond the empty one, float64.
        total: What all players together give beyond the empty set.

    Returns:
        The weighted least squares solution; the exact Shapley values where all sets are given.

    Source:
        Lundberg & Lee 2017, theorem 2.
    """
    present = members.double()
    last = present[:, -1:]
    root = weights.sqrt()[:, None]
    right_side = root * (gains[:, None] - last * total)
    fit = torch.linalg.lstsq(root * (present[:, :-1] - last), right_side, driver="gelsd")
    others = fit.solution[:, 0]
    return torch.cat([others, (total - others.sum())[None]])
