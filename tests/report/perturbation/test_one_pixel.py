"""Sentences and pictures of single pixels."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.report.perturbation import one_pixel
from diagnostics.report.render import PADDING
from diagnostics.schema.results.perturbation import Redraw, SinglePixels


def single(*, n, pixels, effective):
    return SinglePixels(
        pixels=pixels,
        n=n,
        levels=8,
        exact=n == pixels,
        channels=1,
        mean=0.5,
        interval=None if n == pixels else (0.4, 0.6),
        max=0.5,
        effective=effective,
        certain=0,
        log10_stable=-1.0,
        max_margin_loss=0.3,
    )


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        (1.0, "keep the answer in every draw"),
        (0.9, "together they do what none"),
        (0.06, "The two agree"),
        (0.0, "keep the answer in no draw"),
        (0.001, "together they undo"),
    ],
)
def test_independence_is_held_against_what_was_observed(expected, sentence):
    redraw = Redraw(
        hits=7, n=128, interval=(0.027, 0.109), pixels=784, expected=expected, not_finite=0
    )
    assert sentence in one_pixel.independence_sentence(redraw)


def test_pixels_that_were_not_tried_are_hatched():
    shares = np.full((40, 40), np.nan)
    shares[:20, ::2] = 0.5
    unknown = np.full((40, 40), np.nan)
    sampled = single(n=400, pixels=1600, effective=400)
    cell = one_pixel.maps("a.png", sampled, shares, unknown, np.zeros((40, 40, 1)))
    received, mapped = cell.pictures
    assert "hatched: not tried" in mapped.caption
    assert "cells of 3 × 3 px" in mapped.caption
    assert {tuple(colour) for colour in mapped.pixels[24:].reshape(-1, 3)} == set(PADDING)
    assert not any((mapped.pixels[:18, :39] == colour).all(2).any() for colour in np.array(PADDING))
    assert received.pixels.shape == mapped.pixels.shape


def test_where_no_pixel_changes_the_answer_the_margin_that_it_takes_is_drawn():
    loss = np.linspace(0, 0.3, 16).reshape(4, 4)
    exact = single(n=16, pixels=16, effective=0)
    cell = one_pixel.maps("a.png", exact, np.zeros((4, 4)), loss, np.zeros((4, 4, 1)))
    mapped = cell.pictures[1]
    assert "colours 0 … 0.3" in mapped.caption
    assert "share of the margin" in mapped.caption
