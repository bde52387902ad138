"""The player's data and the pictures of kept pixels: exact pixels, and lines for the rest."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest

from diagnostics.report.sufficient_pixels import charts, tables
from tests.results import conforms


def ranks_of(data):
    return np.frombuffer(base64.b64decode(data["ranks"]), "<i4")


def test_the_player_begins_at_the_smallest_subset_and_names_every_point(image, arrays):
    data = charts.player_data(image, arrays)
    assert data["start"] == 2
    assert [point["kept"] for point in data["points"]] == [6, 4, 2, 0]
    assert data["points"][2]["text"] == "2 of 6 pixels kept (33 %): cat 90.0 %"
    assert data["points"][3]["text"].endswith("cat 1.8e-35")
    assert data["points"][2]["y"] == pytest.approx(data["threshold"])
    assert data["points"][2]["x"] == data["subset"]
    across = [point["x"] for point in data["points"]]
    assert (across[0], across[-1]) == (0, 1)
    assert across == sorted(across)
    assert all(0 <= point["y"] <= 1 for point in data["points"])
    assert ranks_of(data).tolist() == [0, 5, 1, 4, 2, 3]


def test_the_player_shows_a_real_search(outcome):
    for index, image in enumerate(outcome.scores["images"]):
        data = charts.player_data(image, tables.image_arrays(outcome.arrays, index))
        conforms(charts.PlayerData, data)
        start = data["points"][data["start"]]
        assert start["kept"] == image["size"] == 1
        assert start["text"].startswith("1 of 64 pixels kept (1.6 %): class 1 ")
        assert data["points"][0]["kept"] == 64
        assert sorted(ranks_of(data)) == list(range(64))
        assert np.argwhere(ranks_of(data).reshape(8, 8) == 63).tolist() == [[4, 4]]


def test_what_is_no_number_breaks_the_curve_and_what_was_never_removed_stays(image, arrays):
    arrays["margins/0"][1] = np.nan
    arrays["selection_order/0"][0, 0] = np.inf
    data = charts.player_data(image, arrays)
    assert data["points"][1]["y"] is None
    assert data["points"][1]["text"].endswith("not a number")
    assert ranks_of(data)[0] == -1


def test_the_curve_so_far_has_a_point_for_every_step_and_the_threshold(image, arrays):
    figure = charts.partial_curve(image, arrays)
    (curve,) = figure.data
    assert list(curve.y[:3]) == pytest.approx(arrays["margins/0"][:3] / np.log(10))
    assert curve.y[3] == -30
    assert curve.hovertext[2] == "2 of 6 pixels kept (33 %): 90.0 %"
    (threshold,) = figure.layout.shapes
    assert threshold.y0 == pytest.approx(curve.y[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_kept_pixels_are_exact_and_the_rest_is_lines_of_no_grey(channels):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (28, 28, channels), dtype=np.uint8)
    mask = random.random((28, 28)) < 0.3
    shown = charts.kept_picture(pixels, mask, "a", "a").pixels
    assert shown.shape == (224, 224, 3)
    cells = shown.reshape(28, 8, 28, 8, 3).transpose(0, 2, 1, 3, 4)
    assert (cells[mask] == pixels[mask][:, None, None]).all()
    hidden = cells[~mask].reshape(-1, 3)
    assert {tuple(colour) for colour in hidden} == set(charts.HATCH)
    assert all(len(set(colour)) == 3 for colour in charts.HATCH)


@pytest.mark.parametrize(
    ("margin", "text"),
    [(0.0, "50.0 %"), (40.0, "1 − 4.2e-18"), (-40.0, "4.2e-18"), (math.nan, "not a number")],
)
def test_a_margin_is_read_as_its_probability(margin, text):
    assert charts.margin_text(margin) == text
