"""Insertion and deletion: the logit while cells of an image are put back or taken away in order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from diagnostics.methods.attribution import cell_of, forward_at_once
from diagnostics.models.classifier import Classifier

SIDE = 14  # cells in a row and in a column; a cell is 16 px of an image of 224
STEPS = 50  # so that a step takes at most 2 % of the image, where there are so many cells


@dataclass(frozen=True)
class Grid:
    """The cells of an image.

    Args:
        rows: How many there are in a column.
        columns: How many there are in a row.
        place: In which cell each pixel lies.
    """

    rows: int
    columns: int
    place: Int[Tensor, "h w"]

    @classmethod
    def over(cls, pixels: Tensor, side: int = SIDE) -> Grid:
        """Return the grid that lies over images, of at most so many cells along each side."""
        rows, columns = min(side, pixels.shape[2]), min(side, pixels.shape[3])
        return cls(rows, columns, cell_of(pixels, rows, columns))

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    @property
    def counts(self) -> list[int]:
        """How many cells are gone at each step, from none to all."""
        steps = min(STEPS, self.cells)
        return [step * self.cells // steps for step in range(steps + 1)]

    def order(self, maps: Float[Tensor, "r h w"], generator: torch.Generator) -> Int[Tensor, "r m"]:
        """Return the cells of each map from its largest mean to its smallest; ties at random."""
        size = (self.place.shape[0], self.place.shape[1])
        maps = maps.double().cpu()
        if maps.shape[1:] != size:
            maps = interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
        place = self.place.flatten().cpu()
        sums = torch.zeros(len(maps), self.cells, dtype=torch.float64)
        sums.index_add_(1, place, maps.flatten(1))
        means = sums / torch.bincount(place, minlength=self.cells)
        mixed = torch.rand(means.shape, generator=generator).argsort(1)
        ranked = torch.argsort(means.gather(1, mixed), dim=1, descending=True, stable=True)
        return mixed.gather(1, ranked)


@torch.no_grad()
def deletion(
    classifier: Classifier,
    image: Float[Tensor, "1 c h w"],
    nothing: Float[Tensor, "1 c h w"],
    target: int,
    orders: Int[Tensor, "r m"],
    grid: Grid,
) -> Float[Tensor, "r steps"]:
    """Return the target's logit while cells are taken away, for each order of the cells.

    The insertion curve of an order is the deletion curve of the opposite order, read backwards.

    Args:
        classifier: The classifier asked.
        image: Pixels in [0, 1].
        nothing: What stands where a cell is gone.
        target: Index of the class.
        orders: Which cell goes first, second and so on.
        grid: The cells.

    Returns:
        One logit for each of the grid's counts, the whole image first; float64.
    """
    gone_at = orders.argsort(1)  # the step at which each cell goes
    counts = torch.tensor(grid.counts)
    kept = (gone_at[:, None, :] >= counts[None, :, None]).flatten(0, 1).to(image.device)
    found = []
    for part in torch.split(kept, forward_at_once(image)):
        mixed = torch.where(part[:, grid.place][:, None], image, nothing)
        found.append(classifier.logits(mixed)[:, target].double().cpu())
    return torch.cat(found).reshape(len(orders), len(counts))


def insertion(backwards: Float[Tensor, "r steps"]) -> Float[Tensor, "r steps"]:
    """Return the insertion curves of orders from the deletion curves of their opposites."""
    return backwards.flip(1)


def area(curves: Float[Tensor, "r steps"], grid: Grid, *, inserts: bool) -> Float[Tensor, " r"]:
    """Return the areas under curves over the share of the cells, 0 to 1, by trapezoids.

    Args:
        curves: Logits at each of the grid's counts.
        grid: The cells.
        inserts: Whether the curves are of insertion, whose steps are those of deletion backwards.
    """
    shares = torch.tensor(grid.counts, dtype=torch.float64) / grid.cells
    return torch.trapezoid(curves, (1 - shares.flip(0)) if inserts else shares)
