"""Maps of single pixels against closed forms and a slow second implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diagnostics.methods.perturbation._label_change import LabelChange
from diagnostics.methods.perturbation.one_pixel import OnePixel, one_pixel
from tests.independent.slow_one_pixel import slow_one_pixel
from tests.methods.perturbation.known_networks import (
    GREY,
    Flat,
    LogitsFrom,
    only_image,
    two_classes,
)
from tests.networks_for_tests import classifier, mlp


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_that_of_a_slow_second_implementation(channels):
    torch.manual_seed(2)
    model = classifier(mlp(36, channels=channels), 6, channels)
    images = torch.rand(4000, channels, 6, 6, generator=torch.Generator().manual_seed(1))
    best = model.logits(images).topk(2).values
    pixels = images[(best[:, 0] - best[:, 1]).argmin()][None]
    trial = OnePixel(LabelChange(model, pixels), 8, 500, 16, 0, lambda doing, share: None)
    for _ in trial.sweep():
        pass
    expected = slow_one_pixel(model, pixels[0], 8)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(trial.change_share, expected.numpy())


def test_a_linear_model_is_changed_by_the_levels_beyond_its_threshold(context):
    normal = torch.linspace(-2, 2, 36)
    outcome = one_pixel(context(Flat(6, 0.05, normal), 6), levels=8)
    needed = 0.05 * normal.norm() / normal.abs()  # how far each pixel must move, either way
    levels = torch.linspace(0, 1, 8)
    beyond = torch.where(
        (normal > 0)[:, None],
        levels > GREY + needed[:, None],
        levels < GREY - needed[:, None],
    )
    expected = beyond.float().mean(1).reshape(6, 6)
    np.testing.assert_array_equal(outcome.arrays["0/change_share"], expected.numpy())
    single = only_image(outcome)["single"]
    assert single["exact"]
    assert single["effective"] == int((expected > 0).sum())
    assert single["max"] == pytest.approx(expected.max().item())
    assert single["mean"] == pytest.approx(expected.mean().item())
    log10_stable = torch.log10(1 - expected.double()).sum().item()
    assert single["log10_stable"] == pytest.approx(log10_stable)


def test_a_linear_model_loses_the_margin_that_its_weight_allows(context):
    normal = torch.linspace(-2, 2, 36)
    outcome = one_pixel(context(Flat(6, 0.5, normal), 6), levels=8)
    farthest = torch.where(normal > 0, 1 - GREY, GREY)  # to white or to black
    expected = (normal.abs() * farthest / (0.5 * normal.norm())).reshape(6, 6)
    np.testing.assert_allclose(outcome.arrays["0/margin_loss"], expected.numpy(), atol=1e-5)
    loss = only_image(outcome)["single"]["max_margin_loss"]
    assert loss == pytest.approx(float(expected.max()), abs=1e-5)


def test_one_redrawn_pixel_keeps_the_answer_as_often_as_the_map_says(context):
    image = only_image(one_pixel(context(Flat(6, 0.05), 6), draws=4096))
    redraw = image["redraws"][0]
    assert redraw["pixels"] == 1
    expected = 1 - image["single"]["mean"]
    error = math.sqrt(expected * (1 - expected) / redraw["n"])
    assert abs(redraw["hits"] / redraw["n"] - expected) < 3 * error
    assert redraw["expected"] == pytest.approx(expected, abs=0.01)


def any_pixel(flat):
    """Another class as soon as one pixel is brighter than 0.99: pixels act alone."""
    return two_classes(0.99 - flat.amax(1))


def test_the_product_predicts_pixels_that_act_alone(context):
    image = only_image(one_pixel(context(LogitsFrom(any_pixel), 6), draws=4096))
    for redraw in image["redraws"]:
        expected = (7 / 8) ** redraw["pixels"]
        assert redraw["expected"] == pytest.approx(expected)
        error = math.sqrt(expected * (1 - expected) / redraw["n"])
        assert abs(redraw["hits"] / redraw["n"] - expected) < 3 * error
    assert 10 ** image["single"]["log10_stable"] == pytest.approx((7 / 8) ** 36)


def test_the_product_fails_where_pixels_act_together(context):
    mean = LogitsFrom(lambda flat: two_classes(0.45 - (flat - GREY).abs().mean(1) * 2))
    image = only_image(one_pixel(context(mean, 6), draws=256))
    assert image["single"]["max"] == 0
    assert image["redraws"][-1]["expected"] == 1
    assert image["redraws"][-1]["interval"][1] < 0.5


def test_larger_images_are_sampled_and_the_rest_stays_unknown(context):
    normal = torch.zeros(40 * 40)
    normal[:800] = 1.0
    flat = Flat(40, 0.3 / math.sqrt(800), normal)  # half of the pixels matter, when near white
    outcome = one_pixel(context(flat, 40), sample=200, draws=64)
    single, shares = only_image(outcome)["single"], outcome.arrays["0/change_share"]
    assert (single["exact"], single["n"], single["pixels"]) == (False, 200, 1600)
    assert np.isnan(shares).sum() == 1400
    assert np.nanmax(shares[20:]) == 0
    assert np.nanmin(shares[:20]) == np.nanmax(shares[:20]) > 0
    low, high = single["interval"]
    assert low < single["mean"] < high
    assert low < np.nanmax(shares) / 2 < high


def test_a_pixel_that_no_level_leaves_alone_makes_the_product_zero(context):
    network = LogitsFrom(lambda flat: two_classes(0.01 - (flat[:, 7] - GREY).abs()))
    image = only_image(one_pixel(context(network, 6)))
    single, all_pixels = image["single"], image["redraws"][-1]
    assert (single["certain"], single["effective"], single["max"]) == (1, 1, 1)
    assert single["log10_stable"] is None
    assert all_pixels["expected"] == all_pixels["hits"] == 0


def test_answers_that_are_not_finite_change_nothing_and_are_left_out(context):
    def logits(flat):
        broken = (flat - GREY).abs().amax(1) > 1e-3
        return two_classes(torch.where(broken, torch.nan, 1.0))

    image = only_image(one_pixel(context(LogitsFrom(logits), 6), draws=16))
    assert image["single"]["mean"] == 0
    assert image["redraws"][-1]["n"] == 0


def test_one_output_changes_its_answer_where_it_changes_its_sign(context):
    network = LogitsFrom(lambda flat: flat[:, :1] - 0.2)
    image = only_image(one_pixel(context(network, 6, classes=1)))
    assert image["name"] == "class 0"
    assert image["single"]["effective"] == 1
    assert image["single"]["max"] == 2 / 8  # levels 0 and 1/7
    network = LogitsFrom(lambda flat: flat[:, :1] - 0.9)
    image = only_image(one_pixel(context(network, 6, classes=1)))
    assert image["name"] == "not class 0"
    assert image["single"]["max"] == 1 / 8
