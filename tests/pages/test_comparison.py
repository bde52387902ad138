"""The page that compares models, without a browser: answers, agreement, and the ensemble."""

from __future__ import annotations

import pytest

from diagnostics.data import samples
from diagnostics.schema.request import ModelSource
from diagnostics.ui.server.startup import SessionDefaults, configure
from tests.pages_for_tests import button_labels, fine, open_page, page_text, press

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

PAGE = "pages/4_release/2_comparison.py"
CONV, DENSE = "letters_conv.safetensors", "letters_dense.safetensors"


@pytest.fixture
def page(app):
    """The page with both sample models chosen."""
    first = open_page(app, PAGE)
    first.multiselect(key="compare.models").set_value([CONV, DENSE])
    return fine(first.run())


def test_one_model_alone_is_compared_with_nothing(app):
    page = open_page(app, PAGE)
    assert page.multiselect(key="compare.models").value == [CONV]
    assert "Choose two models or more" in page_text(page)
    assert "the same answer" not in page_text(page)
    assert not [table for table in page.dataframe if "same answer" in table.value]
    assert "Take their ensemble in hand" not in button_labels(page)


def test_images_that_change_their_answer_are_counted_and_listed(page):
    assert "2 of 5 images get another answer" in page_text(page)
    table = next(table.value for table in page.dataframe if "same answer" in table.value)
    assert list(table["same answer"]) == ["yes", "yes", "yes", "no", "no"]
    assert {CONV, DENSE} <= set(table.columns)
    assert page.get("plotly_chart")
    assert not page.error


def test_the_ensemble_is_a_model_like_any_other(page):
    page = press(page, "Take their ensemble in hand")
    assert "letters_conv + letters_dense" in [element.value for element in page.sidebar.text]
    page = open_page(page, "pages/1_look/1_inspect.py")
    assert not page.error
    assert page.title[0].value == "Inspect"
    page = open_page(page, "pages/2_trust/2_ood.py")
    assert not page.error


def test_each_model_names_its_own_classes_and_models_apart_have_no_ensemble(app):
    names = tuple(f"sign {place}" for place in range(26))
    configure(
        SessionDefaults(ModelSource(samples.model_files()["letters_conv"], class_names=names))
    )
    try:
        page = open_page(app, PAGE)
        page.multiselect(key="compare.models").set_value([CONV, DENSE])
        page = fine(page.run())
    finally:
        configure(SessionDefaults())
    assert "name their classes differently" in page_text(page)
    assert "Take their ensemble in hand" not in button_labels(page)
    table = next(table.value for table in page.dataframe if "same answer" in table.value)
    assert table[CONV][0].startswith("sign 23 ")
    assert table[DENSE][0].startswith("x ")


def test_no_model_chosen_is_no_error(page):
    page.multiselect(key="compare.models").set_value([])
    page = fine(page.run())
    assert not page.error


def test_ood_scores_are_measured_for_each_model_by_itself(page):
    assert "Add a folder of known-good images to see which" in page_text(page)
    page.button(key="sample.in_distribution").click()
    page = fine(page.run())
    page.toggle(key="compare.strange").set_value(True)
    page = fine(page.run())
    assert not page.error
    promises = [caption.value for caption in page.caption if "Promised" in caption.value]
    assert len(promises) == 2  # one for each model


def test_sufficient_pixels_are_searched_on_each_model_by_itself(page):
    page.toggle(key="compare.sufficient").set_value(True)
    page = fine(page.run())
    assert not page.error
    table = next(table.value for table in page.dataframe if "smallest subset" in table.value)
    assert list(table["model"]) == [CONV, DENSE]
    assert all("of 4" in controls for controls in table["controls that hold"])
