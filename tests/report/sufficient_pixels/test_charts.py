"""The player's data and the pictures of kept pixels: exact pixels, and lines for the rest."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest

from diagnostics.report.sufficient_pixels import charts
from diagnostics.report.sufficient_pixels import tables as rows


@pytest.fixture
def arrays():
    """A search of 2 × 3 pixels in steps of two, the whole image just below the threshold."""
    removed = np.array([[0, 5, 1], [4, 2, 3]], np.float32)
    margins = np.array([2.0, 3.0, math.log(9), -80.0])
    subset = removed >= 4
    return {
        "pixels": np.arange(6, dtype=np.uint8).reshape(2, 3, 1) * 40,
        "removed/0": removed,
        "kept/0": np.array([6, 4, 2, 0], np.int32),
        "margins/0": margins,
        "subset/0": subset,
        "alone/0": np.zeros((2, 3, 1), np.uint8),
    }


@pytest.fixture
def one():
    reached = {"confidence": 0.9, "one_minus_p": 0.1}
    found = {"size": 2, "resolution": 2, "kept": reached}
    return {
        "file": "a.png",
        "name": "cat",
        "tau": 0.9,
        "pixels": 6,
        "fill": "black",
        "error": "",
        "confidence": 0.88,
        "one_minus_p": 0.12,
        "controls": None,
        "checks": [],
        "subsets": [found],
        **found,
    }


def test_the_player_begins_at_the_smallest_subset_and_names_every_point(one, arrays):
    data = charts.player(one, arrays)
    assert data["start"] == 2
    assert [point["kept"] for point in data["points"]] == [6, 4, 2, 0]
    assert data["points"][2]["said"] == "2 of 6 pixels kept (33 %): cat 90.0 %"
    assert data["points"][3]["said"].endswith("cat 1.8e-35")
    assert data["points"][2]["y"] == pytest.approx(data["level"])
    across = [point["x"] for point in data["points"]]
    assert (across[0], across[-1]) == (0, 1)
    assert across == sorted(across)
    assert all(0 <= point["y"] <= 1 for point in data["points"])
    ranks = np.frombuffer(base64.b64decode(data["ranks"]), "<i4")
    assert ranks.tolist() == [0, 5, 1, 4, 2, 3]


def test_what_is_no_number_breaks_the_curve_and_what_was_never_removed_stays(one, arrays):
    arrays["margins/0"][1] = np.nan
    arrays["removed/0"][0, 0] = np.inf
    data = charts.player(one, arrays)
    assert data["points"][1]["y"] is None
    assert data["points"][1]["said"].endswith("not a number")
    assert np.frombuffer(base64.b64decode(data["ranks"]), "<i4")[0] == -1


@pytest.mark.parametrize("channels", [1, 3])
def test_kept_pixels_are_exact_and_the_rest_is_lines_of_no_grey(channels):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (28, 28, channels), dtype=np.uint8)
    mask = random.random((28, 28)) < 0.3
    shown = charts.kept_alone(pixels, mask, "a", "a").pixels
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
    assert charts.probability(margin) == text


def test_pictures_show_the_image_the_kept_pixels_and_what_was_received(one, arrays):
    titles = [cell.title for cell in rows.pictures(one, arrays)]
    assert titles == ["What it received", "The 2 pixels kept", "What it received of them"]
    assert [cell.title for cell in rows.pictures({**one, "size": 0}, arrays)] == titles[:1]


def test_models_stand_side_by_side_with_what_cannot_be_told(one):
    lost = {**one, "size": None, "verdict": "can't tell", "blank": None, "error": "broken"}
    fine = {**one, "verdict": "overinterprets", "blank": None}
    table = rows.side_by_side([("first", fine), ("second", lost)])
    sizes = [row["smallest subset"] for row in table.rows]
    assert sizes == ["2 pixels (33 %), steps of 2", "can't tell"]
    said = rows.beside([("first", fine), ("second", lost)])
    assert said == "first needs 33 % of the pixels, second has no size to compare."
