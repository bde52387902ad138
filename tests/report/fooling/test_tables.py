"""Fooling images in words and rows."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.report.fooling import tables
from diagnostics.schema.results.fooling import FoolingAnswer
from tests.report.fooling.answers import fooling_answer, fooling_class
from tests.results import conforms


def test_headlines_of_all_of_some_and_of_no_classes():
    sure, less, lost = fooling_class(0, 0.99999, 2), fooling_class(1, 0.7), fooling_class(2, None)
    conforms(FoolingAnswer, fooling_answer(sure, less, lost))
    assert "for all 1" not in tables.headline(fooling_answer(sure))
    both = fooling_answer(sure, fooling_class(1, 0.9999, 3))
    assert "for all 2 classes" in tables.headline(both)
    some = tables.headline(fooling_answer(sure, less, lost))
    assert "for 1 of 3 classes. The surest is class 0, 1 − 1.0e-5. The least sure" in some
    assert tables.headline(fooling_answer(lost)) == tables.NOTHING


def test_the_effort_says_how_far_the_work_got_and_what_is_missing():
    sure, lost = fooling_class(0, 0.99999, 2), fooling_class(2, None)
    effort = tables.effort_text(fooling_answer(sure, lost, complete=False, images_left_out=1))
    assert "4 steps of at most 9, 1,234 pictures asked about, seed 1." in effort
    assert "not done" in effort
    assert "Not found: class 2." in effort
    assert "pictures of 1 class are not shown" in effort


def test_every_class_has_a_row():
    classes = fooling_class(0, 0.99999, 2), fooling_class(1, 0.7), fooling_class(2, None)
    rows = tables.class_table(fooling_answer(*classes)).rows
    assert [row["probability"] for row in rows] == ["1 − 1.0e-5", "70.0 %", "not found"]
    assert rows[0]["99 % at step"] == "2"
    assert rows[1]["99 % at step"] == "not reached"


def test_a_class_that_ended_stays_where_it_was_and_one_without_numbers_at_nothing():
    trace = np.array([[0.0, np.nan, 1.0], [2.0, np.nan, np.nan], [3.0, np.nan, np.nan]])
    before = trace.copy()
    continued = tables.continued_trace({"trace": trace})
    assert continued.tolist() == [[0, -np.inf, 1], [2, -np.inf, 1], [3, -np.inf, 1]]
    np.testing.assert_array_equal(trace, before)
    classes = fooling_class(0, 0.95), fooling_class(1, None), fooling_class(2, 0.7)
    table = tables.trace_table(fooling_answer(*classes), {"trace": trace})
    assert [row["step"] for row in table.rows] == ["0", "2", "4"]
    assert table.rows[0]["least sure"] == "below 1e-300"


def test_classes_count_from_the_iteration_at_which_they_reached_a_milestone():
    classes = fooling_class(0, 0.99999, 0), fooling_class(1, 0.99999, 3), fooling_class(2, 0.6)
    answer = fooling_answer(*classes)
    counts = [tables.count_reached(answer, tables.GOAL, iteration) for iteration in (0, 2, 4)]
    assert counts == [1, 1, 2]
    assert tables.count_reached(answer, tables.GOAL) == 2


def test_the_gallery_of_a_real_answer_shows_its_very_images(outcome):
    answer = outcome.scores
    images = tables.images_by_class(answer, outcome.arrays)
    classes = tables.classes_with_image(answer, 2)
    assert [one["index"] for one in classes] == answer["image_indices"]
    for cell, one in zip(tables.gallery_cells(answer, images, classes), classes, strict=True):
        assert (cell.pictures[0].pixels == images[one["index"]]).all()
        assert cell.notes[1] == f"found at step {one['found_at']}"
    (cell, _) = tables.gallery_cells(answer, images, classes, stretch=True)
    assert (cell.pictures[0].pixels.min(), cell.pictures[0].pixels.max()) == (0, 255)


@pytest.mark.parametrize(("room_px", "shown"), [(240, 2), (1, 1)])
def test_a_contact_sheet_holds_as_many_pictures_as_there_is_room_for(outcome, room_px, shown):
    sheet = tables.contact_sheet(outcome.scores, outcome.arrays, room_px)
    assert len(sheet.caption.split(", ")) == shown
    image = outcome.arrays["images"][0]
    factor = max(1, room_px // (4 * (image.shape[1] + 1)))
    first = sheet.pixels[: factor * image.shape[0] : factor, : factor * image.shape[1] : factor]
    assert (first == image).all()


def test_without_an_image_there_is_no_contact_sheet():
    answer = fooling_answer(fooling_class(0, None))
    answer["image_indices"] = []
    assert tables.contact_sheet(answer, {}, 240) is None
