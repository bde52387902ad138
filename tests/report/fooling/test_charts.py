"""Charts of fooling images: lines of few classes, bands of many, and intervals of each score."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.report.fooling import charts
from tests.report.fooling.answers import detection_answer, fooling_answer, fooling_class


def test_a_few_classes_are_a_line_each():
    trace = np.array([[0.0, np.nan, 1.0], [2.0, np.nan, np.nan], [3.0, np.nan, np.nan]])
    classes = fooling_class(0, 0.95), fooling_class(1, None), fooling_class(2, 0.7)
    figure = charts.confidence_chart(fooling_answer(*classes), {"trace": trace})
    assert [line.name for line in figure.data] == ["class 0", "class 1", "class 2"]
    assert list(figure.data[0].y)[-1] == pytest.approx(3 / np.log(10))
    assert list(figure.data[1].y) == [-30] * 3
    assert list(figure.data[2].y) == pytest.approx([1 / np.log(10)] * 3)


def test_many_classes_are_drawn_as_bands():
    classes = [fooling_class(index, 0.5) for index in range(20)]
    trace = np.linspace(-1, 1, 60).reshape(3, 20)
    figure = charts.confidence_chart(fooling_answer(*classes), {"trace": trace})
    assert [line.name for line in figure.data if line.name] == ["all", "half of them", "median"]
    median = figure.data[-1]
    np.testing.assert_allclose(median.y, np.median(trace, 1) / np.log(10))


def test_the_trace_of_a_real_answer_ends_at_the_margins_of_its_images(outcome):
    figure = charts.confidence_chart(outcome.scores, outcome.arrays)
    assert figure.layout.showlegend
    highest = {one["name"]: one["margin"] / np.log(10) for one in outcome.scores["classes"]}
    for line in figure.data:
        assert max(line.y) == pytest.approx(highest[line.name], rel=1e-5)


def test_milestones_are_counted_by_the_step_at_which_they_were_reached():
    classes = fooling_class(0, 0.99999, 0), fooling_class(1, 0.99999, 3), fooling_class(2, 0.6)
    figure = charts.milestones_chart(fooling_answer(*classes))
    assert [list(line.y) for line in figure.data] == [[1, 1, 2]] * 4


def test_detections_are_shares_with_intervals():
    answer = detection_answer([(0.01, 0.5), (0.05, 0.06), (0.2, 0.9)])
    figure = charts.detection_chart(answer, 0.05)
    (points,) = figure.data
    assert list(points.x) == pytest.approx([200 / 3, 0])
    assert list(figure.layout.yaxis.ticktext) == ["A", "B"]
    assert points.error_x.arrayminus[1] == 0
    assert 50 < points.error_x.array[1] < 60  # Wilson's upper end of 0 of 3 is 56 %
