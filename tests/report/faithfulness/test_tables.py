"""The question whether a map can be trusted, on the pages that draw maps, without a browser."""

from __future__ import annotations

import json

import pytest

from diagnostics.report.faithfulness import tables
from tests.pages_for_tests import fine, opened, pressed

pytestmark = pytest.mark.slow

INSPECT, ATTRIBUTIONS = "pages/1_look/1_inspect.py", "pages/1_look/3_attributions.py"


def said(page):
    return " ".join(one.value.replace("\\", "") for one in (*page.markdown, *page.caption))


def charts(page):
    return [json.loads(one.proto.spec) for one in page.get("plotly_chart")]


def test_a_map_is_examined_only_after_its_cost_was_stated(app):
    page = opened(app, ATTRIBUTIONS, gallery="attribution/gradient,attribution/input_x_gradient")
    assert "Examine 5 maps" not in [one.label for one in page.button]
    page = fine(page.toggle(key="trust.gradient").set_value(True).run())
    assert page.query_params["trust.gradient"] == "1"
    assert "35 passes forward and back, 7140 passes forward" in said(page)
    assert not charts(page)
    page = fine(pressed(page, "Examine 5 maps"))
    assert "Can this map be trusted? " in said(page)
    assert "of 5 maps" in said(page)
    assert "Examine 5 maps" not in [one.label for one in page.button]
    reasons = next(one.value for one in page.dataframe if "verdict" in one.value)
    assert set(reasons["verdict"]) >= {"Trust", "Can't tell"}
    (chart,) = charts(page)
    assert [one.get("name") for one in chart["data"] if one.get("name")] == [
        *("12 random maps", "this map") * 2
    ]
    page = fine(page.selectbox(key="trust.gradient.fill").set_value("blur").run())
    assert "blur fill" in charts(page)[0]["layout"]["title"]["text"]


def test_inspect_examines_the_map_it_shows(app):
    page = opened(app, INSPECT, method="attribution/input_x_gradient", images="letter-p-thin")
    page = fine(page.toggle(key="trust.input_x_gradient").set_value(True).run())
    page = fine(pressed(page, "Examine 1 map"))
    assert "Doubt 1 of 1 map" in said(page)
    reasons = next(one.value for one in page.dataframe if "verdict" in one.value)
    assert "Stays much the same whatever the weights" in reasons["reason"][0]


def test_badges_stand_under_their_images_also_where_one_could_not_be_read():
    one = {"file": "b.png", "verdict": "doubt", "criteria": [], "class": "x"}
    images = [
        {"file": "a.png", "error": "a.png is damaged."},
        {"file": "b.png", "error": None},
        {"file": "c.png", "error": None},
    ]
    cells = tables.badges(images, {"images": [one]})
    assert [cell.empty or cell.answer for cell in cells] == [
        "a.png is damaged.",
        "Doubt",
        "Not examined.",
    ]
