"""The page of calibration without a browser."""

from __future__ import annotations

import pytest

from tests.pages_for_tests import button_labels, chart_titles, open_page, page_text, press

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

CALIBRATION = "pages/2_trust/3_calibration.py"


def test_calibration_without_a_folder_says_what_to_bring(app):
    page = open_page(app, CALIBRATION)
    assert "Add a folder with labels" in page_text(page)
    assert "Sample folder" in button_labels(page)
    assert not chart_titles(page)
    page = press(page, "Sample folder")
    assert not page.error
    assert chart_titles(page) == [
        "Accuracy at each confidence (n = 520)",
        "Accuracy of each class (n = 520)",
        "True class and class said (n = 520)",
    ]
    assert "never makes noise look uncertain" in page_text(page)
    assert "each of the 520 images was judged by a temperature" in page_text(page)


def test_a_wrong_answer_opens_in_inspect(app, sessions):
    page = press(open_page(app, CALIBRATION), "Sample folder")
    chosen = page.selectbox(key="calibration.chosen")
    first = chosen.options[0]
    page = press(page, "Open in Inspect")
    assert page.title[0].value == "Inspect"
    assert sessions[-1].shown_images()[0].name in first
