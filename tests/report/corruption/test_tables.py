"""What a sweep says in sentences and tables."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.corruptions.registry import find
from diagnostics.methods.corruption._sweep import SweepAxis
from diagnostics.report.corruption import tables
from diagnostics.schema.results.corruption import SweepAnswer, TransitionsAnswer, Verdict
from tests.report.corruption.sweeps import answer, arrays, band, image
from tests.results import conforms

BOTH_WAYS = SweepAxis(find("contrast"), (-20, -10, 0, 10, 20))
LEVELS = SweepAxis(find("threshold"), (0.1, 0.2, 0.3, 0.4))  # none leaves an image as it is


def test_the_answers_of_these_tests_are_what_a_sweep_returns():
    conforms(SweepAnswer, answer(image([0, None, -1, 1]), bands=[band(5), band(0, n=0)]))


def test_the_moment_the_answer_changes_is_named():
    one = image([0, 0, 1, 1])
    assert tables.sentence(one, answer(one)) == "x.png: x becomes e at slope 20."
    assert tables.headline(answer(one, image([0, 0, 0, 0]))) == (
        "Contrast: 1 of 2 images changes its answer. The first is x.png: x becomes e at slope 20."
    )


def test_a_change_at_the_very_first_step_is_the_first():
    one = image([1, 1, 0, 0], axes=[LEVELS])
    sweep = answer(one, axes=[LEVELS])
    first = "x becomes e at level 0.1"
    assert tables.sentence(one, sweep) == f"x.png: {first}; it changes 1 more time."
    assert tables.headline(sweep).endswith(f"The first is x.png: {first}.")
    assert tables.label_change_table(sweep).rows[0]["first changes"] == first
    cells = tables.cells_at_changes(0, sweep, arrays(sweep))
    assert [cell.title for cell in cells] == ["As it is", "Level 0.1", "Level 0.2", "Level 0.3"]
    assert [cell.answer for cell in cells] == ["x", "e", "e", "x"]


def test_what_stays_and_what_goes_back_is_said():
    stays = image([0, 0, 0, 0])
    assert tables.sentence(stays, answer(stays)) == "x.png: stays x from slope 0 to slope 30."
    back = image([0, 1, 0, 1])
    said = tables.sentence(back, answer(back))
    assert said == "x.png: x becomes e at slope 10; it changes 2 more times."
    assert tables.headline(answer(stays)) == "Contrast: no answer changes in 1 image."


def test_both_ways_from_the_image_as_it_is_are_named_the_nearest_first():
    one = image([1, 0, 0, 0, -1], axes=[BOTH_WAYS])
    said = tables.sentence(one, answer(one, axes=[BOTH_WAYS]))
    assert "x becomes no finite answer at slope 20, and x becomes e at slope −20" in said
    near = image([1, 1, 0, 0, 2], axes=[BOTH_WAYS])
    said = tables.sentence(near, answer(near, axes=[BOTH_WAYS]))
    assert said.startswith("x.png: x becomes e at slope −10, and x becomes a name")


def test_the_image_that_changes_nearest_to_its_own_is_named_first():
    far, near = image([0, 0, 0, 1], "far.png"), image([0, 1, 1, 1], "near.png")
    assert "The first is near.png" in tables.headline(answer(far, near))
    below = image([1, 0, 0, 0, 0], "below.png", axes=[BOTH_WAYS])
    above = image([0, 0, 0, 1, 1], "above.png", axes=[BOTH_WAYS])
    assert "The first is above.png" in tables.headline(answer(below, above, axes=[BOTH_WAYS]))


def test_a_long_name_of_a_class_is_shortened_in_a_sentence():
    one = image([0, 2, 2, 2])
    assert "x becomes a name that …or one step at slope 10" in tables.sentence(one, answer(one))


def test_an_answer_that_is_not_complete_says_only_what_was_asked():
    one = image([0, 0, None, None])
    sweep = answer(one)
    assert tables.sentence(one, sweep) == "x.png: stays x from slope 0 to slope 10."
    assert len(tables.step_table(one, sweep).rows) == 3
    changes = tables.label_change_table(sweep)
    assert changes.rows[0]["steps with the same answer"] == "2 of 2"
    nothing = image([None] * 4)
    assert tables.sentence(nothing, answer(nothing)) == "x.png: not asked yet."


def test_pictures_stand_just_before_and_after_the_change():
    sweep = answer(image([0, 0, 1, 1]))
    cells = tables.cells_at_changes(0, sweep, arrays(sweep))
    assert [cell.title for cell in cells] == ["As it is", "Slope 10", "Slope 20"]
    assert [cell.answer for cell in cells] == ["x", "x", "e"]
    assert all(cell.pictures[0].pixels.shape == (4, 4, 3) for cell in cells)
    stays = answer(image([0, 0, 0, 0]))
    titles = [cell.title for cell in tables.cells_at_changes(0, stays, arrays(stays))]
    assert titles == ["As it is", "Slope 30"]


def test_a_picture_that_was_averaged_says_so():
    values = np.zeros((2, 2, 3), np.uint8)
    assert tables.picture(values, "x", [4, 6]).caption == "average of 6 × 4 px"
    assert tables.picture(values, "x", [2, 2]).caption == ""


def test_an_answer_that_is_not_finite_has_no_number():
    one = image([0, -1, -1, 1])
    sweep = answer(one)
    assert tables.step_table(one, sweep).rows[2]["said"] == "no finite answer"
    assert tables.cell(0, 1, sweep, {}).empty == "no finite answer"


def test_it_is_said_where_fewer_than_half_keep_their_answer_with_an_interval():
    sweep = answer(bands=[band(10), band(8), band(4), band(3)])
    assert "from slope 20 on: 4 of 10 (17–69 %)" in tables.quantile_headline(sweep)
    sweep["quantile_bands"][2:] = [band(5), band(6)]
    assert "the fewest at slope 20, 5 of 10" in tables.quantile_headline(sweep)
    table = tables.quantile_table(sweep)
    assert table.rows[0]["same answer"] == "10 of 10 (72–100 %)"
    assert table.rows[0]["5 to 95 % of images"] == "20.0 % to 90.0 %"
    assert "right" not in table.rows[0]


def test_no_images_are_no_band():
    sweep = answer(bands=[band(0, n=0)] * 4)
    assert tables.quantile_headline(sweep) == "No image got a finite answer."
    assert tables.quantile_table(sweep).rows == ()


@pytest.mark.parametrize("conclusion", list(tables.CONCLUSIONS))
def test_a_verdict_carries_its_figures(conclusion):
    verdict = Verdict(
        conclusion=conclusion,
        reason="Because.",
        drop=0.264,
        interval=[-0.02, 0.31],
        rate="accuracy",
        n=200,
    )
    sentence = tables.verdict_sentence(
        TransitionsAnswer(
            verdict=verdict,
            conditions=[],
            grey_share=0.1,
            n=200,
            not_finite=0,
            complete=True,
            notes=[],
        )
    )
    assert sentence.startswith(tables.CONCLUSIONS[conclusion])
    assert "26.4 points (−2.0 to 31.0), n = 200. Because." in sentence
