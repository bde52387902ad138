"""The page of sweeps without a browser: where the answer turns, and the letter experiment."""

from __future__ import annotations

import pytest

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.execution.local import LocalRunner
from diagnostics.schema.request import INSPECT, ModelSource, Request
from tests.pages_for_tests import (
    button_labels,
    chart_titles,
    charts,
    fine,
    open_page,
    page_text,
    press,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

PAGE = "pages/3_stress/1_corruption.py"
MODEL = ModelSource(samples.model_files()["letters_conv"])


@pytest.fixture
def visit(app, sessions):
    """Return a function that opens the page."""
    return lambda **address: open_page(app, PAGE, **address)


def test_the_sample_images_are_swept_at_once_and_what_is_expensive_waits(visit):
    page = visit()
    assert not page.error
    assert chart_titles(page) == [
        "First class of each image (n = 5)",
        "Confidence, noise-uniform.png (n = 1)",
        "Many images (n = 5)",
    ]
    assert "noise-uniform.png: r becomes s at slope 22.5" in page_text(page)
    assert "273 passes forward" in page_text(page)
    curves = charts(page)[1]
    assert [image["x"] for image in curves["layout"]["images"]] == list(range(21))


def test_the_example_breaks_and_its_step_gets_the_very_answer_in_inspect(visit, sessions):
    page = press(visit(), "Show a letter that breaks")
    assert "letter-x-blurred.png: x becomes e at level 0.5" in page_text(page)
    assert page.query_params["sweep.axis"] == "threshold"
    assert chart_titles(page)[1] == "Confidence, letter-x-blurred.png (n = 1)"
    page = press(page, "Open this step in Inspect")
    assert page.title[0].value == "Inspect"
    file = sessions[-1].shown_images()[0]
    assert file.name == "letter-x-blurred at level 0.5.png"
    answer = LocalRunner().run(Request(INSPECT, MODEL, (file,), options={"attributions": ()}))
    (image,) = answer.scores["images"]
    assert image["top"][0]["class"] == "e"


def test_a_deep_link_opens_an_axis_its_ends_and_two_axes_together(visit):
    page = visit(
        **{
            "images": "letter-x-thin",
            "sweep.axis": "rotated",
            "sweep.from": "-90",
            "sweep.to": "45",
            "sweep.steps": "11",
            "sweep.second": "thickened",
            "sweep.two": "1",
        }
    )
    assert not page.error
    assert "at 0°" not in page_text(page)
    assert chart_titles(page)[2] == "First class; confidence in x (n = 1)"
    strip = charts(page)[0]["data"][0]["hovertext"]
    assert strip[0].endswith("at −90°")
    assert strip[-1].endswith("at 45°")
    assert len(strip) == 12  # the angle that changes nothing is added
    page.selectbox(key="sweep.axis").set_value("contrast")
    page = fine(page.run())
    assert "sweep.from" not in page.query_params
    assert "Contrast" in page_text(page)


def test_equal_ends_are_said_without_a_trace(visit):
    page = visit(**{"sweep.from": "5", "sweep.to": "5"})
    assert "must go from one number to another" in page.error[0].value.replace("\\", "")


@pytest.mark.parametrize("address", [{"sweep.axis": "nonsense"}, {"sweep.from": "far"}], ids=str)
def test_an_address_with_nonsense_opens_the_page_all_the_same(visit, address):
    assert len(chart_titles(visit(**address))) == 3


def test_a_range_that_no_file_can_hold_is_not_opened_and_one_image_cannot_tell(visit):
    page = visit(**{"sweep.axis": "value_range", "images": "letter-x-thin", "sweep.reading": "1"})
    assert "Can't tell whether the model relies on grey transitions" in page_text(page)
    assert "A picture file holds no values beyond 0 to 1" in page_text(page)
    assert "Open this step in Inspect" not in button_labels(page)


def test_with_the_sample_folder_many_images_are_swept_and_judged_once_wanted(visit):
    page = press(visit(**{"sweep.most": "32", "sweep.probed": "32"}), "Sample folder")
    assert chart_titles(page)[-1] == "Many images (n = 5)"
    page.toggle(key="sweep.many").set_value(True)
    page.toggle(key="sweep.reading").set_value(True)
    page = fine(page.run())
    assert not page.error
    assert chart_titles(page)[-1] == "Many images (n = 32)"
    assert "the model relies on grey transitions" in page_text(page)
    assert ", n = 32." in page_text(page)


def test_the_letter_experiment_tells_contrast_from_range(visit, sessions):
    page = press(visit(model="letters_dense"), "Show it with the drawn x and p")
    assert not page.error
    assert sessions[-1].model == MODEL
    names = [file.name for file in sessions[-1].shown_images()[:2]]
    assert names == ["letter-x-fuzzy.png", "letter-p-fuzzy.png"]
    assert page.query_params["sweep.lesson"] == "1"
    for letter in "xp":
        assert (
            f"letter-{letter}-fuzzy.png: {letter} as it is, {letter} with the curve alone, j with "
            "the range alone, j with both. Here the value range changes the answer, and the "
            "contrast does not."
        ) in page_text(page)
    headings = [heading.value for heading in page.markdown]
    for layer in ("relu1", "fc2"):
        assert sum(heading.startswith(f"**{layer}**") for heading in headings) == 2


def test_an_image_that_cannot_be_read_shifts_none_of_the_others(visit, sessions, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    page = visit(images="letter-x-thin,letter-x-blurred", **{"sweep.axis": "threshold"})
    sessions[-1].add_images([file_at(tmp_path / "broken.png")])
    page = fine(page.run())
    assert "1 image left out" in page_text(page)
    assert chart_titles(page)[:2] == [
        "First class of each image (n = 2)",
        "Confidence, letter-x-blurred.png (n = 1)",
    ]
    page = fine(page.toggle(key="sweep.two").set_value(True).run())
    assert not page.error
    assert "First class; confidence in x (n = 1)" in chart_titles(page)
