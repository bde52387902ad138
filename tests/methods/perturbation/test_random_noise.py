"""Random perturbations of images whose distance to a flat boundary is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from diagnostics.methods.perturbation.random_noise import (
    MAX_RATE,
    MIN_RATE,
    log10_normal_cdf,
    random_noise,
)
from tests.methods.perturbation.known_networks import (
    CONSTANT,
    GREY,
    Flat,
    LogitsFrom,
    only_image,
    two_classes,
)


def test_half_of_the_random_rays_cross_a_flat_boundary_where_the_closed_form_says(context):
    image = only_image(random_noise(context(Flat(28, 0.02), 28), length=0.02, rays=4096, draws=32))
    assert image["values"] == 784
    assert image["rho"] == pytest.approx(1 / NormalDist().inv_cdf(0.75), rel=0.05)
    assert image["rays"]["low"] < image["rays"]["median"] < image["rays"]["high"]
    assert image["directions"]["hits"] == 0


def test_gaussian_noise_tells_the_distance_of_a_flat_boundary(context):
    outcome = random_noise(context(Flat(8, 0.05), 8), draws=60_000, rays=4)
    noise = only_image(outcome)["gaussian"]
    rate = NormalDist().cdf(-0.05 / noise["sigma"])
    assert MIN_RATE <= rate <= MAX_RATE
    error = math.sqrt(noise["n"] * rate * (1 - rate))
    assert abs(noise["hits"] - noise["n"] * rate) <= 3 * error
    assert noise["distance"] == pytest.approx(0.05, rel=0.02)
    assert noise["nearest"] < noise["distance"] < noise["farthest"]
    assert noise["effective"] == pytest.approx(noise["nominal"], rel=0.02)


@pytest.mark.parametrize(
    ("times", "decades"), [(1, -669), (5, -28), (10, -7.8), (20, math.log10(0.0028))]
)
def test_a_flat_boundary_is_out_of_reach_of_noise_of_the_smallest_changes_length(times, decades):
    assert log10_normal_cdf(-math.sqrt(3072) / times) == pytest.approx(decades, rel=0.01)


def test_noise_cut_off_at_black_is_shorter_than_its_name(context):
    black = [np.zeros((8, 8), np.uint8)]
    network = LogitsFrom(lambda flat: two_classes(1 - flat.sum(1)))
    noise = only_image(random_noise(context(network, 8, images=black), draws=512))["gaussian"]
    assert noise["effective"] == pytest.approx(noise["nominal"] / math.sqrt(2), rel=0.1)


def test_nothing_changes_a_constant_model(context):
    image = only_image(random_noise(context(CONSTANT, 6), length=0.1, draws=40))
    assert image["rays"]["crossings"] == 0
    assert image["rays"]["median"] is image["rho"] is None
    assert image["rho_at_least"] == pytest.approx(image["rays"]["median_end"] / 0.6)
    assert image["gaussian"]["reason"] == "never"
    assert image["gaussian"]["distance"] is None
    assert (image["directions"]["hits"], image["directions"]["n"]) == (0, 40)


def test_without_a_smallest_change_there_is_no_ratio(context):
    image = only_image(random_noise(context(Flat(6, 0.05), 6)))
    assert image["directions"] is image["flat_log10"] is image["rho"] is image["rho_at_least"]
    assert image["rays"]["median"] > 0.05


def test_answers_that_are_not_finite_change_nothing_and_are_counted(context):
    def logits(flat):
        broken = (flat - GREY).abs().amax(1) > 1e-3
        return two_classes(torch.where(broken, torch.nan, 1.0))

    image = only_image(random_noise(context(LogitsFrom(logits), 6), length=0.5, draws=40))
    assert (image["directions"]["n"], image["directions"]["not_finite"]) == (0, 40)
    assert (image["rays"]["crossings"], image["gaussian"]["hits"]) == (0, 0)
