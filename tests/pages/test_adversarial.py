"""The page of smallest changes without a browser: nothing expensive unasked, then every part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import CANCELLED, WorkerMemoryError
from diagnostics.execution.local import LocalRunner
from diagnostics.report.adversarial.charts import classes_along
from diagnostics.report.adversarial.tables import first_shown
from diagnostics.schema.request import ModelSource, Request, Result
from diagnostics.schema.results.adversarial import NoPerturbation
from diagnostics.ui.session.state import current_session
from tests.pages_for_tests import (
    RecordedRunner,
    charts,
    fine,
    open_page,
    page_text,
    press,
    section_headings,
)

pytestmark = pytest.mark.slow

PAGE = "pages/3_stress/2_adversarial.py"
LOOK = "Look for the smallest changes"
NAMES = ("letter-x-thin", "letter-p-thin")
ADDRESS = {"images": ",".join(NAMES), "attack.steps": "50"}
HEADINGS = [
    "What is looked for",
    "Which image is nearest to another answer?",
    "What has to change?",
    "How far along the change does it turn?",
    "Beside it: random changes",
    "One pixel at a time",
]


@pytest.fixture(scope="module")
def runner():
    return LocalRunner()


@pytest.fixture(scope="module")
def answer(runner):
    """The answer about two letters."""
    images = tuple(samples.image_files()[name] for name in NAMES)
    model = ModelSource(samples.model_files()["letters_conv"])
    return runner.run(Request("adversarial/smallest", model, images, options={"steps": 15}))


@pytest.fixture
def requests(monkeypatch, answer):
    """Have attacks on the two letters answered at once; returns the requests."""
    run, requests = RecordedRunner.run, []

    def recorded(self, request, watch=None):
        if not request.method.startswith("adversarial/"):
            return run(self, request, watch)
        requests.append(request)
        return replace(answer, key=request.key)

    monkeypatch.setattr(RecordedRunner, "run", recorded)
    return requests


def test_nothing_is_looked_for_before_the_button_and_its_cost_is_said(app, requests):
    page = open_page(app, PAGE, **ADDRESS)
    assert section_headings(page) == HEADINGS[:1]
    assert not requests
    assert "1140 passes forward and back" in page_text(page)
    page = press(page, LOOK)
    assert len(requests) == 1
    assert section_headings(page) == HEADINGS
    assert page.query_params["attack.wanted"] == requests[0].key[:12]
    page.selectbox(key="attack.steps").set_value("300")
    page = fine(page.run())
    assert section_headings(page) == HEADINGS[:1]
    assert len(requests) == 1
    page.selectbox(key="attack.steps").set_value("50")
    assert section_headings(fine(page.run())) == HEADINGS


def test_a_deep_link_opens_the_answer_at_its_place(app, requests, answer):
    page = press(open_page(app, PAGE, **ADDRESS), LOOK)
    page.slider(key="attack.epsilon").set_value(60)
    page.selectbox(key="attack.norm").set_value("linf")
    page = fine(page.run())
    address = dict(page.query_params)
    assert {"attack.epsilon", "attack.norm", "attack.wanted"} <= address.keys()
    title = charts(page)[1]["layout"]["title"]["text"]
    for key, value in address.items():
        app.query_params[key] = value
    again = open_page(app, PAGE)
    assert charts(again)[1]["layout"]["title"]["text"] == title
    assert again.slider(key="attack.epsilon").value == 60


def test_the_slider_shows_the_probabilities_along_the_change(app, requests, answer):
    page = press(open_page(app, PAGE, **ADDRESS), LOOK)
    images = answer.scores["images"]
    index = first_shown(images, "l2")
    along = answer.arrays[f"{index}/l2/logits"]
    for percent in (0, 150):
        page.slider(key="attack.epsilon").set_value(percent)
        page = fine(page.run())
        markers = [trace for trace in charts(page)[1]["data"] if trace["mode"] == "markers"]
        logits = along[percent // 5].astype(np.float64)
        share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        drawn = classes_along(along, images[index]["predicted"])
        heights = [trace["y"][0] for trace in markers]
        np.testing.assert_allclose(heights, 100 * share[drawn], rtol=1e-6, atol=1e-9)


def test_the_changed_image_opens_in_inspect_as_it_was_rounded(app, requests, answer, sessions):
    page = press(press(open_page(app, PAGE, **ADDRESS), LOOK), "Open in Inspect")
    assert page.title[0].value == "Inspect"
    file = sessions[-1].shown_images()[0]
    index = first_shown(answer.scores["images"], "l2")
    assert file.name.endswith("-l2-1x.png")
    with Image.open(file.path) as picture:
        opened_pixels = np.asarray(picture)
    expected = answer.arrays[f"{index}/l2/picture"][..., 0]
    np.testing.assert_array_equal(opened_pixels, expected)


def test_where_it_looked_before_and_after_is_shown_once_wanted(app, requests):
    page = press(open_page(app, PAGE, **ADDRESS), LOOK)
    before = len(page.get("bidi_component"))
    page = fine(page.toggle(key="attack.looked").set_value(True).run())
    assert not page.error
    assert len(page.get("bidi_component")) == before + 1


def test_partial_answers_are_shown_after_a_cancel(app, monkeypatch, answer):
    run = RecordedRunner.run

    def cancelled(self, request, watch=None):
        if not request.method.startswith("adversarial/"):
            return run(self, request, watch)
        first, second = answer.scores["images"]
        missing = NoPerturbation(
            is_adversarial=False,
            reason="It was not looked for.",
            distance=None,
            png_is_adversarial=None,
            attacks={},
        )
        images = [first, second | {"l2": missing, "linf": missing}]
        arrays = {
            name: values for name, values in answer.arrays.items() if not name.endswith("logits")
        }
        scores = {**answer.scores, "images": images, "complete": False}
        partial = Result(request.key, arrays, scores, 1.0, {})
        current_session().partial_results[request.key] = partial
        raise WorkerMemoryError(CANCELLED)

    monkeypatch.setattr(RecordedRunner, "run", cancelled)
    page = press(open_page(app, PAGE, **ADDRESS), LOOK)
    assert [info.value for info in page.info] == [CANCELLED]
    assert "Not found for 1 image" in page_text(page)
    assert section_headings(page) == [*HEADINGS[:3], *HEADINGS[4:]]


def test_a_model_that_always_says_the_same_gives_not_found(app, sessions, tmp_path):
    tensors = load_file(samples.model_files()["letters_dense"].path)
    last = [name for name in tensors if name.endswith("weight")][-1]
    tensors[last].zero_()
    save_file(tensors, tmp_path / "same.safetensors")
    page = open_page(app, PAGE, **ADDRESS)
    sessions[-1].select_model(ModelSource(file_at(tmp_path / "same.safetensors")))
    page = press(fine(page.run()), LOOK)
    assert "No change was found" in page_text(page)
    assert "Not found." in page_text(page)
    (table,) = page.dataframe
    assert set(table.value["becomes"]) == {"not found"}
