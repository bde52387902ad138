"""Sentences, tables and rows of pictures of the pixels that suffice."""

from __future__ import annotations

from diagnostics.report.sufficient_pixels import tables


def test_pictures_show_the_image_the_kept_pixels_and_what_was_received(image, arrays):
    titles = [cell.title for cell in tables.picture_cells(image, arrays)]
    assert titles == ["What it received", "The 2 pixels kept", "What it received of them"]
    image["size"] = 0
    assert [cell.title for cell in tables.picture_cells(image, arrays)] == titles[:1]


def test_models_stand_side_by_side_with_what_cannot_be_told(image):
    lost = {**image, "size": None, "verdict": "can't tell", "error": "broken"}
    fine = {**image, "verdict": "overinterprets"}
    table = tables.comparison_table([("first", fine), ("second", lost)])
    sizes = [row["smallest subset"] for row in table.rows]
    assert sizes == ["2 pixels (33 %), steps of 2", "can't tell"]
    sentence = tables.comparison_text([("first", fine), ("second", lost)])
    assert sentence == "first needs 33 % of the pixels, second has no size to compare."


def test_a_rise_of_the_confidence_is_a_warning(image):
    assert tables.rise_warning(image).startswith(
        "Removing pixels raised the confidence from 88.0 % to 95.0 % (4 pixels kept)"
    )
    image["confidence_rose"] = False
    assert tables.rise_warning(image) == ""


def test_a_search_without_controls_has_no_controls_to_show(image):
    assert tables.control_table(image).rows == ()
    assert tables.random_pixels_text(image) == ""
    assert tables.border_text(image) == ""
    assert tables.background_text(image) == ""


def test_a_real_search_is_told_in_tables_and_sentences(outcome):
    image = outcome.scores["images"][0]
    controls = tables.control_table(image)
    assert [row["result"] for row in controls.rows] == ["holds"] * 4
    assert controls.caption == tables.random_pixels_text(image)
    assert controls.caption.startswith("1 random pixel instead: ")
    assert tables.border_text(image).startswith("Not border-driven: 0 % of the kept pixels")
    assert tables.background_text(image).startswith("Not background-driven: 0 % of the kept")
    (row,) = tables.comparison_table([("spots", image)]).rows
    assert row["smallest subset"] == "1 pixel (1.6 %), steps of 1"
    assert row["controls that hold"] == "4 of 4"
    assert row["reading"] == "overinterprets"


def test_the_table_of_the_curve_holds_its_ends_and_the_subset(outcome):
    arrays = tables.image_arrays(outcome.arrays, 0)
    table = tables.curve_table(outcome.scores["images"][0], arrays)
    kept = [row["pixels kept"] for row in table.rows]
    assert (kept[0], kept[-1]) == ("64", "0")
    assert "1" in kept
    assert len(kept) <= tables.CURVE_ROWS + 1


def test_every_disjoint_subset_has_a_picture(outcome):
    image, arrays = outcome.scores["images"][0], tables.image_arrays(outcome.arrays, 0)
    cells = tables.subset_cells(image, arrays)
    assert [cell.title for cell in cells] == ["Subset 1: 1 pixel"]
    titles = [cell.title for cell in tables.picture_cells(image, arrays)]
    assert titles[-1] == "Widened (control)"
