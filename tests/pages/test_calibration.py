"""The page of calibration without a browser."""

from __future__ import annotations

import json

import pytest

from tests.pages_for_tests import opened, pressed

pytestmark = pytest.mark.slow

CALIBRATION = "pages/2_trust/3_calibration.py"


def titles(page):
    return [
        json.loads(one.proto.spec)["layout"]["title"]["text"] for one in page.get("plotly_chart")
    ]


def text_of(page):
    return " ".join(one.value.replace("\\", "") for one in (*page.markdown, *page.caption))


def test_calibration_without_a_folder_says_what_to_bring(app):
    page = opened(app, CALIBRATION)
    assert "Add a folder with labels" in text_of(page)
    assert "Sample folder" in [button.label for button in page.button]
    assert not titles(page)
    page = pressed(page, "Sample folder")
    assert not page.error
    assert titles(page) == [
        "Accuracy at each confidence (n = 520)",
        "Accuracy of each class (n = 520)",
        "True class and class said (n = 520)",
    ]
    assert "never makes noise look uncertain" in text_of(page)
    assert "come from the same 520 images" in text_of(page)


def test_a_wrong_answer_opens_in_inspect(app, sessions):
    page = pressed(opened(app, CALIBRATION), "Sample folder")
    chosen = page.selectbox(key="calibration.chosen")
    first = chosen.options[0]
    page = pressed(page, "Open in Inspect")
    assert page.title[0].value == "Inspect"
    assert sessions[-1].shown_images()[0].name in first
