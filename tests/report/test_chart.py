"""Axes and the frame that every chart shares."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest

from diagnostics.report import chart
from diagnostics.report.chart import log_odds, log_odds_ticks
from tests.conftest import ROOT


def test_a_probability_of_exactly_one_stands_at_the_end_of_the_axis():
    assert log_odds(np.array([1.0, 0.0]), np.array([0.0, 1.0])).tolist() == [30, -30]


@pytest.mark.parametrize(("low", "high"), [(-3, 2), (-1, 16), (-0.5, 30), (0.1, 0.4), (1, 1)])
def test_ticks_stand_where_their_probability_does(low, high):
    places, names = log_odds_ticks(low, high)
    assert places == sorted(places)
    assert len(places) <= 12
    for place, name in zip(places, names, strict=True):
        if name.startswith("1 − "):
            assert place == pytest.approx(-math.log10(float(name[4:])), abs=1e-3)
        else:
            share = float(name.removesuffix(" %")) / 100
            assert place == pytest.approx(math.log10(share / (1 - share)))


def test_a_figure_says_its_title_and_hides_the_legend_unless_it_is_asked_for():
    plain = chart.figure("Accuracy (n = 5)", 320).layout
    assert (plain.title.text, plain.height, plain.showlegend) == ("Accuracy (n = 5)", 320, False)
    above = chart.figure("Accuracy (n = 5)", 320, legend=chart.LEGEND_ABOVE).layout
    assert above.showlegend
    assert above.legend.orientation == "h"


def test_rows_stand_from_the_top_down():
    axis = chart.rows_axis(["first", "second", "third"])
    low, high = axis["range"]
    assert low > max(axis["tickvals"])
    assert high < min(axis["tickvals"])


def test_error_bars_end_where_the_intervals_do():
    bars = chart.error_bars([50.0, 10.0], [40.0, 10.0], [70.0, 30.0])
    assert bars["array"] == [20.0, 20.0]
    assert bars["arrayminus"] == [10.0, 0.0]
    assert not bars["symmetric"]


def test_a_reference_line_stands_across_the_chart_at_its_value():
    figure = chart.figure("", 200)
    figure.add_scatter(x=[0, 1], y=[0, 1])
    chart.reference_line(figure, x=0.25)
    chart.reference_line(figure, y=0.75, dash="dot")
    upright, level = figure.layout.shapes
    assert (upright.x0, upright.x1, upright.line.dash) == (0.25, 0.25, "dash")
    assert (level.y0, level.y1, level.line.dash) == (0.75, 0.75, "dot")


@pytest.mark.parametrize("colour", chart.SERIES + chart.CATEGORICAL)
def test_text_can_be_read_on_every_colour_of_ours(colour):
    def luminance(written):
        channels = [int(written[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(colour), luminance(chart.text_on(colour))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA: text of any size
    assert chart.contrast(colour, chart.text_on(colour)) == pytest.approx(
        (light + 0.05) / (dark + 0.05)
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_label_of_a_chart_is_read_on_its_page(dark):
    """Streamlit's own grey of the axes has less than the 4.5 : 1 that text needs."""
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    page = settings["theme"]["dark" if dark else "light"]["backgroundColor"]
    figure = chart.figure("title", 300, legend=True)
    figure.add_scatter(x=[0], y=[0], mode="markers+text", text=["a"])
    figure.add_heatmap(z=[[1]], colorbar={"title": "images"})
    figure.add_bar(x=[1], y=[1], marker={"color": [1], "colorbar": {"title": "%"}})
    figure.add_annotation(text="here")
    figure.update_xaxes(title="x")
    figure.update_yaxes(title="y")
    fonts = _fonts(chart.themed(figure, dark=dark).to_plotly_json(), "")
    assert {"layout/title", "layout/legend", "layout/xaxis/title", "layout/yaxis"} <= set(fonts)
    assert {"data/1/colorbar", "data/2/marker/colorbar/title", "data/0"} <= set(fonts)
    assert {
        name: chart.contrast(colour, page) >= 4.5 for name, colour in fonts.items()
    } == dict.fromkeys(fonts, True)


def _fonts(content, path):
    """Return the colours of all fonts, by what they are the fonts of; templates left out."""
    found = {}
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in items:
        if name in ("font", "tickfont", "textfont") and "color" in value:
            found[path] = value["color"]
        elif name != "template" and isinstance(value, dict | list | tuple):
            found |= _fonts(value, f"{path}/{name}".lstrip("/"))
    return found
