"""Insertion and deletion: curves and areas against networks whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.faithfulness._insertion_deletion import (
    Grid,
    deletion,
    deletion_area,
    insertion,
    insertion_area,
)
from tests.independent.slow_insertion_deletion import area as slow_area
from tests.networks_for_tests import FunctionalResidual, classifier


def ordered(heatmap):
    grid = Grid.over(torch.empty(1, 1, *heatmap.shape))
    return grid, grid.order(heatmap[None], torch.Generator().manual_seed(0))


@pytest.fixture
def adds():
    """A linear network to whose logit four pixels add 3, 2, 1 and −1."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    network[1].weight.data = torch.tensor([[3.0, 2.0, 1.0, -1.0]])
    return classifier(network.double(), 2, classes=1, dtype=torch.float64)


def test_contributions_go_in_their_order_with_the_known_areas(adds):
    image, black = torch.ones(1, 1, 2, 2).double(), torch.zeros(1, 1, 2, 2).double()
    grid, order = ordered(torch.tensor([[3.0, 2.0], [1.0, -1.0]]))
    curves = deletion(adds, image, black, 0, torch.cat([order, order.flip(1)]), grid)
    assert curves[0].tolist() == [5, 2, 0, -1, 0]
    assert deletion_area(curves[:1], grid).item() == pytest.approx(0.875)
    inserted = insertion(curves[1:])
    assert inserted[0].tolist() == [0, 3, 5, 6, 5]
    assert insertion_area(inserted, grid).item() == pytest.approx(4.125)


def test_areas_are_those_of_one_pixel_after_the_other():
    model = classifier(FunctionalResidual(1, 4), 6, 1, dtype=torch.float64)
    torch.manual_seed(0)
    image, heatmap = torch.rand(1, 1, 6, 6).double(), torch.rand(6, 6).double()
    grey = torch.full_like(image, 0.5)
    grid, order = ordered(heatmap)
    curves = deletion(model, image, grey, 2, torch.cat([order, order.flip(1)]), grid)

    def score(shown):
        return float(model.logits(torch.from_numpy(shown)[None, None])[0, 2])

    planes = [pixels[0, 0].numpy() for pixels in (image, grey)]
    deleted = slow_area(score, *planes, heatmap.numpy(), insert=False)
    inserted = slow_area(score, *planes, heatmap.numpy(), insert=True)
    assert deletion_area(curves[:1], grid).item() == pytest.approx(deleted, abs=1e-9)
    assert insertion_area(insertion(curves[1:]), grid).item() == pytest.approx(inserted, abs=1e-9)


@pytest.mark.parametrize("size", [(9, 7), (28, 28)])
def test_an_area_weighs_uneven_steps_by_their_width(size):
    """The curve is continued along straight lines to every single cell, and summed there."""
    grid = Grid.over(torch.empty(1, 1, *size))
    deleted = np.array(grid.deleted)
    assert len(set(np.diff(deleted))) == 2
    curve = np.random.default_rng(0).normal(size=len(deleted))

    def by_cells(counts):
        logits = np.interp(np.arange(grid.cells + 1), counts, curve)
        return (logits.sum() - (logits[0] + logits[-1]) / 2) / grid.cells

    curves = torch.from_numpy(curve)[None]
    assert deletion_area(curves, grid).item() == pytest.approx(by_cells(deleted))
    inserted = grid.cells - deleted[::-1]
    assert insertion_area(curves, grid).item() == pytest.approx(by_cells(inserted))


@pytest.mark.parametrize("side", [3, 28, 30, 224])
def test_a_step_takes_two_percent_at_most_where_there_are_so_many_cells(side):
    grid = Grid.over(torch.empty(1, 1, side, side))
    steps = np.diff(grid.deleted) / grid.cells
    assert grid.deleted[0] == 0
    assert grid.deleted[-1] == grid.cells
    assert steps.max() <= max(0.02 + 1 / grid.cells, 1 / grid.cells)
    assert torch.equal(grid.cell.unique(), torch.arange(grid.cells))


def test_a_small_map_ranks_the_cells_that_it_covers():
    grid = Grid.over(torch.empty(1, 1, 28, 28))
    heatmap = torch.zeros(1, 7, 7)
    heatmap[0, 1, 5] = 1  # covers rows 4 to 7 and columns 20 to 23, cells 2 and 3 by 10 and 11
    order = grid.order(heatmap, torch.Generator().manual_seed(0))[0]
    assert set(order[:4].tolist()) == {2 * 14 + 10, 2 * 14 + 11, 3 * 14 + 10, 3 * 14 + 11}
