"""Insertion and deletion: the logit while cells of an image are put back or taken away in order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from diagnostics.methods.attribution import cell_indices, forward_batch_size
from diagnostics.models.classifier import Classifier

SIDE = 14  # cells in a row and in a column; a cell is 16 px of an image of 224
STEPS = 50  # so that a step takes at most 2 % of the image, where there are so many cells


@dataclass(frozen=True)
class Grid:
    """The cells of an image.

    Args:
        rows: How many there are in a column.
        columns: How many there are in a row.
        cell: In which cell each pixel lies.
    """

    rows: int
    columns: int
    cell: Int[Tensor, "h w"]

    @classmethod
    def over(cls, pixels: Tensor) -> Grid:
        """Return the grid that lies over images."""
        rows, columns = min(SIDE, pixels.shape[2]), min(SIDE, pixels.shape[3])
        return cls(rows, columns, cell_indices(pixels, rows, columns))

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    @property
    def deleted(self) -> list[int]:
        """How many cells are gone at each step, from none to all."""
        steps = min(STEPS, self.cells)
        return [step * self.cells // steps for step in range(steps + 1)]

    def order(self, maps: Float[Tensor, "r h w"], generator: torch.Generator) -> Int[Tensor, "r m"]:
        """Return the cells of each map from its largest mean to its smallest; ties at random."""
        size = (self.cell.shape[0], self.cell.shape[1])
        maps = maps.double().cpu()
        if maps.shape[1:] != size:
            maps = interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
        cell = self.cell.flatten().cpu()
        sums = torch.zeros(len(maps), self.cells, dtype=torch.float64)
        sums.index_add_(1, cell, maps.flatten(1))
        means = sums / torch.bincount(cell, minlength=self.cells)
        shuffled = torch.rand(means.shape, generator=generator).argsort(1)
        ranked = torch.argsort(means.gather(1, shuffled), dim=1, descending=True, stable=True)
        return shuffled.gather(1, ranked)


@torch.no_grad()
def deletion(
    classifier: Classifier,
    image: Float[Tensor, "1 c h w"],
    baseline: Float[Tensor, "1 c h w"],
    target: int,
    orders: Int[Tensor, "r m"],
    grid: Grid,
) -> Float[Tensor, "r steps"]:
    """Return the target's logit while cells are taken away, for each order of the cells.

    The insertion curve of an order is the deletion curve of the opposite order, read backwards.

    Args:
        classifier: The classifier explained.
        image: Pixels in [0, 1].
        baseline: What stands where a cell is gone.
        target: Index of the class.
        orders: Which cell goes first, second and so on.
        grid: The cells.

    Returns:
        One logit for each step of the grid, that of the complete image first; float64.
    """
    rank = orders.argsort(1)  # how many cells go before each
    deleted = torch.tensor(grid.deleted)
    visible = (rank[:, None, :] >= deleted[None, :, None]).flatten(0, 1).to(image.device)
    logits = []
    for batch in torch.split(visible, forward_batch_size(image)):
        masked = torch.where(batch[:, grid.cell][:, None], image, baseline)
        logits.append(classifier.logits(masked)[:, target].double().cpu())
    return torch.cat(logits).reshape(len(orders), len(deleted))


def insertion(opposite: Float[Tensor, "r steps"]) -> Float[Tensor, "r steps"]:
    """Return the insertion curves of orders from the deletion curves of their opposites."""
    return opposite.flip(1)


def deletion_area(curves: Float[Tensor, "r steps"], grid: Grid) -> Float[Tensor, " r"]:
    """Return the areas under deletion curves over the share of the cells, 0 to 1, by trapezoids."""
    return torch.trapezoid(curves, _deleted_shares(grid))


def insertion_area(curves: Float[Tensor, "r steps"], grid: Grid) -> Float[Tensor, " r"]:
    """Return the areas under insertion curves, whose steps are those of deletion backwards."""
    return torch.trapezoid(curves, 1 - _deleted_shares(grid).flip(0))


def _deleted_shares(grid: Grid) -> Float[Tensor, " steps"]:
    return torch.tensor(grid.deleted, dtype=torch.float64) / grid.cells
