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
    *shown, none = [cell.card for cell in tables.cards(answer(), opened=1)]
    assert [card.word for card in shown] == ["trust", "distrust", "can't tell"]
    assert [card.is_open for card in shown] == [False, True, False]
    assert shown[0].sentence == (
        "Nothing that was tried explains it away; 9 of 10 nearest good images are x."
    ), "the answer itself stands above the card"
    assert shown[0].advice == ""
    assert shown[1].advice == "Cover the mark, add it to other classes, and train again."
    assert shown[2].advice == "Add 20 known-good images or more."
    assert none is None, "that it cannot be read stands above"


def test_the_advice_is_that_of_the_first_cause_that_has_one():
    causes = [finding(fix=""), finding("image.fooling", fix="Look closer.")]
    assert tables.advice(verdict("a", "distrust", causes=causes, needs="More.")) == "Look closer."


def test_what_was_done_comes_first_then_what_it_means_and_what_to_do():
    row = tables.evidence(patched(), arrays(), 1)[0]
    said, fix = row.sentences
    assert said.startswith(
        "Without 3 × 3 px at the upper right (replaced by the median of others), p of “x” goes "
        "from 99.8 % to 4.0 %. The model reads 3 × 3 px at the upper right, not the rest"
    )
    assert fix == "What to do: Cover the mark, add it to other classes, and train again."


@pytest.mark.parametrize(
    ("done", "before", "after", "sentence"),
    [
        ("Blurred,", 0.9, 0.3, "Blurred, p of “x” goes from 90.0 % to 30.0 %."),
        ("Both hold 90 %:", 0.5, 0.4, "Both hold 90 %; p of “x” goes from 50.0 % to 40.0 %."),
        ("Blurred", 1.0, 0.9999, "Blurred, p of “x” stays more than 99.9 %."),
        ("", 0.9, 0.3, ""),
        ("Blurred", 0.9, None, ""),
    ],
)
def test_what_became_of_the_probability_is_said_where_something_was_done(
    done, before, after, sentence
):
    assert tables.moved(finding(done=done, p_before=before, p_after=after), "x") == sentence


def test_only_what_can_be_given_to_other_images_is_counted_in_them():
    assert tables.counts(finding("shortcut.local")).startswith("With it, 24 of 24")
    assert tables.counts(finding("reliance.texture"))
    assert tables.counts(finding("image.adversarial")) == ""


def test_a_probability_keeps_its_small_letter():
    names = ("p falls when blurred", "p-value by pixels", "pixels alike")
    rows = tables.effects([{**finding()["effects"][0], "name": name} for name in names]).rows
    assert [row["what"] for row in rows] == [*names[:2], "Pixels alike"]


def test_thousands_of_causes_are_no_longer_a_page_than_all_there_are():
    image = verdict("a", "distrust", causes=[finding()] * 5000)
    assert len(tables.evidence(image, arrays(), 1)) < 100


def test_that_nothing_explains_an_answer_is_no_cause_in_its_evidence():
    assert tables.explanations(trusted()) == []
    titles = [row.title for row in tables.evidence(trusted(), arrays(), 0)]
    assert [
        title.startswith(start) for title, start in zip(titles, ("Nearest", "Tried"), strict=True)
    ] == [
        True,
        True,
    ]


def test_what_was_measured_on_no_good_image_has_no_column_for_them():
    alone = [{**finding()["effects"][0], "good_median": None, "good_high": None, "n": 0}]
    assert tables.effects(alone).rows == ({"what": "Fall without it", "this image": "95.8 %"},)
    assert "known-good" not in tables.effects(alone).title


def test_the_intervention_stands_beside_the_image_with_every_answer():
    row, table, *_ = tables.evidence(patched(), arrays(), 1)
    assert [cell.answer for cell in row.cells] == ["x", "p", "x", "x"]
    assert [cell.confidence for cell in row.cells] == ["99.8 %", "90.0 %", "97.0 %", "95.0 %"]
    assert row.cells[1].notes == ("x before", "x: 4.0 %")
    assert row.cells[2].notes == ("b before",)
    assert all(cell.pictures for cell in row.cells)
    assert row.title == "A small part decides"
    assert "24 of 24 (86–100 %) other good images become" in row.sentences[0]
    assert "1 of 24" in row.sentences[0]
    assert table.rows == (
        {
            "what": "Fall without it",
            "this image": "95.8 %",
            "good images, median": "1.0 %",
            "95 % of them below": "6.0 %",
            "good images": "24",
        },
    )


def test_the_box_is_outlined_beside_the_pixels_and_said():
    given = arrays()
    drawn = pictures.picture(given, "1/image", "An image.", BOX)
    assert (drawn.pixels == given["1/image"]).all()
    assert drawn.outline == tuple(BOX)
    assert drawn.caption == "outlined: columns 22 to 24, rows 3 to 5"
    assert "columns 22 to 24, rows 3 to 5" in drawn.alt


def test_of_a_box_the_part_in_the_picture_is_outlined():
    drawn = pictures.picture(arrays(), "1/image", "An image.", [-3, 20, 5, 99])
    assert drawn.outline == (0, 20, 5, SIDE)


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
    assert drawn.outline is None
    assert drawn.caption == ""


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
        "Wrong value range.",
        "Whether classes are confused.",
        "Add 20 known-good images or more.",
    )
    assert tables.evidence(unread(), arrays(), 3) == []


def test_a_cause_of_the_model_is_said_with_how_often_it_is_right():
    assert tables.model_sentence(answer()["diagnosis"]) == ""
    sentence = tables.model_sentence(answer(causes=[finding("head.bias")])["diagnosis"])
    assert sentence.startswith("One class is preferred whatever the image.")
    assert "It answers 250 of 254 (" in sentence
    assert sentence.endswith("Cover the mark, add it to other classes, and train again.")


def test_a_probability_without_its_exact_distance_is_never_said_to_be_one():
    cause = finding(evidence=[patched()["causes"][0]["evidence"][0] | {"p_cause": 1.0}])
    (row, *_) = tables.finding(cause, patched(), arrays(), 1)
    assert row.cells[1].notes[1] == "x: more than 99.9 %"


def test_sentences_are_cut_to_what_a_page_can_hold():
    long = verdict("a", "distrust", sentence="y" * 10_000, causes=[finding(fix="z" * 9_999 + ".")])
    card = tables.card(long)
    assert len(card.sentence) == len(card.advice) == tables.MAX_LENGTH
    assert "…" in card.advice


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
