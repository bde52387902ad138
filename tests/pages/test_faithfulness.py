"""The question whether a map can be trusted, on the pages that draw maps, without a browser."""

from __future__ import annotations

import json

import pytest

from tests.pages_for_tests import fine, opened, pressed

pytestmark = pytest.mark.slow

INSPECT, ATTRIBUTIONS = "pages/1_look/1_inspect.py", "pages/1_look/3_attributions.py"


def texts(page):
    elements = (*page.markdown, *page.caption)
    return " ".join(element.value.replace("\\", "") for element in elements)


def charts(page):
    return [json.loads(element.proto.spec) for element in page.get("plotly_chart")]


def test_a_map_is_examined_only_after_its_cost_was_stated(app):
    page = opened(app, ATTRIBUTIONS, gallery="attribution/gradient,attribution/input_x_gradient")
    assert "Examine 5 maps" not in [button.label for button in page.button]
    page = fine(page.toggle(key="trust.gradient").set_value(True).run())
    assert page.query_params["trust.gradient"] == "1"
    assert "35 passes forward and back, 7140 passes forward" in texts(page)
    assert not charts(page)
    page = fine(pressed(page, "Examine 5 maps"))
    assert "Can this map be trusted? " in texts(page)
    assert "of 5 maps" in texts(page)
    assert "Examine 5 maps" not in [button.label for button in page.button]
    reasons = next(table.value for table in page.dataframe if "verdict" in table.value)
    assert set(reasons["verdict"]) >= {"Trust", "Can't tell"}
    (chart,) = charts(page)
    names = [trace["name"] for trace in chart["data"] if trace.get("name")]
    assert names == ["12 random maps", "this map"] * 2
    page = fine(page.selectbox(key="trust.gradient.fill").set_value("blur").run())
    assert "blur fill" in charts(page)[0]["layout"]["title"]["text"]


def test_inspect_examines_the_map_it_shows(app):
    page = opened(app, INSPECT, method="attribution/input_x_gradient", images="letter-p-thin")
    page = fine(page.toggle(key="trust.input_x_gradient").set_value(True).run())
    page = fine(pressed(page, "Examine 1 map"))
    assert "Doubt 1 of 1 map" in texts(page)
    reasons = next(table.value for table in page.dataframe if "verdict" in table.value)
    assert "Stays much the same whatever the weights" in reasons["reason"][0]
