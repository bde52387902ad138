"""The page of sufficient pixels without a browser: the example, the reading, and other models."""

from __future__ import annotations

import pytest

from diagnostics.execution.local import LocalRunner
from diagnostics.schema.request import INSPECT, Request
from diagnostics.text import shortened
from tests.pages_for_tests import fine, opened, pressed

pytestmark = pytest.mark.slow

PAGE = "pages/3_stress/4_sufficient_pixels.py"
CONV, DENSE = "letters_conv.safetensors", "letters_dense.safetensors"
EXAMPLE = "Example: three pixels of an x"


@pytest.fixture
def page(app):
    """The page after its example."""
    return pressed(opened(app, PAGE), EXAMPLE)


def said(page):
    texts = (*page.markdown, *page.caption, *page.warning)
    return "\n".join(one.value for one in texts).replace("\\", "")


def tables(page):
    return [one.value for one in page.dataframe]


def test_nothing_is_searched_before_it_is_wanted_and_the_cost_is_said(app, sessions):
    page = opened(app, PAGE)
    assert "Press Search" in said(page)
    assert "448 passes forward and back" in said(page)
    assert "all four controls included" in said(page)
    answers = [one.scores.get("images") for one in sessions[-1].results.values()]
    assert not [images for images in answers if isinstance(images, list)]
    page.multiselect(key="shown").set_value([])
    page = fine(page.run())
    assert "No image is shown" in page.info[0].value


def test_the_example_reads_three_pixels_as_the_masks_doing(page):
    assert "Mask-induced, inconclusive: 0.38 % of the pixels (3 of 784" in said(page)
    table = next(one for one in tables(page) if "control" in one)
    assert list(table["control"]) == [
        *("Blank image", "Other fills", "Widened subset", "Wrong classes"),
    ]
    assert list(table["result"]) == ["holds", "fails", "holds", "fails"]
    assert "Not border-driven" in said(page)
    assert "3 random pixels instead" in said(page)
    assert not page.error
    numbers = next(one for one in tables(page) if "pixels kept" in one)
    assert {"784", "3", "0"} <= set(numbers["pixels kept"])


def test_another_setting_waits_for_another_press_and_its_address_opens_it(page):
    page.selectbox(key="sufficient.fill").select("blur")
    page = fine(page.run())
    assert "Press Search" in said(page)
    page = fine(page.button(key="sufficient.search").click().run())
    assert "The blank image already suffices" in said(page)
    assert "Open the kept pixels in Inspect" not in [button.label for button in page.button]
    run = page.query_params["sufficient.run"]
    assert run
    page = opened(page, "pages/1_look/1_inspect.py")
    page = opened(page, PAGE, **{"sufficient.run": run[0] if isinstance(run, list) else run})
    assert "Press Search" not in said(page)


def test_without_controls_it_cannot_be_told_and_a_box_tests_the_background(page):
    page.toggle(key="sufficient.controls").set_value(False)
    page.toggle(key="sufficient.boxed").set_value(True)
    page.selectbox(key="sufficient.subsets").select("2")
    page = fine(page.run())
    assert "all four controls" not in said(page)
    page = fine(page.button(key="sufficient.search").click().run())
    assert "Can't tell" in said(page)
    assert "Disjoint subsets, each enough by itself" in said(page)
    assert "lie outside your box" in said(page)


def test_the_kept_pixels_open_in_inspect_and_get_the_very_confidence(page, sessions):
    page = pressed(page, "Open the kept pixels in Inspect")
    assert page.title[0].value == "Inspect"
    held = sessions[-1]
    first = held.shown_images()[0]
    assert first.name.startswith("3 pixels of letter-x-fuzzy")
    (image,) = LocalRunner().run(Request(INSPECT, held.model, (first,))).scores["images"]
    assert image["top"][0]["class"] == "x"
    assert image["top"][0]["probability"] == pytest.approx(0.933, abs=0.02)  # of 8 bits


def test_two_models_and_their_ensemble_stand_side_by_side(page):
    page.multiselect(key="compare.models").set_value([CONV, DENSE])
    page = fine(page.run())
    page = pressed(page, "Search on these models")
    table = next(one for one in tables(page) if "smallest subset" in one)
    assert list(table["model"]) == [CONV, DENSE, "ensemble of these"]
    assert all("pixels (" in size for size in table["smallest subset"])
    assert f"{shortened(CONV, 40)} needs" in said(page)
