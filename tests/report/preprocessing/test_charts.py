"""Every preprocessing that was tried stands in the chart where it was measured."""

from __future__ import annotations

from diagnostics.report.preprocessing import charts
from tests.report.preprocessing.answers import check


def test_every_candidate_is_drawn_in_its_lane_at_its_measure():
    figure = charts.candidates(check())
    drawn = {trace.name: list(trace.x) for trace in figure.data}
    assert drawn == {
        "set now": [0.9],
        "tied with the best": [0.30, 0.31],
        "fits worse": [3.4],
        "a usual mistake": [0.32],
    }
    assert "5 ways" in figure.layout.title.text
    assert "12 images" in figure.layout.title.text
    assert "lower fits better" in figure.layout.xaxis.title.text


def test_accuracy_is_drawn_in_percent():
    figure = charts.candidates(check(evidence="accuracy"))
    assert list(figure.data[0].x) == [90]
    assert "%" in figure.layout.xaxis.title.text
