"""Verdicts as cards, and the evidence under them."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.report.diagnosis import pictures, tables
from diagnostics.report.formats import html
from diagnostics.report.table import Row, Table
from diagnostics.schema.results.diagnosis import WhyAnswer
from tests.report.diagnosis.answers import (
    BOX,
    SIDE,
    answer,
    arrays,
    finding,
    patched,
    trusted,
    unread,
    untold,
    verdict,
)
from tests.results import conforms


def test_the_answers_of_these_tests_are_as_the_method_gives_them():
    conforms(WhyAnswer, answer())
    conforms(WhyAnswer, answer(causes=[finding("head.bias")]))


def test_a_card_says_the_verdict_in_words_why_and_what_to_do():
    shown = [cell.card for cell in tables.cards(answer(), opened=1)]
    assert [card.word for card in shown] == ["trust", "distrust", "can't tell", "can't tell"]
    assert [card.is_open for card in shown] == [False, True, False, False]
    assert "9 of 10 nearest good images" in shown[0].sentence
    assert shown[0].advice == ""
    assert shown[1].advice == "Train on images without the mark."
    assert shown[2].advice == "Add 20 known-good images or more."
    assert "no image that can be read" in shown[3].sentence


def test_the_advice_is_that_of_the_first_cause_that_has_one():
    causes = [finding(fix=""), finding("image.fooling", fix="Look closer.")]
    assert tables.advice(verdict("a", "distrust", causes=causes, needs="More.")) == "Look closer."


def test_the_intervention_stands_beside_the_image_with_every_answer():
    row, table, *_ = tables.evidence(patched(), arrays(), 1)
    assert [cell.answer for cell in row.cells] == ["x", "p", "x", "x"]
    assert [cell.confidence for cell in row.cells] == ["99.8 %", "90.0 %", "97.0 %", "95.0 %"]
    assert row.cells[1].notes == ("x before", "x: 4.0 %")
    assert row.cells[2].notes == ("b before",)
    assert all(cell.pictures for cell in row.cells)
    assert row.title == "A small part decides"
    assert any("24 of 24 (86–100 %) other good images become" in text for text in row.sentences)
    assert any("1 of 24" in text for text in row.sentences)
    assert table.rows == (
        {
            "what": "Fall without it",
            "this image": "95.8 %",
            "good images, median": "1.0 %",
            "95 % of them below": "6.0 %",
            "good images": "24",
        },
    )


def test_the_box_is_outlined_on_the_image_and_what_is_in_it_stays():
    given = arrays()
    drawn = pictures.picture(given, "1/image", "An image.", BOX)
    factor = drawn.pixels.shape[0] // SIDE
    assert drawn.pixels.shape == (SIDE * factor, SIDE * factor, 3)
    left, top, right, bottom = BOX
    for row in range(SIDE):
        for column in range(SIDE):
            centre = drawn.pixels[row * factor + factor // 2, column * factor + factor // 2]
            assert (centre == given["1/image"][row, column, 0]).all()
    whole = given["1/image"].repeat(factor, 0).repeat(factor, 1)
    changed = (drawn.pixels != whole).any(axis=2)
    assert changed.any()
    assert not changed[top * factor : bottom * factor, left * factor : right * factor].any()
    assert "columns 22 to 24, rows 3 to 5" in drawn.caption
    assert "columns 22 to 24" in drawn.alt


def test_a_picture_without_a_box_is_the_very_array():
    given = arrays()
    drawn = pictures.picture(given, "1/without", "An image.")
    assert (drawn.pixels == given["1/without"]).all()
    assert drawn.pixels.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((5000, 1, 1), np.uint8),
    ],
    ids=lambda values: f"{values.dtype} {values.shape}",
)
def test_what_is_no_picture_is_not_drawn(values):
    assert pictures.picture({"1/image": values}, "1/image", "An image.") is None


@pytest.mark.parametrize("box", [[], [1, 2, 3], [9, 9, 9, 9], [-5, -5, -1, -1], [90, 90, 99, 99]])
def test_a_box_that_lies_nowhere_is_not_drawn(box):
    drawn = pictures.picture(arrays(), "1/image", "An image.", box)
    assert drawn.pixels.shape == (SIDE, SIDE, 3)


def test_pictures_that_are_missing_leave_their_answers_standing():
    row = tables.evidence(patched(), {}, 1)[0]
    assert [cell.answer for cell in row.cells] == ["x", "p", "x", "x"]
    assert not any(cell.pictures for cell in row.cells)


def test_neighbours_say_what_they_are_how_far_and_where_the_model_is_wrong():
    row, table = tables.evidence(trusted(), arrays(), 0)
    first, second = row.cells
    assert first.title == second.title == "x"
    assert first.notes == ("distance 1.25",)
    assert second.notes == ("distance 2.5", "the model says k")
    assert (len(first.pictures), len(second.pictures)) == (1, 0)
    assert table.rows[0]["why not"] == "Blur leaves the answer as it is."
    assert table.rows[0]["the class gets"] == "97.0 %"


def test_what_could_not_be_asked_is_said_with_what_would_let_it_tell():
    (row,) = tables.evidence(untold(), arrays(), 2)
    assert row.title == tables.UNASKED
    assert row.sentences == (
        "Wrong value range",
        "Whether classes are confused.",
        "Add 20 known-good images or more.",
    )
    assert tables.evidence(unread(), arrays(), 3) == []


def test_a_cause_of_the_model_is_said_with_how_often_it_is_right():
    assert tables.model_sentence(answer()["diagnosis"]) == ""
    sentence = tables.model_sentence(answer(causes=[finding("head.bias")])["diagnosis"])
    assert sentence.startswith("One class is preferred whatever the image.")
    assert "It answers 250 of 254 (" in sentence
    assert sentence.endswith("Train on images without the mark.")


def test_a_probability_without_its_exact_distance_is_never_said_to_be_one():
    cause = finding(evidence=[patched()["causes"][0]["evidence"][0] | {"p_cause": 1.0}])
    (row, *_) = tables.finding(cause, patched(), arrays(), 1)
    assert row.cells[1].notes[1] == "x: more than 99.9 %"


def test_sentences_are_cut_to_what_a_page_can_hold():
    long = verdict("a", "distrust", sentence="y" * 10_000, causes=[finding(fix="z" * 10_000)])
    card = tables.card(long)
    assert len(card.sentence) == len(card.advice) == tables.MAX_LENGTH


def test_the_report_holds_card_and_evidence_as_text():
    tag = "<img src=x onerror=alert(1)>"
    image = verdict("a", "distrust", sentence=tag, causes=[finding(fix=tag, sentence=tag)])
    rows = [Row((tables.cards(answer(image))[0],)), *tables.evidence(image, arrays(), 1)]
    assert {type(row) for row in rows} == {Row, Table}
    page = html.page("Why", {}, {"a": rows})
    assert "onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page
    assert '<div class="card distrust">' in page
    assert "✕" in page
    assert page.count("data:image/png") == 5
