"""Random changes, and one pixel at a time: closed forms, a slow second way, and odd models."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from diagnostics.data import samples
from diagnostics.data.image import decode
from diagnostics.data.samples import file_at
from diagnostics.errors import OptionError
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context
from diagnostics.methods.perturbation import _bfloat16 as bfloat16
from diagnostics.methods.perturbation import _one_pixel as minimal_pixels
from diagnostics.methods.perturbation import _random_noise as engine
from diagnostics.methods.perturbation import _rays as rays
from diagnostics.methods.perturbation._bfloat16 import Screen
from diagnostics.methods.perturbation._label_change import Flips
from diagnostics.methods.perturbation._one_pixel import OnePixel
from diagnostics.methods.perturbation.one_pixel import one_pixel
from diagnostics.methods.perturbation.random_noise import random_noise
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.request import ModelSource
from tests.independent.slow_one_pixel import slow_one_pixel
from tests.networks_for_tests import classifier, mlp

GREY = 128 / 255
PHI = NormalDist().cdf


class Flat(nn.Module):
    """Two classes with a flat boundary at a distance from the grey image.

    Args:
        side: Of the image in px.
        distance: L2, in units of the value range.
        normal: Weights across the boundary, shape (side * side,); random ones if None.
    """

    def __init__(self, side, distance, normal=None):
        super().__init__()
        drawn = torch.randn(side * side, generator=torch.Generator().manual_seed(3))
        self.normal = nn.Parameter(drawn if normal is None else normal)
        self.offset = distance * float(self.normal.detach().norm())

    def forward(self, values):
        beyond = (values - GREY).flatten(1) @ self.normal - self.offset
        return torch.stack([-beyond, beyond], 1)


class Says(nn.Module):
    """A network that computes its logits from flat images with a function."""

    def __init__(self, answer):
        super().__init__()
        self.anything = nn.Linear(1, 1)
        self.answer = answer

    def forward(self, values):
        return self.answer(values.flatten(1))


def two(margin):
    return torch.stack([margin, -margin], 1)


CONSTANT = Says(lambda flat: two(torch.ones(len(flat))))


@pytest.fixture
def context(tmp_path):
    """Return a function that makes a context of images, mid grey without any."""

    def make(network, side, *, images=None, channels=1, classes=2, **more):
        given = [np.full((side, side), 128, np.uint8)] if images is None else images
        files = []
        for place, image in enumerate(given):
            path = tmp_path / f"image {place}.png"
            Image.fromarray(image).save(path)
            files.append(file_at(path))
        asked = classifier(network, side, channels, classes)
        return Context(asked, files=files, **more)

    return make


def only(outcome):
    (found,) = outcome.scores["images"]
    json.dumps(outcome.scores, allow_nan=False)
    return found


def drawn(seed=0, side=6, channels=1):
    shape = (side, side, channels) if channels > 1 else (side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def close():
    """A dense network, and what returns an image of a margin, so that single pixels matter."""
    torch.manual_seed(1)
    asked = classifier(mlp(36), 6)
    images = torch.rand(4000, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    two_best = asked.logits(images).topk(2).values
    margins = two_best[:, 0] - two_best[:, 1]
    return asked, lambda margin: images[(margins - margin).abs().argmin()][None]


# Random changes of a flat boundary


def test_half_of_the_random_rays_cross_a_flat_boundary_where_the_closed_form_says(context):
    found = only(random_noise(context(Flat(28, 0.02), 28), length=0.02, rays=4096, draws=32))
    assert found["values"] == 784
    assert found["rho"] == pytest.approx(1 / NormalDist().inv_cdf(0.75), rel=0.05)
    assert found["rays"]["low"] < found["rays"]["median"] < found["rays"]["high"]
    assert found["directions"]["hits"] == 0


def test_every_crossing_lies_on_the_boundary(context):
    given = context(Flat(8, 0.1), 8)
    flips = Flips(given.classifier, torch.full((1, 1, 8, 8), GREY))
    ways = rays.directions(50, flips.pixels, torch.Generator().manual_seed(0))
    normal = given.classifier.network.normal.detach() / given.classifier.network.normal.norm()
    *_, found = rays.rays(flips, 50, 0.1, torch.Generator().manual_seed(0), 1000, asks=flips)
    expected = 0.1 / (ways.flatten(1) @ normal).abs()
    inside = 0
    for radius, before, truth in zip(
        found["radii"], found["before_clipping"], expected.tolist(), strict=True
    ):
        if radius is not None and radius == pytest.approx(before):  # nothing was cut off
            assert before == pytest.approx(truth, rel=1e-3)
            inside += 1
    assert inside > 20


def test_gaussian_noise_tells_the_distance_of_a_flat_boundary(context):
    found = only(random_noise(context(Flat(8, 0.05), 8), draws=60_000, rays=4))["gaussian"]
    share = PHI(-0.05 / found["sigma"])
    assert engine.LEAST <= share <= engine.MOST
    error = math.sqrt(found["n"] * share * (1 - share))
    assert abs(found["hits"] - found["n"] * share) <= 3 * error
    assert found["distance"] == pytest.approx(0.05, rel=0.02)
    assert found["nearest"] < found["distance"] < found["farthest"]
    assert found["effective"] == pytest.approx(found["nominal"], rel=0.02)


@pytest.mark.parametrize(
    ("times", "decades"), [(1, -669), (5, -28), (10, -7.8), (20, math.log10(0.0028))]
)
def test_a_flat_boundary_is_out_of_reach_of_noise_of_the_smallest_changes_length(times, decades):
    found = engine.log10_share(-math.sqrt(3072) / times)
    assert found == pytest.approx(decades, rel=0.01)


# Clipping


def test_changes_have_the_length_that_was_asked_for_also_where_half_of_them_is_cut_off():
    pixels = torch.zeros(1, 1, 10, 10)
    ways = rays.directions(20, pixels, torch.Generator().manual_seed(0))
    changed = rays.of_length(pixels, ways, 2.5)
    torch.testing.assert_close(rays.length(pixels, changed), torch.full((20,), 2.5).double())
    assert 0 <= changed.min() < changed.max() <= 1
    end = rays.of_length(pixels, ways, 1000.0)  # longer than the box is wide
    assert set(end.unique().tolist()) == {0.0, 1.0}


def test_noise_cut_off_at_black_is_shorter_than_its_name(context):
    black = [np.zeros((8, 8), np.uint8)]
    network = Says(lambda flat: two(1 - flat.sum(1)))
    found = only(random_noise(context(network, 8, images=black), draws=512))["gaussian"]
    assert found["effective"] == pytest.approx(found["nominal"] / math.sqrt(2), rel=0.1)


# What has no answer


def test_nothing_changes_a_constant_model(context):
    found = only(random_noise(context(CONSTANT, 6), length=0.1, draws=40))
    assert found["rays"]["crossed"] == 0
    assert found["rays"]["median"] is found["rho"] is None
    assert found["rho_at_least"] == pytest.approx(found["rays"]["followed_to"] / 0.6)
    assert found["gaussian"]["why"] == "never"
    assert found["gaussian"]["distance"] is None
    assert (found["directions"]["hits"], found["directions"]["n"]) == (0, 40)


def test_without_a_smallest_change_there_is_no_ratio(context):
    found = only(random_noise(context(Flat(6, 0.05), 6)))
    assert found["directions"] is found["flat_log10"] is found["rho"] is found["rho_at_least"]
    assert found["rays"]["median"] > 0.05


def test_a_median_is_only_told_when_half_of_the_rays_cross():
    def median(*radii):
        return rays.summary([r and (r, r) for r in radii], [1.0] * len(radii))["median"]

    assert median(0.3, None, 0.1, None) == 0.3
    assert median(0.3, None, None) is None
    assert median(0.3, 0.2, None) == 0.3


@pytest.mark.parametrize("method", [random_noise, one_pixel])
def test_an_image_without_a_finite_answer_says_so(context, method):
    network = Says(lambda flat: two(flat.sum(1) * torch.nan))
    assert "not finite" in only(method(context(network, 6)))["error"]


def test_answers_that_are_not_finite_change_nothing_and_are_counted(context):
    def answer(flat):
        broken = (flat - GREY).abs().amax(1) > 1e-3
        return two(torch.where(broken, torch.nan, 1.0))

    found = only(random_noise(context(Says(answer), 6), length=0.5, draws=40))
    assert (found["directions"]["n"], found["directions"]["not_finite"]) == (0, 40)
    assert (found["rays"]["crossed"], found["gaussian"]["hits"]) == (0, 0)
    found = only(one_pixel(context(Says(answer), 6), draws=16))
    assert found["mean"] == 0
    assert found["redrawn"][-1]["n"] == 0


def test_an_image_that_cannot_be_read_does_not_spoil_the_others(context, tmp_path):
    given = context(Flat(6, 0.05), 6, images=[drawn(), np.full((6, 6), 128, np.uint8)])
    (tmp_path / "image 0.png").write_bytes(b"nothing")
    broken, fine = random_noise(given).scores["images"]
    assert broken["error"] == "image 0.png could not be read."
    assert fine["error"] is None
    assert [one["error"] for one in one_pixel(given).scores["images"]] == [broken["error"], None]


@pytest.mark.parametrize("method", [random_noise, one_pixel])
def test_the_class_meant_counts_alone(context, method):
    network = Says(lambda flat: torch.stack([flat[:, 0] * 0, flat[:, 0] * 9 - 5, -flat[:, 0]], 1))
    found = only(method(context(network, 6, classes=3, target=2)))
    assert found.get("rays", {"crossed": 0})["crossed"] == 0
    assert found.get("max", 0) == 0
    found = only(method(context(network, 6, classes=3, target=1)))
    assert found.get("rays", {"crossed": 1})["crossed"] > 0
    assert found.get("max", 1) > 0
    assert "already" in only(method(context(network, 6, classes=3, target=0)))["error"]
    with pytest.raises(OptionError, match="no class 3"):
        method(context(network, 6, classes=3, target=3))


def test_one_output_changes_its_answer_where_it_changes_its_sign(context):
    found = only(one_pixel(context(Says(lambda flat: flat[:, :1] - 0.2), 6, classes=1)))
    assert found["name"] == "class 0"
    assert (found["effective"], found["max"]) == (1, 2 / 8)  # levels 0 and 1/7
    found = only(one_pixel(context(Says(lambda flat: flat[:, :1] - 0.9), 6, classes=1)))
    assert found["name"] == "not class 0"
    assert found["max"] == 1 / 8


# What can be asked again, and left


@pytest.mark.parametrize("method", [random_noise, one_pixel])
def test_the_seed_alone_decides(context, method):
    def said(seed):
        outcome = method(context(mlp_of(36), 6, images=[drawn()], classes=4, seed=seed))
        return json.dumps(outcome.scores)

    assert said(1) == said(1)
    assert said(1) != said(2)


def mlp_of(pixels):
    torch.manual_seed(5)
    return mlp(pixels)


@pytest.mark.parametrize("method", [random_noise, one_pixel])
def test_what_is_there_so_far_is_kept_while_it_grows(context, method):
    kept = []
    outcome = method(
        context(
            mlp_of(36), 6, images=[drawn()] * 2, classes=4, partial=lambda make: kept.append(make())
        )
    )
    assert len(kept) > 3
    assert not any(one.scores["complete"] for one in kept)
    assert outcome.scores["complete"]
    assert [len(one.scores["images"]) for one in kept] == sorted(
        len(one.scores["images"]) for one in kept
    )
    for one in kept:
        one.check()


# One pixel at a time


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_is_that_of_a_slow_second_way(channels):
    torch.manual_seed(2)
    asked = classifier(mlp(36, channels=channels), 6, channels)
    images = torch.rand(4000, channels, 6, 6, generator=torch.Generator().manual_seed(1))
    best = asked.logits(images).topk(2).values
    pixels = images[(best[:, 0] - best[:, 1]).argmin()][None]
    swept = OnePixel(Context(asked), Flips(asked, pixels), 8, 500, 16, lambda doing, done: None)
    for _ in swept.sweep():
        pass
    expected = slow_one_pixel(asked, pixels[0], 8)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(swept.map, expected.numpy())


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
    np.testing.assert_array_equal(outcome.arrays["0/map"], expected.numpy())
    found = only(outcome)
    assert found["exact"]
    assert found["effective"] == int((expected > 0).sum())
    assert found["max"] == pytest.approx(expected.max().item())
    assert found["mean"] == pytest.approx(expected.mean().item())
    assert found["log10_stable"] == pytest.approx(torch.log10(1 - expected.double()).sum().item())


def test_a_linear_model_loses_the_margin_that_its_weight_allows(context):
    normal = torch.linspace(-2, 2, 36)
    outcome = one_pixel(context(Flat(6, 0.5, normal), 6), levels=8)
    farthest = torch.where(normal > 0, 1 - GREY, GREY)  # to white or to black
    expected = (normal.abs() * farthest / (0.5 * normal.norm())).reshape(6, 6)
    np.testing.assert_allclose(outcome.arrays["0/taken"], expected.numpy(), atol=1e-5)
    assert only(outcome)["most_taken"] == pytest.approx(float(expected.max()), abs=1e-5)


def test_one_redrawn_pixel_keeps_the_answer_as_often_as_the_map_says(context):
    found = only(one_pixel(context(Flat(6, 0.05), 6), draws=4096))
    one = found["redrawn"][0]
    assert one["count"] == 1
    expected = 1 - found["mean"]
    assert abs(one["stable"] / one["n"] - expected) < 3 * math.sqrt(
        expected * (1 - expected) / one["n"]
    )
    assert one["predicted"] == pytest.approx(expected, abs=0.01)


def any_pixel(flat):
    """Another class as soon as one pixel is brighter than 0.99: pixels act alone."""
    return two(0.99 - flat.amax(1))


def test_the_product_predicts_pixels_that_act_alone(context):
    found = only(one_pixel(context(Says(any_pixel), 6), draws=4096))
    for one in found["redrawn"]:
        share = (7 / 8) ** one["count"]
        assert one["predicted"] == pytest.approx(share)
        error = math.sqrt(share * (1 - share) / one["n"])
        assert abs(one["stable"] / one["n"] - share) < 3 * error
    assert 10 ** found["log10_stable"] == pytest.approx((7 / 8) ** 36)


def test_the_product_fails_where_pixels_act_together(context):
    mean = Says(lambda flat: two(0.45 - (flat - GREY).abs().mean(1) * 2))
    found = only(one_pixel(context(mean, 6), draws=256))
    assert found["max"] == 0
    assert found["redrawn"][-1]["predicted"] == 1
    assert found["redrawn"][-1]["high"] < 0.5


def test_larger_images_are_sampled_and_the_rest_stays_unknown(context):
    normal = torch.zeros(40 * 40)
    normal[:800] = 1.0
    flat = Flat(40, 0.3 / math.sqrt(800), normal)  # half of the pixels matter, when near white
    outcome = one_pixel(context(flat, 40), sample=200, draws=64)
    found, shares = only(outcome), outcome.arrays["0/map"]
    assert (found["exact"], found["tried"], found["pixels"]) == (False, 200, 1600)
    assert np.isnan(shares).sum() == 1400
    assert np.nanmax(shares[20:]) == 0
    assert np.nanmin(shares[:20]) == np.nanmax(shares[:20]) > 0
    assert found["low"] < found["mean"] < found["high"]
    assert found["low"] < np.nanmax(shares) / 2 < found["high"]


def test_a_pixel_that_no_level_leaves_alone_makes_the_product_zero(context):
    network = Says(lambda flat: two(0.01 - (flat[:, 7] - GREY).abs()))
    found = only(one_pixel(context(network, 6)))
    assert (found["certain"], found["effective"], found["max"]) == (1, 1, 1)
    assert found["log10_stable"] is None
    assert found["redrawn"][-1]["predicted"] == found["redrawn"][-1]["stable"] == 0


# bfloat16 first


class Worse(nn.Module):
    """A network that is wrong in bfloat16 about images whose first pixel is bright."""

    def __init__(self, *, fails=False):
        super().__init__()
        self.anything, self.fails = nn.Linear(1, 1), fails

    def forward(self, values):
        flat = values.flatten(1)
        half = torch.is_autocast_enabled("cpu")
        if half and self.fails:
            raise RuntimeError("expected scalar type Float but found BFloat16")
        bright = flat[:, 0] > 0.6
        return two(torch.where(bright & (not half), -1.0, 1.0))


def test_bfloat16_first_gives_the_map_of_float32(close, monkeypatch):
    asked, near = close
    pixels = near(0.08)

    def swept():
        one = OnePixel(Context(asked), Flips(asked, pixels), 8, 500, 16, lambda doing, done: None)
        for _ in one.sweep():
            pass
        return one.map, one.found([])["screening"]

    whole, nothing = swept()
    monkeypatch.setattr(minimal_pixels, "pays", lambda asked: True)
    half, said = swept()
    np.testing.assert_array_equal(half, whole)
    assert 0 < whole.mean() < 1
    assert nothing is None
    assert said["holds"]
    assert said["agreed"] == said["checked"] > 0
    assert 0 < said["tolerance"] < 1
    assert said["believed"] + said["checked"] <= said["screened"]


def test_bfloat16_first_gives_the_map_of_float32_of_a_trained_network(monkeypatch):
    model = open_model(ModelSource(samples.model_files()["letters_conv"]), ())
    asked = model.classifier(None)
    letters = [
        decode(Path(samples.image_files()[f"letter-{name}-fuzzy"].path).read_bytes(), name)
        for name in "xp"
    ]
    x, p = (torch.from_numpy(Pipeline(asked.preprocessing).run(one))[None] for one in letters)
    shares = torch.linspace(0, 1, 200)[:, None, None, None]
    between = (1 - shares) * x + shares * p  # somewhere on the way the answer changes
    best = asked.logits(between).topk(2).values
    pixels = between[(best[:, 0] - best[:, 1] - 1).abs().argmin()][None]

    def swept():
        flips = Flips(asked, pixels)
        one = OnePixel(Context(asked), flips, 8, 500, 16, lambda doing, done: None)
        for _ in one.sweep():
            pass
        return one.map, one.found([])["screening"]

    whole, _ = swept()
    monkeypatch.setattr(minimal_pixels, "pays", lambda asked: True)
    half, said = swept()
    assert (whole > 0).sum() > 10
    np.testing.assert_array_equal(half, whole)
    assert said["holds"]
    assert said["believed"] > 0.2 * said["screened"]


def test_rays_followed_in_bfloat16_cross_where_float32_says(context, monkeypatch):
    def radii():
        found = only(random_noise(context(mlp_of(36), 6, images=[drawn()], classes=4), rays=64))
        return found["rays"]["radii"], found["screening"]

    whole, nothing = radii()
    monkeypatch.setattr(random_noise, "pays", lambda asked: True)
    half, said = radii()
    assert half == whole
    assert nothing is None
    assert said["holds"]


def test_bfloat16_is_given_up_once_float32_disagrees(monkeypatch):
    asked, pixels = classifier(Worse(), 6, classes=2), torch.full((1, 1, 6, 6), 0.5)
    screen = Screen(Flips(asked, pixels), pixels.repeat(4, 1, 1, 1), seed=0)
    assert screen.holds
    bright = torch.full((400, 1, 6, 6), 0.9)
    screen.ask(bright)
    assert not screen.holds
    assert screen.ask(bright).all()  # in float32
    monkeypatch.setattr(minimal_pixels, "pays", lambda asked: True)
    monkeypatch.setattr(bfloat16, "ONE_IN", 1)
    monkeypatch.setattr(minimal_pixels, "SAMPLE", 1)  # too few to see the error
    one = OnePixel(Context(asked), Flips(asked, pixels), 8, 500, 16, lambda doing, done: None)
    for _ in one.sweep():
        pass
    assert one.map[0, 0] == 3 / 8
    assert one.map.sum() == 3 / 8
    assert not one.found([])["screening"]["holds"]


def test_an_image_nearer_a_change_than_bfloat16_can_tell_is_asked_in_float32(close):
    asked, near = close
    pixels = near(0.0)
    noisy = pixels.repeat(32, 1, 1, 1) + torch.rand(32, 1, 6, 6)
    flips = Flips(asked, pixels)
    screen = Screen(flips, noisy, seed=0)
    assert screen.close
    changed = screen.ask(noisy)
    assert torch.equal(changed, flips.ask(noisy))
    assert screen.said()["screened"] == 0


def test_a_network_that_has_no_bfloat16_is_asked_in_float32():
    asked, pixels = classifier(Worse(fails=True), 6, classes=2), torch.full((1, 1, 6, 6), 0.5)
    screen = Screen(Flips(asked, pixels), pixels, seed=0)
    assert not screen.holds
    assert screen.said()["tolerance"] is None
    assert screen.ask(torch.full((2, 1, 6, 6), 0.9)).all()


def test_small_networks_are_never_screened(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert not bfloat16.pays(classifier(mlp(36), 6))
    assert bfloat16.pays(classifier(Flat(64, 0.1), 64, classes=2))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert not bfloat16.pays(classifier(Flat(64, 0.1), 64, classes=2))
