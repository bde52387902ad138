"""Verdicts on Inspect without a browser: cards, evidence, a closer look, what cannot be told."""

from __future__ import annotations

import pytest

from diagnostics.cli.main import parser, session_defaults
from diagnostics.data import samples
from diagnostics.errors import CANCELLED, CancelledError, WorkerCrashedError
from diagnostics.report.formats import html
from diagnostics.schema.request import Progress, Result
from diagnostics.schema.results.diagnosis import WhyAnswer
from diagnostics.text import JOINER
from diagnostics.ui.dialogs import open_model
from diagnostics.ui.server.startup import SessionDefaults, configure
from diagnostics.ui.views import diagnosis
from diagnostics.ui.widgets import run
from diagnostics.verdict.causes import CAUSES
from tests.pages_for_tests import (
    PAGES,
    RecordedRunner,
    button_labels,
    cells,
    fine,
    page_text,
    press,
)
from tests.report.diagnosis.answers import answer, arrays, finding, patched, trusted, untold
from tests.results import conforms

pytestmark = pytest.mark.slow

IMAGES = ("letter-x-fuzzy", "noise-uniform", "letter-p-thin")
VERDICTS = {"trust": "trust", "distrust": "distrust", "cannot_tell": "can't tell"}
CLOSER = "Look closer (about 4,200 passes, 3 s)"
HOSTILE = "![a](http://127.0.0.1:9/a.png)<img src=x onerror=alert(1)>[b](javascript:alert(2))"


def cards(page, key="row.verdict"):
    return [cell["card"] for cell in cells(page, key)]


@pytest.fixture
def answered(app, monkeypatch):
    """Return a function that opens Inspect where a worker answers why as it is told.

    It takes the cheap answer, and what comes of a closer look: an answer, or a partial one.
    """

    def start(cheap, closer=None, partial=None, **address):
        recorded = RecordedRunner.run

        def answer_why(self, request, watch=None):
            if request.method != diagnosis.METHOD:
                return recorded(self, request, watch)
            if not request.options["closer"]:
                return Result(request.key, arrays(), cheap, 0.1, {})
            if partial is not None:
                so_far = Result(request.key, arrays(), partial, 0.1, {})
                watch(Progress("Looking closer", 0.5, 4.0, so_far))
                raise CancelledError(CANCELLED)
            return Result(request.key, arrays(), closer, 0.1, {})

        monkeypatch.setattr(RecordedRunner, "run", answer_why)
        monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.0)
        for name, value in {"images": ",".join(IMAGES), **address}.items():
            app.query_params[name] = value
        return fine(app.run())

    return start


def three():
    return answer(trusted(), patched(), untold())


def test_on_the_first_visit_every_sample_has_a_verdict_by_the_sample_folder(app, sessions):
    page = fine(app.run())
    assert not page.error
    session = sessions[-1]
    assert session.in_distribution == samples.folders()["in_distribution"]
    (key,) = [key for key, result in session.results.items() if "diagnosis" in result.scores]
    scores = {**session.results[key].scores}
    scores.pop("model")
    conforms(WhyAnswer, scores)
    shown = cards(page)
    assert len(shown) == len(samples.FIRST_IMAGES) == len(scores["images"])
    for card, image in zip(shown, scores["images"], strict=True):
        assert card["word"] == VERDICTS[image["verdict"]]
        assert card["sentence"]
        assert image["verdict"] == "trust" or card["advice"], "what to do"
    noise = samples.FIRST_IMAGES.index("noise-uniform")
    assert shown[noise]["kind"] == "distrust"
    assert f"Judged by {scores['diagnosis']['n']} known-good images" in page_text(page)


def test_the_answers_are_there_before_why_is_asked(app, monkeypatch):
    asked, recorded = [], RecordedRunner.run

    def note(self, request, watch=None):
        asked.append(request.method)
        return recorded(self, request, watch)

    monkeypatch.setattr(RecordedRunner, "run", note)
    fine(app.run())
    assert asked.index("inspect") < asked.index("ood/fit_reference") < asked.index(diagnosis.METHOD)


def test_while_it_is_asked_a_quiet_card_stands_in_every_column(app, monkeypatch):
    recorded = RecordedRunner.run

    def stop(self, request, watch=None):
        if request.method == diagnosis.METHOD:
            diagnosis.st.stop()
        return recorded(self, request, watch)

    monkeypatch.setattr(RecordedRunner, "run", stop)
    page = fine(app.run())
    assert [card["kind"] for card in cards(page, "why.waiting")] == ["waiting"] * 5
    assert [cell["answer"] for cell in cells(page, "row.prediction")] == ["x", "x", "p", "r", "j"]


def test_image_answer_and_verdict_stand_in_one_column_before_all_else(answered):
    page = answered(three())
    rows = [row.proto.id.rpartition("-")[2] for row in page.get("bidi_component")]
    assert rows[:3] == ["row.prediction", "row.verdict", "row.ranking"]
    for cell, name in zip(cells(page, "row.prediction"), IMAGES, strict=True):
        assert cell["answer"]
        assert name in cell["pictures"][0]["alt"]


def test_every_verdict_has_its_word_its_reason_and_what_to_do(answered):
    shown = cards(answered(three()))
    assert [card["word"] for card in shown] == ["trust", "distrust", "can't tell"]
    assert shown[1]["sentence"] == "A small part decides."
    assert shown[1]["advice"].startswith("Cover the mark")
    assert not any(card["is_open"] for card in shown)


def test_an_address_opens_the_evidence_of_one_image(answered):
    page = answered(three(), why="2")
    assert [card["is_open"] for card in cards(page)] == [False, True, False]
    shown = page_text(page)
    assert "noise-uniform.png" in next(text for text in shown.split("\n") if "####" in text)
    assert "p of “x” goes from 99.8 % to 4.0 %" in shown
    pictures = cells(page, "why.cause.0.0")
    assert [cell["answer"] for cell in pictures] == ["x", "p", "x", "x"]
    assert pictures[0]["pictures"][0]["outline"] == [22, 3, 25, 6]
    tables = [set(table.value.columns) for table in page.dataframe]
    assert {"what", "this image", "good images, median", "95 % of them below", "good images"} in (
        tables
    )
    assert any("did not explain" in fold.label for fold in page.expander)
    assert len(cells(page, "why.beside.0")) == 2
    assert page.query_params["why"] == "2"


def test_closed_evidence_leaves_the_address(answered):
    page = press(answered(three(), why="2"), "Close")
    assert "why" not in page.query_params
    assert not any(card["is_open"] for card in cards(page))


@pytest.mark.parametrize("number", ["0", "4", "-1", "x", "9" * 5000, "1.5", "²"])
def test_an_address_that_names_no_image_opens_nothing(answered, number):
    page = answered(three(), why=number)
    assert not any(card["is_open"] for card in cards(page))


def test_the_evidence_stays_with_its_image_when_others_come_before_it(answered):
    page = answered(three(), why="2")
    page = press(page, "Noise")
    assert page.query_params["why"] == "3"


def test_every_cause_that_names_a_page_leads_to_it(answered):
    addresses = {name.rpartition("/")[2].partition("_")[2].removesuffix(".py") for name in PAGES}
    assert {cause.lab for cause in CAUSES if cause.lab} <= addresses
    causes = [finding(cause.id) for cause in CAUSES if cause.lab]
    first = {**patched(), "causes": causes}
    page = answered(answer(first, patched(), untold()), why="1")
    links = [link.proto.page for link in page.get("page_link")]
    assert links == [cause.lab for cause in CAUSES if cause.lab]


def test_what_could_not_be_asked_is_said_in_the_evidence(answered):
    shown = page_text(answered(three(), why="3"))
    assert "What could not be asked" in shown
    assert "Add 20 known-good images or more." in shown


def test_a_cause_of_the_model_is_said_once_above_all_images(answered):
    scores = answer(trusted(), patched(), untold(), causes=[finding("head.bias")])
    page = answered(scores)
    (warning,) = page.warning
    assert "One class is preferred whatever the image" in warning.value.replace("\\", "")
    assert len(cards(page)) == 3


def test_a_closer_look_is_offered_with_its_cost_and_its_address_opens_it(answered, app):
    closer = {**answer(patched(), patched(), patched()), "closer": None}
    page = answered(three(), closer)
    page = press(page, CLOSER)
    assert [card["kind"] for card in cards(page)] == ["distrust"] * 3
    assert CLOSER not in button_labels(page)
    assert page.query_params["why.closer"]


def test_after_cancel_what_is_known_so_far_stays_and_the_rest_keeps_its_first_verdict(answered):
    partial = {**answer(patched(), patched()), "closer": None}
    page = press(answered(three(), partial=partial, why="3"), CLOSER)
    assert [card["kind"] for card in cards(page)] == ["distrust", "distrust", "cannot_tell"]
    assert "Add 20 known-good images or more." in page_text(page), "evidence of the first verdict"
    assert any(CANCELLED in info.value for info in page.info)
    assert "Start again" in button_labels(page)
    assert CLOSER not in button_labels(page)


def test_images_that_were_not_asked_before_cancel_say_so(app, monkeypatch):
    recorded = RecordedRunner.run

    def cancel(self, request, watch=None):
        if request.method != diagnosis.METHOD:
            return recorded(self, request, watch)
        so_far = Result(request.key, arrays(), answer(trusted(), patched()), 0.1, {})
        watch(Progress("Asking why", 0.5, 4.0, so_far))
        raise CancelledError(CANCELLED)

    monkeypatch.setattr(RecordedRunner, "run", cancel)
    app.query_params["images"] = ",".join(IMAGES)
    page = fine(app.run())
    assert [card["word"] for card in cards(page)] == ["trust", "distrust", "not asked"]
    assert "Start again" in button_labels(page)


def test_the_example_opens_the_evidence_of_a_mark_that_decides(app, sessions):
    page = press(fine(app.run()), "Example: a mark decides")
    session = sessions[-1]
    assert session.model.file == samples.model_files()["letters_marked"]
    first, second, without_mark = cards(page)
    assert [card["kind"] for card in (first, second)] == ["distrust", "distrust"]
    assert without_mark["kind"] != "distrust"
    assert first["is_open"]
    assert "A small part decides" in page_text(page)
    image, without, *others = cells(page, "why.cause.0.0")
    assert image["answer"] == "k" != without["answer"]
    assert [cell["answer"] for cell in others] == ["k", "k"]
    assert image["pictures"][0]["outline"]
    assert "Example: a mark decides" not in button_labels(page)


def test_without_known_good_images_one_button_brings_them(no_known_good, app):
    app.query_params["images"] = ",".join(IMAGES)
    page = fine(app.run())
    assert {card["kind"] for card in cards(page)} == {"cannot_tell"}
    assert all("known-good images" in card["advice"] for card in cards(page))
    (button,) = [button for button in page.button if button.key == "bring.in_distribution"]
    assert button.label == "Add known-good images"


def test_where_the_samples_were_put_away_they_are_one_click_away(app, sessions):
    app.query_params["images"] = ",".join(IMAGES)
    page = fine(app.run())
    sessions[-1].in_distribution = None
    page = fine(page.run())
    assert {card["kind"] for card in cards(page)} == {"cannot_tell"}
    page = press(page, "Compare with the sample's known-good images")
    assert {card["kind"] for card in cards(page)} != {"cannot_tell"}


def test_a_worker_that_fails_leaves_the_answers_and_offers_to_start_again(app, monkeypatch):
    recorded = RecordedRunner.run

    def fail(self, request, watch=None):
        if request.method == diagnosis.METHOD:
            raise WorkerCrashedError("It crashed.")
        return recorded(self, request, watch)

    monkeypatch.setattr(RecordedRunner, "run", fail)
    page = fine(app.run())
    assert [cell["answer"] for cell in cells(page, "row.prediction")] == ["x", "x", "p", "r", "j"]
    assert "Start again" in button_labels(page)
    assert not [row for row in page.get("bidi_component") if "row.verdict" in row.proto.id]
    assert page.get("download_button"), "what was drawn can be saved all the same"


def test_an_image_that_cannot_be_read_has_no_card_of_its_own(begun, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    page = begun(str(path), samples.image_files()["letter-p-thin"].path)
    assert cards(page)[0] is None
    assert cards(page)[1]["word"] in VERDICTS.values()


@pytest.fixture
def begun(app):
    """Return a function that starts the app as `oversure app MODEL IMAGE…` does."""

    def start(*arguments):
        model = samples.model_files()["letters_conv"].path
        configure(session_defaults(parser().parse_args(["app", model, *arguments])))
        return fine(app.run())

    yield start
    configure(SessionDefaults())


def test_the_report_has_the_verdicts_under_the_answers_and_the_open_evidence(answered, monkeypatch):
    written = []
    report = diagnosis.Board.offer_report

    def note(board):
        written.append(html.page("Inspect", {}, board._sections))
        report(board)

    monkeypatch.setattr(diagnosis.Board, "offer_report", note)
    answered(three(), why="2")
    (page,) = written
    order = [page.index(text) for text in ("✕", "A small part decides<", 'class="bar"')]
    assert order == sorted(order)
    assert page.count('class="card') == 3
    assert 'class="outline"' in page


def test_text_of_a_worker_stays_text(answered):
    cause = finding(
        "x" * 40,
        sentence=HOSTILE,
        done=HOSTILE,
        fix=HOSTILE,
        evidence=[{**one, "caption": HOSTILE, "said": HOSTILE} for one in finding()["evidence"]],
    )
    first = {**patched(), "causes": [cause], "sentence": HOSTILE, "unasked": [HOSTILE]}
    first |= {"needs": HOSTILE, "said": HOSTILE}
    scores = answer(first, patched(), untold(), causes=[cause])
    scores |= {"notes": [HOSTILE]}
    scores["diagnosis"] |= {"sentence": HOSTILE}
    page = answered(scores, why="1")
    elements = (*page.markdown, *page.caption, *page.warning)
    found = [element.value for element in elements if "onerror" in element.value]
    assert len(found) >= 5
    for value in found:
        assert "\\!\\[a\\]" in value
        assert "\\<img" in value
        assert f":{JOINER}\\/\\/127" in value


def test_an_answer_about_other_images_than_were_asked_is_drawn_as_far_as_it_fits(answered):
    longer = answer(*[patched()] * 9)
    assert len(cards(answered(longer, why="3"))) == 3


def test_a_planted_shortcut_is_shown_in_two_clicks(app, sessions, monkeypatch):
    """The model comes with letters that bear the mark, and with known-good images of its kind."""
    page = fine(app.run())
    monkeypatch.setattr(open_model.st, "pills", lambda *_, **__: samples.MARKED)  # in the dialog
    page = fine(page.button(key="open").click().run())
    session = sessions[-1]
    assert session.model.file == samples.model_files()[samples.MARKED]
    assert session.in_distribution.name == "marked-letters.zip"
    marked, other, plain, *_ = cards(page)
    assert session.shown_images()[0].name == "letter-p-marked.png"
    for card in (marked, other):
        assert card["word"] == "distrust"
        assert "“k”" in card["sentence"]
    assert plain["word"] != "distrust"
