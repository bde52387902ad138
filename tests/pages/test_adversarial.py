"""The page of smallest changes without a browser: nothing dear unasked, then every part of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import CANCELLED, WorkerMemoryError
from diagnostics.execution.local import LocalRunner
from diagnostics.report.adversarial import charts as attack_charts
from diagnostics.report.adversarial import tables
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource, Request, Result
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import adversarial
from tests.pages_for_tests import RecordedRunner, fine, opened, pressed

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
    """What the page is answered about two letters."""
    images = tuple(samples.image_files()[name] for name in NAMES)
    model = ModelSource(samples.model_files()["letters_conv"])
    return runner.run(Request("adversarial/smallest", model, images, options={"steps": 15}))


@pytest.fixture
def answered(monkeypatch, answer):
    """Have attacks on the two letters answered at once; returns what was asked."""
    run, asked = RecordedRunner.run, []

    def at_once(self, request, watch=None):
        if not request.method.startswith("adversarial/"):
            return run(self, request, watch)
        asked.append(request)
        return replace(answer, key=request.key)

    monkeypatch.setattr(RecordedRunner, "run", at_once)
    return asked


def headings(page):
    return [one.label for one in page.expander if one.label != "Numbers"]


def charts(page):
    return [json.loads(one.proto.spec) for one in page.get("plotly_chart")]


def said(page):
    return " ".join(one.value.replace("\\", "") for one in (*page.markdown, *page.caption))


def test_nothing_is_looked_for_before_the_button_and_its_cost_is_said(app, answered):
    page = opened(app, PAGE, **ADDRESS)
    assert headings(page) == HEADINGS[:1]
    assert not answered
    assert "380 passes forward and back" in said(page)
    page = pressed(page, LOOK)
    assert len(answered) == 1
    assert headings(page) == HEADINGS
    assert page.query_params["attack.wanted"] == answered[0].key[:12]
    page.selectbox(key="attack.steps").set_value("300")
    page = fine(page.run())
    assert headings(page) == HEADINGS[:1]
    assert len(answered) == 1
    page.selectbox(key="attack.steps").set_value("50")
    assert headings(fine(page.run())) == HEADINGS


def test_a_deep_link_opens_the_answer_at_its_place(app, answered, answer):
    page = pressed(opened(app, PAGE, **ADDRESS), LOOK)
    page.slider(key="attack.epsilon").set_value(60)
    page.selectbox(key="attack.norm").set_value("linf")
    page = fine(page.run())
    address = dict(page.query_params)
    assert {"attack.epsilon", "attack.norm", "attack.wanted"} <= address.keys()
    title = charts(page)[1]["layout"]["title"]["text"]
    for key, value in address.items():
        app.query_params[key] = value
    again = opened(app, PAGE)
    assert charts(again)[1]["layout"]["title"]["text"] == title
    assert again.slider(key="attack.epsilon").value == 60


def test_the_slider_says_what_the_line_says_there(app, answered, answer):
    page = pressed(opened(app, PAGE, **ADDRESS), LOOK)
    place = attack_charts.pick(answer.scores["images"], "l2")
    line = answer.arrays[f"{place}/l2/line"]
    for percent in (0, 150):
        page.slider(key="attack.epsilon").set_value(percent)
        page = fine(page.run())
        markers = [one for one in charts(page)[1]["data"] if one["mode"] == "markers"]
        logits = line[percent // 5].astype(np.float64)
        share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        drawn = attack_charts.drawn(line, answer.scores["images"][place]["said"])
        heights = [one["y"][0] for one in markers]
        np.testing.assert_allclose(heights, 100 * share[drawn], rtol=1e-6, atol=1e-9)


def test_the_changed_image_opens_in_inspect_as_it_was_rounded(app, answered, answer, sessions):
    page = pressed(pressed(opened(app, PAGE, **ADDRESS), LOOK), "Open in Inspect")
    assert page.title[0].value == "Inspect"
    file = sessions[-1].shown_images()[0]
    place = attack_charts.pick(answer.scores["images"], "l2")
    assert file.name.endswith("-l2-1x.png")
    with Image.open(file.path) as picture:
        found = np.asarray(picture)
    np.testing.assert_array_equal(found, answer.arrays[f"{place}/l2/picture"][..., 0])


def test_where_it_looked_before_and_after_is_shown_once_wanted(app, answered):
    page = pressed(opened(app, PAGE, **ADDRESS), LOOK)
    before = len(page.get("bidi_component"))
    page = fine(page.toggle(key="attack.looked").set_value(True).run())
    assert not page.error
    assert len(page.get("bidi_component")) == before + 1


def test_what_was_found_before_a_cancel_is_shown(app, monkeypatch, answer):
    run = RecordedRunner.run

    def cancelled(self, request, watch=None):
        if not request.method.startswith("adversarial/"):
            return run(self, request, watch)
        images = [dict(one) for one in answer.scores["images"]]
        images[1] |= {
            norm: {**images[1][norm], "found": False, "distance": None} for norm in ("l2", "linf")
        }
        arrays = {name: one for name, one in answer.arrays.items() if not name.endswith("line")}
        scores = {**answer.scores, "images": images, "complete": False}
        partial = Result(request.key, arrays, scores, 1.0, {})
        current_session().partial_results[request.key] = partial
        raise WorkerMemoryError(CANCELLED)

    monkeypatch.setattr(RecordedRunner, "run", cancelled)
    page = pressed(opened(app, PAGE, **ADDRESS), LOOK)
    assert [one.value for one in page.info] == [CANCELLED]
    assert "Not found for 1 image" in said(page)
    assert headings(page) == [*HEADINGS[:3], *HEADINGS[4:]]


def test_a_model_that_always_says_the_same_gives_not_found(app, sessions, tmp_path):
    tensors = load_file(samples.model_files()["letters_dense"].path)
    last = [name for name in tensors if name.endswith("weight")][-1]
    tensors[last].zero_()
    save_file(tensors, tmp_path / "same.safetensors")
    page = opened(app, PAGE, **ADDRESS)
    sessions[-1].select_model(ModelSource(file_at(tmp_path / "same.safetensors")))
    page = pressed(fine(page.run()), LOOK)
    assert "No change was found" in said(page)
    assert "Not found." in said(page)
    (table,) = page.dataframe
    assert set(table.value["becomes"]) == {"not found"}


def test_images_are_listed_the_most_fragile_first_and_what_was_not_found_last(answer):
    images = [dict(one) for one in answer.scores["images"]]
    lost = {**images[0], "l2": {**images[0]["l2"], "found": False, "distance": None, "why": "No."}}
    scores = {**answer.scores, "images": [lost, *images]}
    table = tables.numbers(scores, "l2")
    distances = [float(row["L2 (pixels in 0 to 1)"]) for row in table.rows[:2]]
    assert distances == sorted(distances)
    assert table.rows[2]["becomes"] == "not found"
    assert table.rows[2]["L2 (pixels in 0 to 1)"] == ""
    assert "Not found for 1 image" in tables.headline(scores, "l2")


def test_root_mean_square_is_the_length_over_the_root_of_the_number_of_values(answer):
    entry = answer.scores["images"][0]["l2"]
    change = answer.arrays["0/l2/difference"].astype(np.float64)
    greys = tables.greys(entry, "l2", answer.scores["values"])
    assert greys == pytest.approx(255 * np.sqrt((change**2).mean()), rel=1e-4)
    assert f"{greys:.3g} grey levels of 255" in tables.distance(entry, "l2", 784)
    largest = answer.scores["images"][0]["linf"]
    change = answer.arrays["0/linf/difference"]
    assert tables.greys(largest, "linf", 784) == pytest.approx(255 * np.abs(change).max())


@pytest.mark.parametrize(
    ("most", "times"), [(1.0, 1), (0.6, 1), (0.5, 2), (0.21, 2), (0.19, 5), (0.012, 50), (0.0, 1)]
)
def test_a_difference_is_amplified_as_far_as_the_scale_goes(most, times):
    change = np.array([[[most], [-most / 3]]])
    assert tables.factor(change) == times
    assert times * most <= 1


def test_the_exact_difference_and_the_amplified_one_have_the_colours_of_their_scale(answer):
    image = answer.scores["images"][0]
    cells = tables.cells(image, "l2", 0, answer.arrays, 1.0, image["l2"]["now"])
    change = answer.arrays["0/l2/difference"][..., 0]
    times = tables.factor(change)
    assert [cell.title for cell in cells[2:]] == [
        "Difference, exact",
        f"Difference, amplified {times} ×",
    ]
    brightest = np.unravel_index(change.argmax(), change.shape)
    for cell in cells[2:]:
        pixels = cell.pictures[0].pixels
        assert pixels.shape[:2] == change.shape
        assert (pixels[change == 0] == 247).all()
        red, _, blue = pixels[brightest].astype(int)
        assert red >= blue
    assert f"{255 / times:.3g}" in cells[3].pictures[0].caption


def test_pictures_go_to_the_network_as_they_are():
    settings = Preprocessing(
        colour=False, invert=True, contrast=5.0, blur=1.0, threshold=0.5, height=28, width=28,
        mean=(0.1,), std=(0.3,), value_range=255,
    )  # fmt: skip
    as_is = adversarial.as_it_is(settings)
    assert (as_is.fit, as_is.invert, as_is.contrast, as_is.blur) == ("none", False, 0.0, 0.0)
    assert as_is.threshold is None
    assert (as_is.mean, as_is.std, as_is.value_range) == ((0.1,), (0.3,), 255)


def test_what_is_looked_for_has_its_passes_counted():
    model = ModelSource(samples.model_files()["letters_conv"])
    images = tuple(samples.image_files()[name] for name in NAMES)

    def counted(method, **options):
        return adversarial.passes(
            Request(f"adversarial/{method}", model, images, options=options), 26
        )

    assert counted("ddn", steps=100)[1] == 200
    assert counted("smallest", steps=100)[1] == 2 * 2 * (100 + 5 * 9)
    assert counted("lbfgs")[1] > counted("deepfool")[1]
