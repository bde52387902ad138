"""What the charts of a sweep draw."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diagnostics.corruptions.registry import find
from diagnostics.methods.corruption._sweep import SweepAxis
from diagnostics.metrics.intervals import wilson
from diagnostics.report.chart import GREY
from diagnostics.report.corruption import charts, heatmaps, quantiles
from tests.report.corruption.sweeps import NAMES, SLOPES, answer, arrays, band, image, log_odds


def pair(*predicted):
    """Return a sweep of one image along two axes, of two and three steps."""
    axes = (SweepAxis(find("contrast"), (0, 10)), SweepAxis(find("blur"), (0, 1, 2)))
    return answer(image(predicted, axes=axes), axes=axes)


def test_every_step_has_its_confidence_its_class_and_its_picture_below_each_other():
    sweep = answer(image([0, 0, 1, 1]))
    figure = charts.curves(0, sweep, arrays(sweep), stretch=False)
    assert list(figure.data[0].x) == [0, 1, 2, 3]
    assert list(figure.data[0].y) == pytest.approx([90, 90, 5, 5])
    strip = next(trace for trace in figure.data if trace.type == "bar")
    assert list(strip.x) == [0, 1, 2, 3]
    assert [one.x for one in figure.layout.images] == [0, 1, 2, 3]
    assert all(one.source.startswith("data:image/png;base64,") for one in figure.layout.images)
    assert len(set(strip.marker.color)) == 2
    assert strip.marker.color[0] == figure.data[0].line.color
    assert list(figure.layout.xaxis.ticktext) == ["0", "10", "20", "30"]


def test_stretched_confidence_is_drawn_as_log_odds():
    sweep = answer(image([0, 0, 1, 1]))
    figure = charts.curves(0, sweep, arrays(sweep), stretch=True)
    high, low = log_odds(0.9), log_odds(0.05)
    assert list(figure.data[0].y) == pytest.approx([high, high, low, low], rel=1e-5)
    assert "50 %" in figure.layout.yaxis.ticktext


@pytest.mark.parametrize("predicted", [[0, 0, None, None], [None] * 4])
def test_an_answer_that_is_not_complete_can_be_drawn(predicted):
    sweep = answer(image(predicted))
    charts.curves(0, sweep, arrays(sweep), stretch=True)
    charts.strips(sweep)


def test_an_answer_that_is_not_finite_leaves_a_gap():
    sweep = answer(image([0, -1, -1, 1]))
    assert charts.curves(0, sweep, arrays(sweep), stretch=False).data[0].y[1] is None


def test_a_long_name_is_shortened_to_its_run_and_left_out_where_there_is_no_room():
    axes = (SweepAxis(find("contrast"), tuple(range(60))),)
    sweep = answer(image([2] + [0] * 28 + [2] * 31, axes=axes, clean=2), axes=axes)
    figure = charts.strips(sweep)
    texts = [text for trace in figure.data if trace.type == "scatter" for text in trace.text]
    assert texts[0] == ""
    assert "…" in texts[2] or NAMES[2] in texts[2]


def test_classes_have_the_same_colour_in_another_chart_as_long_as_there_are_colours():
    first = answer(image([0, 0, 0, 1]))
    other = answer(image([1, 1, 1, 2], clean=1))
    colours = charts.class_colours(first)
    shared = charts.class_colours(other, first)
    assert shared[1] == colours[1]
    assert shared[2] not in colours.values()


def test_classes_are_grey_once_there_are_no_more_colours():
    names, axes = tuple("abcdefghijkl"), (SweepAxis(find("contrast"), tuple(range(12))),)
    many = answer(image(list(range(12)), axes=axes, names=names), axes=axes, names=names)
    colours = list(charts.class_colours(many).values())
    assert len(set(colours)) == 9
    assert colours.count(GREY) == 4


def test_a_map_has_a_cell_for_every_pair_and_the_confidence_beside_it():
    sweep = pair(0, 0, 1, 0, 1, 1)
    figure = heatmaps.maps(0, sweep, sweep)
    classes, confidence = (trace for trace in figure.data if trace.type == "heatmap")
    assert np.shape(classes.z) == np.shape(confidence.z) == (2, 3)
    assert np.array(confidence.z) == pytest.approx(np.array([[90, 90, 5], [90, 5, 5]]))
    assert classes.z[0][0] == classes.z[0][1] == classes.z[1][0] != classes.z[0][2]
    table = heatmaps.pair_table(0, sweep)
    assert table.rows[1] == {
        "Contrast": "slope 10",
        "0 px of blur": "x 90.0 %",
        "1 px of blur": "e 90.0 %",
        "2 px of blur": "e 90.0 %",
    }
    assert "stays x at 3 of 6 pairs" in table.caption


def test_what_was_not_asked_is_drawn_as_itself():
    sweep = pair(0, -1, 0, None, None, None)
    figure = heatmaps.maps(0, sweep, sweep)
    classes, confidence = (trace for trace in figure.data if trace.type == "heatmap")
    assert len({classes.z[0][0], classes.z[0][1], classes.z[1][0]}) == 3
    assert math.isnan(confidence.z[1][0])
    assert "not asked yet" in classes.text[1][0]


def test_quantile_bands_are_drawn_with_intervals_of_the_rates():
    bands = [band(10, correct=9), band(8, correct=7), band(0, n=0), band(3, correct=2)]
    sweep = answer(bands=bands) | {"n": 10, "labelled": 10}
    for stretch in (False, True):
        figure = quantiles.bands(sweep, stretch=stretch)
        names = [trace.name for trace in figure.data]
        assert names == ["5 to 95 % of images", "median confidence", "same answer", "right answer"]
        same = figure.data[2]
        assert list(same.x) == [0, 1, 3]
        assert list(same.y) == [100, 80, 30]
        low, high = wilson(8, 10)
        assert same.error_y.arrayminus[1] == pytest.approx(80 - 100 * low)
        assert same.error_y.array[1] == pytest.approx(100 * high - 80)


def test_no_images_can_be_drawn():
    quantiles.bands(answer(bands=[band(0, n=0)] * len(SLOPES.values)), stretch=True)
