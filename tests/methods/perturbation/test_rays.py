"""Random directions and rays against closed forms."""

from __future__ import annotations

import pytest
import torch

from diagnostics.methods.perturbation._label_change import LabelChange
from diagnostics.methods.perturbation._rays import (
    Crossing,
    at_distance,
    follow_rays,
    l2_distance,
    random_directions,
    summarise,
)
from tests.methods.perturbation.known_networks import GREY, Flat
from tests.networks_for_tests import classifier


def test_every_crossing_lies_on_the_boundary():
    network = Flat(8, 0.1)
    label_change = LabelChange(classifier(network, 8, 1, 2), torch.full((1, 1, 8, 8), GREY))
    directions = random_directions(50, label_change.pixels, torch.Generator().manual_seed(0))
    normal = network.normal.detach() / network.normal.norm()
    *_, rays = follow_rays(label_change, 50, 0.1, torch.Generator().manual_seed(0), 1000)
    expected = 0.1 / (directions.flatten(1) @ normal).abs()
    inside = 0
    for radius, before_clipping, truth in zip(
        rays["radii"], rays["before_clipping"], expected.tolist(), strict=True
    ):
        if radius is not None and radius == pytest.approx(before_clipping):  # nothing was cut off
            assert before_clipping == pytest.approx(truth, rel=1e-3)
            inside += 1
    assert inside > 20


def test_changes_have_the_wanted_length_also_where_half_of_them_is_cut_off():
    pixels = torch.zeros(1, 1, 10, 10)
    directions = random_directions(20, pixels, torch.Generator().manual_seed(0))
    changed = at_distance(pixels, directions, 2.5)
    torch.testing.assert_close(l2_distance(pixels, changed), torch.full((20,), 2.5).double())
    assert 0 <= changed.min() < changed.max() <= 1
    corners = at_distance(pixels, directions, 1000.0)  # longer than the box is wide
    assert set(corners.unique().tolist()) == {0.0, 1.0}


def test_a_median_is_only_said_when_half_of_the_rays_cross():
    def median(*radii):
        crossings = [radius and Crossing(radius, radius) for radius in radii]
        return summarise(crossings, [1.0] * len(radii))["median"]

    assert median(0.3, None, 0.1, None) == 0.3
    assert median(0.3, None, None) is None
    assert median(0.3, 0.2, None) == 0.3
