"""Random changes and single pixels on a page, without a browser."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from diagnostics.report.perturbation import charts, one_pixel
from diagnostics.report.perturbation.tables import (
    along_rays,
    from_noise,
    in_a_direction,
    numbers,
    ratio,
    screened,
)
from diagnostics.report.render import PADDING
from tests.pages_for_tests import fine

PAGE = """
from diagnostics.ui import sidebar
from diagnostics.ui.views import perturbation
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.session.state import current_session

spec, methods = sidebar.selection()
board = Board("Beside", "What is beside the smallest change?", spec)
smallest = {"l2": {"found": FOUND, "distance": DISTANCE}}
perturbation.beside(spec, methods, board, current_session().shown_images()[0], TARGET, smallest)
board.offer_report()
"""


@pytest.fixture
def on():
    """Return a function that opens the sections on a page of their own."""

    def opened(found=True, distance=0.9, target=None):
        script = PAGE.replace("FOUND", str(found)).replace("DISTANCE", str(distance))
        page = AppTest.from_string(script.replace("TARGET", str(target)), default_timeout=180)
        return fine(page.run())

    yield opened
    st.cache_resource.clear()


def said(page):
    return " ".join(one.value.replace("\\", "") for one in (*page.markdown, *page.caption))


def titles(page):
    specs = [json.loads(one.proto.spec) for one in page.get("plotly_chart")]
    return [one["layout"]["title"]["text"] for one in specs]


@pytest.mark.slow
def test_both_sections_state_their_cost_and_wait_until_they_are_wanted(on):
    page = on()
    assert not page.toggle(key="random.rays").value
    assert not page.toggle(key="random.pixels").value
    assert not titles(page)
    costs = [one.value for one in page.caption if "passes forward" in one.value]
    assert f"{24 * 52 + 2 * 256 + 9 * 64} passes forward" in costs[0]
    assert f"{784 * 8 + 6 * 128} passes forward" in costs[1]
    page = fine(page.toggle(key="random.rays").set_value(True).run())
    assert titles(page) == ["Distance to another answer, 24 rays"]
    assert "random changes of the smallest change's length, L2 0.9" in said(page)
    page = fine(page.toggle(key="random.pixels").set_value(True).run())
    assert titles(page)[1] == "Answer kept by random pixels, 128 draws each"
    assert "all 784 pixels were tried at 8 levels" in said(page)
    tables = [one.value for one in page.dataframe]
    assert list(tables[1]["pixels redrawn together"]) == ["1", "4", "16", "64", "256", "784"]
    assert "L2 distance" in tables[0]


@pytest.mark.slow
def test_without_a_smallest_change_the_rest_is_still_told(on):
    page = on(found=False, distance=None, target=0)
    page = fine(page.toggle(key="random.rays").set_value(True).run())
    assert "No smallest change is known" in said(page)
    assert titles(page)


# Sentences and charts of what was found


def found(**more):
    rays = {"n": 4, "crossed": 3, "median": 2.0, "low": 1.0, "high": None, "followed_to": 9.0}
    rays |= {"radii": [1.0, 2.0, None, 3.0]}
    directions = {"length": 0.1, "reached": 0.1, "n": 256, "hits": 0, "not_finite": 0}
    noise = {"sigma": 0.1, "n": 100, "hits": 10, "effective": 2.4, "nominal": 2.8, "why": ""}
    noise |= {"distance": 0.128, "nearest": 0.1, "farthest": 0.15}
    said = {"values": 784, "flat_log10": -172.1, "rho": 0.71, "rho_at_least": None}
    return {**said, "rays": rays, "directions": directions, "gaussian": noise, **more}


def test_what_noise_of_the_smallest_length_could_find_is_said_in_draws():
    text = in_a_direction(found())
    assert "0 of 256 (0.0–1.5 %)" in text
    assert "about once in 1e172 draws" in text
    often = in_a_direction(found(flat_log10=math.log10(0.0023)))
    assert "0.23 % of such noise would" in often


@pytest.mark.parametrize(
    ("rho", "least", "expected"),
    [
        (0.71, None, "the same boundary"),
        (0.1, None, "fragile under plain random noise"),
        (4.2, None, "no sign of robustness"),
        (None, 2.0, "Can't tell more"),
        (None, None, ""),
    ],
)
def test_every_ratio_has_its_reading(rho, least, expected):
    text = ratio(found(rho=rho, rho_at_least=least))
    assert expected in text
    assert bool(text) == bool(expected)


def test_rays_that_never_cross_are_an_answer():
    rays = {**found()["rays"], "crossed": 1, "median": None, "radii": [1.0, None, None, None]}
    text = along_rays(found(rays=rays))
    assert "More than half of the random rays, 3 of 4, never reach another answer" in text
    figure = charts.distances(found(rays=rays))
    crossed, never = figure.data[:2]
    assert list(crossed.x) == [1.0]
    assert list(never.x) == [9.0] * 3
    assert "median" not in " ".join(one.hovertemplate for one in figure.data[:3])


@pytest.mark.parametrize(
    ("distance", "expected"),
    [(0.3, "more dangerous than the noise"), (0.11, "noise explains it"), (0.04, "can't tell")],
)
def test_the_noise_is_compared_with_the_smallest_change(distance, expected):
    noise = {**found()["gaussian"], "distance": distance}
    assert expected in from_noise(found(gaussian=noise))


@pytest.mark.parametrize(("why", "expected"), [("never", "called far"), ("share", "No σ was met")])
def test_noise_without_a_distance_says_why(why, expected):
    noise = {**found()["gaussian"], "why": why, "distance": None}
    assert expected in from_noise(found(gaussian=noise))
    rows = numbers(found(gaussian=noise)).rows
    assert rows[-1]["L2 distance"] == "none"


def step(predicted, stable, low, high):
    return {"count": 784, "n": 128, "stable": stable, "low": low, "high": high} | {
        "predicted": predicted,
        "not_finite": 0,
    }


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        (1.0, "keep the answer in every draw"),
        (0.9, "together they do what none"),
        (0.06, "The two agree"),
        (0.0, "keep the answer in no draw"),
        (0.001, "together they undo"),
    ],
)
def test_the_claim_is_held_against_what_was_seen(predicted, expected):
    text = one_pixel.claim({"redrawn": [step(predicted, 7, 0.027, 0.109)]})
    assert expected in text


def test_pixels_that_were_not_tried_are_hatched():
    shares = np.full((40, 40), np.nan)
    shares[:20, ::2] = 0.5
    entry = {"file": "a.png", "exact": False, "tried": 400, "effective": 400}
    unknown = np.full((40, 40), np.nan)
    cell = one_pixel.map_cell(entry, shares, unknown, np.zeros((40, 40, 1)))
    received, mapped = cell.pictures
    assert "hatched: not tried" in mapped.caption
    assert "cells of 3 × 3 px" in mapped.caption
    assert {tuple(one) for one in mapped.pixels[24:].reshape(-1, 3)} == set(PADDING)
    assert not any((mapped.pixels[:18, :39] == one).all(2).any() for one in np.array(PADDING))
    assert received.pixels.shape == mapped.pixels.shape


def test_where_no_pixel_changes_the_answer_the_margin_that_it_takes_is_drawn():
    entry = {"file": "a.png", "exact": True, "tried": 16, "effective": 0}
    taken = np.linspace(0, 0.3, 16).reshape(4, 4)
    cell = one_pixel.map_cell(entry, np.zeros((4, 4)), taken, np.zeros((4, 4, 1)))
    mapped = cell.pictures[1]
    assert "colours 0 … 0.3" in mapped.caption
    assert "share of the margin" in mapped.caption


def test_noise_that_is_mostly_cut_off_is_not_compared():
    noise = {**found()["gaussian"], "effective": 1.5}
    assert "can't tell more" in from_noise(found(gaussian=noise))


def test_what_was_screened_is_said_with_how_far_it_agreed():
    counts = {"screened": 4000, "believed": 3600, "checked": 240, "agreed": 240, "tolerance": 0.2}
    counts["close"] = False
    fine_one = {"screening": {**counts, "holds": True}}
    assert "float32 agreed on 240 of 240" in screened(fine_one)
    wrong = {"screening": {**counts, "agreed": 239, "holds": False}}
    assert "bfloat16 was wrong" in screened(wrong)
    near = {"screening": {**counts, "close": True, "holds": True}}
    assert "too near a change" in screened(near)
    assert screened({"screening": None}) == ""
