"""The page of fooling images without a browser: how they are made, scored, and opened."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnostics.data import samples
from tests.pages_for_tests import fine, opened, pressed

pytestmark = pytest.mark.slow

PAGE = "pages/3_stress/3_fooling.py"
MAKE = "Make the pictures"


def text_of(page):
    texts = (*page.markdown, *page.caption)
    return " ".join(element.value.replace("\\", "") for element in texts)


def titles(page):
    charts = [json.loads(element.proto.spec) for element in page.get("plotly_chart")]
    return [chart["layout"]["title"]["text"] for chart in charts]


def labels(page):
    return [button.label for button in page.button]


def test_nothing_is_made_before_the_button_and_its_cost_is_shown(app):
    page = opened(app, PAGE)
    assert not page.error
    assert f"{26 * 301} passes forward and back" in text_of(page)
    assert not titles(page)
    page.selectbox(key="fooling.way").set_value("cppn")
    page = fine(page.run())
    assert f"{200 * 51} passes forward." in text_of(page)
    assert "ends after 2 min" in text_of(page)
    assert MAKE in labels(page)


def test_images_of_every_letter_are_scored_and_shown_to_another_model(app, sessions):
    """One answer, and everything that the page does with it."""
    page = pressed(opened(app, PAGE), MAKE)
    assert not page.error
    assert "99.99 % sure of a picture made from nothing for all 26 classes" in text_of(page)
    assert titles(page) == [
        "Confidence in the picture of each class (n = 26)",
        "Classes that have reached so much (n = 26)",
    ]
    assert "Can't tell: without known-good images" in text_of(page)
    assert MAKE not in labels(page)

    page = pressed(page, "Sample folder")
    assert not page.error
    assert titles(page)[2] == "Pictures that each score calls strange (n = 8)"
    assert "the most, 8 of 8" in text_of(page)

    other = samples.model_files()["letters_dense"].sha256
    page = fine(page.selectbox(key="fooling.other").set_value(other).run())
    assert not page.error
    assert "letters_dense.safetensors takes" in text_of(page)
    assert "28 × 28 px, the size of these pictures" in text_of(page)
    table = next(element.value for element in page.dataframe if "fooled" in element.value)
    assert len(table) == 8
    assert set(table["fooled"]) <= {"yes", "no"}

    page = fine(page.selectbox(key="fooling.shown").set_value("all").run())
    assert titles(page)[2] == "Pictures that each score calls strange (n = 26)"

    page = pressed(page, "Pin")
    pinned = sessions[-1].pinned
    file = sessions[-1].images_by_hash()[pinned]
    assert file.name.startswith("fooling gradient")
    assert sessions[-1].shown_images()[0] == file
    assert "Pinned: Inspect and Layers compare" in text_of(page)

    page = pressed(page, "Open the 4 surest")
    assert page.title[0].value == "Inspect"
    names = [file.name for file in sessions[-1].shown_images()]
    assert sum(name.startswith("fooling gradient") for name in names) == 4


def test_a_deep_link_evolves_images_of_its_classes(app, sessions):
    address = {
        "fooling.way": "direct",
        "fooling.generations": "20",
        "fooling.classes": "23,15",
        "fooling.seed": "7",
    }
    page = opened(app, PAGE, **address)
    assert page.number_input(key="fooling.seed").value == 7
    page = pressed(page, MAKE)
    assert not page.error
    assert titles(page)[0] == "Confidence in the picture of each class (n = 2)"
    assert "20 generations of at most 20" in text_of(page)
    assert "4,200 pictures asked about, seed 7" in text_of(page)
    (answer,) = [result for result in sessions[-1].results.values() if "trace" in result.arrays]
    assert set(answer.scores["image_indices"]) == {23, 15}
    page = pressed(page, "Open in Inspect")
    assert page.title[0].value == "Inspect"
    content = Path(sessions[-1].shown_images()[0].path).read_bytes()
    picture = np.asarray(Image.open(io.BytesIO(content)))
    assert (picture == answer.arrays["images"][0, :, :, 0]).all()


@pytest.mark.parametrize(
    "address",
    [
        {"fooling.way": "magic"},
        {"fooling.seed": "minus"},
        {"fooling.seed": "99999999"},
        {"fooling.classes": "99,zebra"},
        {"fooling.steps": "7"},
    ],
    ids=str,
)
def test_nonsense_in_the_address_does_no_harm(app, address):
    page = opened(app, PAGE, **address)
    assert not page.error
    assert MAKE in labels(page)


def test_the_page_needs_no_image(app):
    page = opened(app, PAGE)
    page.multiselect(key="shown").set_value([])
    page = fine(page.run())
    assert MAKE in labels(page)
