"""Which parts of an image are kept, and what each part adds: behind KernelSHAP and RISE."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate


@lru_cache(maxsize=8)
def coalitions(
    players: int, most: int, seed: int
) -> tuple[Bool[Tensor, "m players"], Float[Tensor, " m"]]:
    """Return sets of players with their weights: every set where there are no more than allowed.

    Args:
        players: How many there are, two or more.
        most: How many sets at most; the empty and the whole set do not count.
        seed: Of the draw.

    Returns:
        Who is in each set, shape (m, players), and the weight of each set. Sets that are drawn come
        in pairs of opposites, each size as often as the Shapley kernel weighs it.
    """
    if players < 40 and 2**players - 2 <= most:
        numbers = torch.arange(1, 2**players - 1)
        every = (numbers[:, None] >> torch.arange(players)) & 1 == 1
        counted = every.sum(1).tolist()
        weight = [1 / (math.comb(players, one) * one * (players - one)) for one in counted]
        return every, torch.tensor(weight, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.arange(1, players, dtype=torch.float64)
    share = 1 / (sizes * (players - sizes))
    pairs = most // 2
    drawn = torch.multinomial(share, pairs, replacement=True, generator=generator) + 1
    order = torch.rand(pairs, players, generator=generator).argsort(1).argsort(1)
    half = order < drawn[:, None]
    both = torch.stack([half, ~half], 1).flatten(0, 1)
    return both, torch.ones(len(both), dtype=torch.float64)


def shapley(
    kept: Bool[Tensor, "m players"],
    weights: Float[Tensor, " m"],
    gains: Float[Tensor, " m"],
    total: Float[Tensor, ""],
) -> Float[Tensor, " players"]:
    """Return what each player adds, so that all add up to the total.

    Args:
        kept: Who is in each set.
        weights: Of the sets.
        gains: What each set gives beyond the empty one, float64.
        total: What all players together give beyond the empty set.

    Returns:
        The weighted least squares solution; the exact Shapley values where all sets are given.

    Source:
        Lundberg & Lee 2017, theorem 2.
    """
    members = kept.double()
    last = members[:, -1:]
    root = weights.sqrt()[:, None]
    known = gains[:, None] - last * total
    found = torch.linalg.lstsq(root * (members[:, :-1] - last), root * known, driver="gelsd")
    others = found.solution[:, 0]
    return torch.cat([others, (total - others.sum())[None]])


def smooth_masks(
    grids: Float[Tensor, "n cells cells"], shifts: Int[Tensor, "n 2"], size: tuple[int, int]
) -> Float[Tensor, "n h w"]:
    """Return grids of cells made large and smooth, and shifted by less than a cell.

    Args:
        grids: One where a cell is kept, zero elsewhere.
        shifts: Down and along, in pixels.
        size: Height and width of the masks.

    Source:
        Petsiuk et al. 2018, section 3.2; bilinear interpolation is one along the columns and then
        one along the rows, so that all masks are two products of matrices.
    """
    cells = grids.shape[1]
    for side, shift in zip(size, shifts.unbind(1), strict=True):
        whole = (cells + 1) * cell_px(side, cells)
        large = interpolate(torch.eye(cells)[None], size=whole, mode="linear")[0].T
        grids = torch.bmm(large[shift[:, None] + torch.arange(side)], grids).mT
    return grids


def cell_px(side: int, cells: int) -> int:
    """Return how many pixels a cell of a mask is long."""
    return -(-side // cells)
