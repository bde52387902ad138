"""Occlusion: the fall of the logit while windows are covered."""

from __future__ import annotations

import pytest
import torch

from diagnostics.methods.attribution import notes
from diagnostics.methods.attribution.occlusion import occlusion, without_rounding
from tests.independent.slow_occlusion import slow_occlusion
from tests.methods.attribution.images import TARGET, pixels
from tests.networks_for_tests import FunctionalResidual, classifier, linear, seeded


def test_occlusion_of_an_image_that_equals_its_fill_is_blank_and_says_so():
    """In float32 the network answers the same image a little differently in another batch."""
    model = classifier(seeded(FunctionalResidual(classes=4)), 8, 3)
    grey = torch.full((2, 3, 8, 8), 0.5)
    heatmap = occlusion(model, grey, TARGET, window=2, stride=1, fill="grey")
    assert not heatmap.values.any()
    assert all("rounding" in note for note in notes(heatmap))
    noise = 3e-6 * torch.rand(4, 4)
    assert not without_rounding(noise, torch.tensor([20.0, -3.0])).any()
    assert torch.equal(without_rounding(10 * noise, torch.tensor([0.1])), 10 * noise)


def test_occlusion_of_a_linear_network_is_what_the_covered_pixels_gave():
    """Windows side by side: the fall of the logit is the window's part of the sum."""
    network = seeded(linear(64))
    model, images = classifier(network, 8), pixels()
    values = occlusion(model, images, TARGET, window=2, stride=2, fill="black").values
    parts = network[1].weight[TARGET].reshape(2, 8, 8) * images[:, 0]
    sums = parts.reshape(2, 4, 2, 4, 2).sum((2, 4))
    expected = sums.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.allclose(values, expected, atol=1e-4)


def test_occlusion_with_overlap_is_the_mean_over_the_windows_of_a_pixel():
    model, images = classifier(seeded(FunctionalResidual(classes=4)), 8, 3), pixels(3)
    values = occlusion(model, images, TARGET, window=2, stride=1, fill="grey").values
    expected = slow_occlusion(model, images, TARGET, window=2, stride=1, value=0.5)
    assert torch.allclose(values, expected, atol=1e-4)


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize("side", [8, 13])
def test_occlusion_covers_borders_that_windows_do_not_tile(window, stride, side):
    model, images = classifier(seeded(linear(side**2)), side), pixels(side=side)
    values = occlusion(model, images, TARGET, window=window, stride=stride, fill="black").values
    window, stride = min(window, side // 4), min(stride, window, side // 4)
    expected = slow_occlusion(model, images, TARGET, window=window, stride=stride, value=0.0)
    assert torch.allclose(values, expected, atol=1e-4)
