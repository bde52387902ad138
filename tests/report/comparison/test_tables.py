"""Several models on the same images: what differs is counted, and why some cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.execution.local import LocalRunner
from diagnostics.report.comparison import charts, tables
from diagnostics.report.inspection import answers
from diagnostics.schema.request import INSPECT, ModelSource, Request, Result

IMAGES = tuple(samples.image_files()[name] for name in ("letter-x-fuzzy", "noise-uniform"))
CLASSES = 26


@pytest.fixture(scope="module")
def results():
    """The answers of both sample models to a letter and to noise."""
    return {
        name: LocalRunner().run(Request(INSPECT, ModelSource(samples.model_files()[name]), IMAGES))
        for name in ("letters_conv", "letters_dense")
    }


def changed(result: Result, *, model=None, arrays=None, image=None) -> Result:
    images = [{**entry, **(image or {})} for entry in result.scores["images"]]
    entry = {**result.scores["model"], **(model or {})}
    scores = {**result.scores, "model": entry, "images": images}
    return replace(result, scores=scores, arrays={**result.arrays, **(arrays or {})})


def with_dense(results, **changes):
    return {**results, "letters_dense": changed(results["letters_dense"], **changes)}


def test_models_that_agree_on_one_of_two_images_are_counted(results):
    assert tables.headline(results).startswith("1 of 2 images gets another answer")
    assert not tables.incomparable(results)
    files, agreement = tables.agreements(results)
    assert files == [file.name for file in IMAGES]
    assert agreement.unanimous.tolist() == [True, False]


def test_every_answer_stands_in_the_column_of_its_model(results):
    rows = tables.changes(results).rows
    assert [row["image"] for row in rows] == [file.name for file in IMAGES]
    assert [row["same answer"] for row in rows] == ["yes", "no"]
    for name, result in results.items():
        predicted = [image["top"][0]["class"] for image in result.scores["images"]]
        assert [row[name].partition(" ")[0] for row in rows] == predicted


def test_an_image_without_an_answer_is_neither_same_nor_other(results):
    unread = with_dense(results, image={"top": [], "error": "This is no image."})
    rows = tables.changes(unread).rows
    assert [row["same answer"] for row in rows] == ["can't tell"] * 2
    assert [row["letters_dense"] for row in rows] == ["This is no image."] * 2
    assert tables.headline(unread) == "No image got an answer by every model."


def test_logits_that_are_not_finite_are_left_out_and_none_at_all_is_said(results):
    not_finite = {f"{index}/logits": np.full(CLASSES, np.nan) for index in (0, 1)}
    first = with_dense(results, arrays={"0/logits": not_finite["0/logits"]})
    files, _ = tables.agreements(first)
    assert files == [IMAGES[1].name]
    both = with_dense(results, arrays=not_finite)
    assert "No image got finite numbers" in tables.incomparable(both)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"classes": [str(index) for index in range(CLASSES)]}, "different classes"),
        ({"output": "independent logits"}, "a yes or no of its own"),
    ],
)
def test_percentages_that_cannot_be_compared_are_not(results, model, reason):
    assert reason in tables.incomparable(with_dense(results, model=model))


def test_a_map_is_for_a_class_as_its_own_model_names_it(results):
    names = [f"sign {index}" for index in range(CLASSES)]
    named = changed(results["letters_conv"], model={"classes": names})
    (cell, _) = answers.heatmaps(named, 0.6, shared=False)
    assert any("sign 23" in note for note in cell.notes)


def test_a_bar_is_the_doubt_within_the_models_and_between_them(results):
    files, agreement = tables.agreements(results)
    within, between = charts.uncertainty(files, agreement).data
    assert (within.name, between.name) == ("own doubt", "disagreement")
    assert np.allclose(np.add(within.x, between.x), agreement.total)
    rows = charts.uncertainties(files, agreement, [str(index) for index in range(CLASSES)]).rows
    assert [row["same answer"] for row in rows] == ["yes", "no"]
    assert [row["together"] for row in rows] == [
        str(index) for index in agreement.ensemble_predicted
    ]
