"""KernelSHAP and RISE: what covering parts of an image says."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
import torch
from torch import nn

from diagnostics.methods.attribution.kernel_shap import coalitions, kernel_shap
from diagnostics.methods.attribution.rise import rise
from diagnostics.methods.registry import find
from tests.independent.slow_rise import slow_rise
from tests.networks_for_tests import FunctionalResidual, classifier, linear, seeded

TARGET = torch.tensor([1, 3])


def images(side=9, channels=1):
    torch.manual_seed(2)
    return torch.rand(2, channels, side, side)


@pytest.mark.parametrize(("cells", "samples"), [(3, 510), (4, 100)], ids=["every set", "drawn"])
def test_kernel_shap_of_a_linear_network_is_what_the_cells_add(cells, samples):
    network = seeded(linear(64), 1)
    values = kernel_shap(
        classifier(network, 8), images(8), TARGET, cells=cells, samples=samples, fill="grey"
    ).values
    parts = network[1].weight[TARGET].reshape(2, 8, 8) * (images(8)[:, 0] - 0.5)
    cell = torch.arange(8) * cells // 8
    expected = torch.zeros(2, cells, cells)
    for row in range(8):
        for column in range(8):
            expected[:, cell[row], cell[column]] += parts[:, row, column].detach()
    assert torch.allclose(values, expected, atol=2e-5)


def test_kernel_shap_with_every_set_is_the_mean_over_all_orders():
    """The definition of Shapley values, set by set."""
    model = classifier(seeded(FunctionalResidual(classes=4), 1), 8, 3, dtype=torch.float64)
    image = images(8, 3).double()[:1]
    values = kernel_shap(model, image, TARGET[:1], cells=2, samples=16, fill="black").values[0]

    def value(cells):
        shown = torch.zeros_like(image)
        for cell in cells:
            part = (..., slice(4 * (cell // 2), 4 * (cell // 2) + 4), slice(4 * (cell % 2), None))
            part = (*part[:2], slice(4 * (cell % 2), 4 * (cell % 2) + 4))
            shown[part] = image[part]
        return float(model.logits(shown)[0, TARGET[0]])

    for cell in range(4):
        others, total = [other for other in range(4) if other != cell], 0.0
        for size in range(4):
            for group in combinations(others, size):
                gain = value((*group, cell)) - value(group)
                total += gain / (4 * comb(3, size))
        assert values.flatten()[cell] == pytest.approx(total, abs=1e-9)


def test_sets_are_drawn_in_pairs_of_opposites_by_the_shapley_kernel():
    members, weights = coalitions(12, 4000, seed=5)
    assert torch.equal(members[::2], ~members[1::2])
    assert weights.unique().tolist() == [1.0]
    sizes = torch.bincount(members.sum(1), minlength=13)[1:12].double()
    expected = torch.tensor([1 / (size * (12 - size)) for size in range(1, 12)]).double()
    expected *= 4000 / expected.sum()
    assert ((sizes - expected).abs() < 5 * expected.sqrt()).all()
    assert not torch.equal(coalitions(12, 4000, seed=6)[0], members)


@pytest.mark.parametrize("side", [9, 13])
def test_rise_is_that_of_one_mask_after_the_other(side):
    model = classifier(seeded(FunctionalResidual(classes=4), 1), side, 3)
    pixels = images(side, 3)
    torch.manual_seed(7)
    values = rise(model, pixels, TARGET, masks=70, cells=4, keep=0.4, fill="white").values
    expected = slow_rise(model, pixels, TARGET, masks=70, cells=4, keep=0.4, value=1.0)
    assert torch.allclose(values, expected, atol=1e-5)


def test_rise_ranks_what_a_linear_network_adds():
    """One quarter alone matters: it stands out, and the others lie below the mean."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False))
    weight = torch.zeros(8, 8)
    weight[:4, 4:] = 1
    network[1].weight.data = weight.reshape(1, 64)
    values = rise(classifier(network, 8, classes=1), torch.ones(1, 1, 8, 8), TARGET[:1] * 0).values
    quarters = values[0].reshape(2, 4, 2, 4).mean((1, 3)).flatten()
    assert quarters.argmax() == 1
    assert quarters[1] > 4 * quarters[[0, 2, 3]].abs().max()


@pytest.mark.parametrize("name", ["kernel_shap", "rise"])
def test_the_seed_alone_decides(name):
    model, pixels = classifier(seeded(FunctionalResidual(classes=4), 1), 8, 3), images(8, 3)
    maps = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        maps.append(find(f"attribution/{name}").function(model, pixels, TARGET).values)
    assert torch.equal(maps[0], maps[1])
    assert not torch.allclose(maps[0], maps[2])
