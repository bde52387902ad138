"""Sentences, numbers and charts of random changes."""

from __future__ import annotations

import math

import pytest

from diagnostics.report.perturbation import charts
from diagnostics.report.perturbation.tables import (
    directions_sentence,
    distances,
    noise_sentence,
    ratio_sentence,
    rays_sentence,
)
from diagnostics.schema.results.perturbation import (
    GaussianNoise,
    RandomDirections,
    RandomNoiseImage,
    Rays,
)

RAYS = Rays(
    n=4,
    crossings=3,
    points=20,
    bisections=12,
    radii=[1.0, 2.0, None, 3.0],
    before_clipping=[1.0, 2.0, None, 3.0],
    median=2.0,
    low=1.0,
    high=None,
    median_end=9.0,
)
DIRECTIONS = RandomDirections(
    hits=0, n=256, interval=(0.0, 0.015), length=0.1, mean_length=0.1, not_finite=0
)
NOISE = GaussianNoise(
    hits=10,
    n=100,
    interval=(0.055, 0.174),
    sigma=0.1,
    not_finite=0,
    effective=2.4,
    nominal=2.8,
    distance=0.128,
    nearest=0.1,
    farthest=0.15,
    reason="",
)
IMAGE = RandomNoiseImage(
    file="a.png",
    sha256="",
    error=None,
    predicted=0,
    name="x",
    values=784,
    directions=DIRECTIONS,
    flat_log10=-172.1,
    rays=RAYS,
    rho=0.71,
    rho_at_least=None,
    gaussian=NOISE,
    forward_passes=1000,
)


def test_what_noise_of_the_smallest_length_could_find_is_said_in_draws():
    text = directions_sentence(IMAGE)
    assert "0 of 256 (0–1.5 %)" in text
    assert "about once in 1e172 draws" in text
    often = directions_sentence(IMAGE | {"flat_log10": math.log10(0.0023)})
    assert "0.23 % of such noise would" in often


@pytest.mark.parametrize(
    ("rho", "at_least", "expected"),
    [
        (0.71, None, "the same boundary"),
        (0.1, None, "fragile under plain random noise"),
        (4.2, None, "no sign of robustness"),
        (None, 2.0, "Can't tell more"),
        (None, None, ""),
    ],
)
def test_every_ratio_has_its_reading(rho, at_least, expected):
    text = ratio_sentence(IMAGE | {"rho": rho, "rho_at_least": at_least})
    assert expected in text
    assert bool(text) == bool(expected)


def test_rays_that_never_cross_are_an_answer():
    rays = RAYS | {"crossings": 1, "median": None, "radii": [1.0, None, None, None]}
    text = rays_sentence(rays)
    assert "More than half of the random rays, 3 of 4, never reach another answer" in text
    figure = charts.distances(IMAGE, rays)
    crossing, never = figure.data[:2]
    assert list(crossing.x) == [1.0]
    assert list(never.x) == [9.0] * 3
    assert "median" not in " ".join(trace.hovertemplate for trace in figure.data[:3])


@pytest.mark.parametrize(
    ("distance", "expected"),
    [(0.3, "more dangerous than the noise"), (0.11, "noise explains it"), (0.04, "can't tell")],
)
def test_the_noise_is_compared_with_the_smallest_change(distance, expected):
    assert expected in noise_sentence(NOISE | {"distance": distance}, DIRECTIONS)


@pytest.mark.parametrize(
    ("reason", "expected"), [("never", "called far"), ("share", "No σ was met")]
)
def test_noise_without_a_distance_says_why(reason, expected):
    noise = NOISE | {"reason": reason, "distance": None}
    assert expected in noise_sentence(noise, DIRECTIONS)
    assert distances(IMAGE | {"gaussian": noise}, RAYS).rows[-1]["L2 distance"] == "none"


def test_noise_that_is_mostly_cut_off_is_not_compared():
    assert "can't tell more" in noise_sentence(NOISE | {"effective": 1.5}, DIRECTIONS)
