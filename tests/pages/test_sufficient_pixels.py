"""The page of sufficient pixels without a browser: the example, the reading, and other models."""

from __future__ import annotations

import pytest

from diagnostics.execution.local import LocalRunner
from diagnostics.schema.request import INSPECT, Request
from diagnostics.text import shortened
from tests.pages_for_tests import button_labels, fine, open_page, page_text, press

pytestmark = pytest.mark.slow

PAGE = "pages/3_stress/4_sufficient_pixels.py"
CONV, DENSE = "letters_conv.safetensors", "letters_dense.safetensors"
EXAMPLE = "Example: three pixels of an x"


@pytest.fixture
def page(app):
    """The page after its example."""
    return press(open_page(app, PAGE), EXAMPLE)


def tables(page):
    return [element.value for element in page.dataframe]


def test_nothing_is_searched_before_the_button_and_its_cost_is_shown(app, sessions):
    page = open_page(app, PAGE)
    assert "Press Search" in page_text(page)
    assert "448 passes forward and back" in page_text(page)
    assert "all four controls included" in page_text(page)
    answers = [result.scores.get("images") for result in sessions[-1].results.values()]
    assert not [images for images in answers if isinstance(images, list)]
    page.multiselect(key="shown").set_value([])
    page = fine(page.run())
    assert "No image is shown" in page.info[0].value


def test_the_example_finds_three_pixels_and_lays_them_to_the_mask(page):
    assert "Mask-induced, inconclusive: 0.38 % of the pixels (3 of 784" in page_text(page)
    table = next(table for table in tables(page) if "control" in table)
    names = ["Blank image", "Other fills", "Widened subset", "Wrong classes"]
    assert list(table["control"]) == names
    assert list(table["result"]) == ["holds", "fails", "holds", "holds"]
    assert "Not border-driven" in page_text(page)
    assert "3 random pixels instead" in page_text(page)
    assert not page.error
    numbers = next(table for table in tables(page) if "pixels kept" in table)
    assert {"784", "3", "0"} <= set(numbers["pixels kept"])


def test_another_setting_waits_for_the_button_and_its_address_opens_it(page):
    page.selectbox(key="sufficient.fill").select("blur")
    page = fine(page.run())
    assert "Press Search" in page_text(page)
    page = fine(page.button(key="sufficient.search").click().run())
    assert "The blank image already suffices" in page_text(page)
    assert "Open the kept pixels in Inspect" not in button_labels(page)
    run = page.query_params["sufficient.run"]
    assert run
    page = open_page(page, "pages/1_look/1_inspect.py")
    page = open_page(page, PAGE, **{"sufficient.run": run[0] if isinstance(run, list) else run})
    assert "Press Search" not in page_text(page)


def test_without_controls_it_cannot_be_told_and_a_box_tests_the_background(page):
    page.toggle(key="sufficient.controls").set_value(False)
    page.toggle(key="sufficient.boxed").set_value(True)
    page.selectbox(key="sufficient.subsets").select("2")
    page = fine(page.run())
    assert "all four controls" not in page_text(page)
    page = fine(page.button(key="sufficient.search").click().run())
    assert "Can't tell" in page_text(page)
    assert "Disjoint subsets, each enough by itself" in page_text(page)
    assert "lie outside your box" in page_text(page)


def test_the_kept_pixels_open_in_inspect_and_get_the_very_confidence(page, sessions):
    page = press(page, "Open the kept pixels in Inspect")
    assert page.title[0].value == "Inspect"
    session = sessions[-1]
    first = session.shown_images()[0]
    assert first.name.startswith("3 pixels of letter-x-fuzzy")
    (image,) = LocalRunner().run(Request(INSPECT, session.model, (first,))).scores["images"]
    assert image["top"][0]["class"] == "x"
    assert image["top"][0]["probability"] == pytest.approx(0.933, abs=0.02)  # of 8 bits


def test_two_models_and_their_ensemble_stand_side_by_side(page):
    page.multiselect(key="compare.models").set_value([CONV, DENSE])
    page = fine(page.run())
    page = press(page, "Search on these models")
    table = next(table for table in tables(page) if "smallest subset" in table)
    assert list(table["model"]) == [CONV, DENSE, "ensemble of these"]
    assert all("pixels (" in size for size in table["smallest subset"])
    assert f"{shortened(CONV, 40)} needs" in page_text(page)
