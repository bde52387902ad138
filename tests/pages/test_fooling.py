"""The page of fooling images without a browser: how they are made, scored, and opened."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnostics.data import samples
from tests.pages_for_tests import button_labels, chart_titles, fine, open_page, page_text, press

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

PAGE = "pages/3_stress/3_fooling.py"
MAKE = "Make the pictures"


def test_nothing_is_made_before_the_button_and_its_cost_is_shown(app):
    page = open_page(app, PAGE)
    assert not page.error
    assert f"{26 * 301} passes forward and back" in page_text(page)
    assert not chart_titles(page)
    page.selectbox(key="fooling.way").set_value("cppn")
    page = fine(page.run())
    assert f"{200 * 201} passes forward." in page_text(page)
    assert "ends after 2 min" in page_text(page)
    assert MAKE in button_labels(page)


def test_images_of_every_letter_are_scored_and_shown_to_another_model(app, sessions):
    """One answer, and everything that the page does with it."""
    page = press(open_page(app, PAGE), MAKE)
    assert not page.error
    assert "99.99 % sure of a picture made from nothing for all 26 classes" in page_text(page)
    assert chart_titles(page) == [
        "Confidence in the picture of each class (n = 26)",
        "Classes that have reached so much (n = 26)",
    ]
    assert "Can't tell: without known-good images" in page_text(page)
    assert MAKE not in button_labels(page)

    page = press(page, "Sample folder")
    assert not page.error
    assert chart_titles(page)[2] == "Pictures that each score calls strange (n = 8)"
    assert "the most, 8 of 8" in page_text(page)

    other = samples.model_files()["letters_dense"].sha256
    page = fine(page.selectbox(key="fooling.other").set_value(other).run())
    assert not page.error
    assert "letters_dense.safetensors takes" in page_text(page)
    assert "28 × 28 px, the size of these pictures" in page_text(page)
    table = next(element.value for element in page.dataframe if "fooled" in element.value)
    assert len(table) == 8
    assert set(table["fooled"]) <= {"yes", "no"}

    page = fine(page.selectbox(key="fooling.shown").set_value("all").run())
    assert chart_titles(page)[2] == "Pictures that each score calls strange (n = 26)"

    page = press(page, "Pin")
    pinned = sessions[-1].pinned
    file = sessions[-1].images_by_hash()[pinned]
    assert file.name.startswith("fooling gradient")
    assert sessions[-1].shown_images()[0] == file
    assert "Pinned: Inspect and Layers compare" in page_text(page)

    page = press(page, "Open the 4 surest")
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
    page = open_page(app, PAGE, **address)
    assert page.number_input(key="fooling.seed").value == 7
    page = press(page, MAKE)
    assert not page.error
    assert chart_titles(page)[0] == "Confidence in the picture of each class (n = 2)"
    assert "20 generations of at most 20" in page_text(page)
    assert "4,200 pictures asked about, seed 7" in page_text(page)
    (answer,) = [result for result in sessions[-1].results.values() if "trace" in result.arrays]
    assert set(answer.scores["image_indices"]) == {23, 15}
    page = press(page, "Open in Inspect")
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
    page = open_page(app, PAGE, **address)
    assert not page.error
    assert MAKE in button_labels(page)


def test_the_page_needs_no_image(app):
    page = open_page(app, PAGE)
    page.multiselect(key="shown").set_value([])
    page = fine(page.run())
    assert MAKE in button_labels(page)
