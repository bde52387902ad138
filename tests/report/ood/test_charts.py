"""Charts of OOD scores hold what was measured, against loops and closed forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diagnostics.metrics.intervals import conformal_threshold
from diagnostics.report.ood import charts
from tests.report.ood.answers import (
    ID_SCORES,
    OOD_SCORES,
    N,
    detection_of,
    placement,
    without_place,
)


def test_the_spread_holds_every_image_and_says_what_it_shows():
    read = detection_of(("usual.png", placement(0.0)), ("strange.png", placement(9.0)))
    figure = charts.spread(read, ID_SCORES, OOD_SCORES)
    in_distribution, out_of_distribution, usual, strange = figure.data
    assert sum(in_distribution.y) == pytest.approx(100)
    assert sum(out_of_distribution.y) == pytest.approx(100)
    edges = np.array(in_distribution.x)
    by_hand = [sum(low <= one < high for one in ID_SCORES) for low, high in pairwise(edges)]
    assert np.allclose(np.array(in_distribution.y[:-1]) * N / 100, by_hand)
    assert list(usual.x) == [0.0]
    assert list(strange.marker.symbol) == ["triangle-right"]  # beyond the end, and it says so
    assert "strange.png: 9," in strange.hovertext[0]
    assert figure.layout.title.text == "Score <one>: where images lie"
    assert (
        "99 known-good images, 60 strangers, 2 images in hand" in figure.layout.title.subtitle.text
    )
    assert figure.layout.xaxis2.title.text == "Score <one> (higher is stranger)"
    assert figure.layout.yaxis.title.text == "images per bin (%)"
    limit = conformal_threshold(ID_SCORES, 0.05)
    assert {line.x0 for line in figure.layout.shapes} == {limit}


def test_positive_values_over_many_decades_are_drawn_on_a_logarithmic_scale():
    scores = np.logspace(-18, -1, N)
    read = detection_of(("a.png", placement(1e-9, scores)))
    figure = charts.spread(read, scores)
    assert figure.layout.xaxis2.type == "log"
    assert list(figure.data[2].x) == pytest.approx([1e-9])
    assert sum(figure.data[0].y) == pytest.approx(100)
    assert charts.spread(read, np.append(0.0, scores)).layout.xaxis2.type != "log"


def test_equal_scores_of_all_known_good_images_can_be_drawn():
    same = np.zeros(20)
    figure = charts.spread(detection_of(("a.png", placement(1.0, same))), same)
    assert sum(figure.data[0].y) == pytest.approx(100)


def test_a_score_that_is_no_number_is_not_drawn():
    figure = charts.spread(detection_of(("a.png", without_place(None))), ID_SCORES)
    assert [trace.visible for trace in figure.data] == [True, False, False, False]


def test_the_name_of_a_file_is_text_in_every_lane_of_the_spread():
    """Plotly reads <b>, <a href> and &lt; in names of rows as marks."""
    name = "<b>x</b><a href='//evil'>y</a>.png"
    figure = charts.spread(detection_of((name, placement(0.0))), ID_SCORES, OOD_SCORES)
    shown = [*figure.layout.yaxis2.categoryarray]
    shown += [text for trace in figure.data[2:] for text in [*trace.y, *(trace.hovertext or [])]]
    assert shown
    assert not [text for text in shown if "<" in str(text)]
    assert "&lt;b&gt;" in shown[0]
