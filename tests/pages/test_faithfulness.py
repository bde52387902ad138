"""The question whether a map can be trusted, on the pages that draw maps, without a browser."""

from __future__ import annotations

import pytest

from tests.pages_for_tests import button_labels, charts, fine, open_page, page_text, press

pytestmark = pytest.mark.slow

INSPECT, ATTRIBUTIONS = "pages/1_look/1_inspect.py", "pages/1_look/3_attributions.py"


def test_a_map_is_examined_only_after_its_cost_was_stated(app):
    page = open_page(app, ATTRIBUTIONS, gallery="attribution/gradient,attribution/input_x_gradient")
    assert "Examine 5 maps" not in button_labels(page)
    page = fine(page.toggle(key="trust.gradient").set_value(True).run())
    assert page.query_params["trust.gradient"] == "1"
    assert "60 passes forward and back, 18530 passes forward" in page_text(page)
    assert not charts(page)
    page = fine(press(page, "Examine 5 maps"))
    assert "Can this map be trusted? " in page_text(page)
    assert "of 5 maps" in page_text(page)
    assert "Examine 5 maps" not in button_labels(page)
    reasons = next(table.value for table in page.dataframe if "verdict" in table.value)
    assert "Can't tell" in set(reasons["verdict"])
    (chart,) = charts(page)
    names = [trace["name"] for trace in chart["data"] if trace.get("name")]
    assert names == ["17 null maps", "this map"] * 2
    page = fine(page.selectbox(key="trust.gradient.fill").set_value("blur").run())
    assert "blur fill" in charts(page)[0]["layout"]["title"]["text"]


def test_inspect_examines_the_map_it_shows(app):
    page = open_page(app, INSPECT, method="attribution/input_x_gradient", images="letter-p-thin")
    page = fine(page.toggle(key="trust.input_x_gradient").set_value(True).run())
    page = fine(press(page, "Examine 1 map"))
    assert "Doubt 1 of 1 map" in page_text(page)
    reasons = next(table.value for table in page.dataframe if "verdict" in table.value)
    assert "Stays much the same whatever the weights" in reasons["reason"][1]
