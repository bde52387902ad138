"""Several models on the same images: what differs is counted, what cannot be said is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.execution.local import LocalRunner
from diagnostics.report.comparison import tables
from diagnostics.report.inspection import answers as rows
from diagnostics.schema.request import INSPECT, ModelSource, Request, Result
from diagnostics.ui.widgets.model_picker import named_models

SOURCES = {
    name: ModelSource(samples.model_files()[name]) for name in ("letters_conv", "letters_dense")
}
IMAGES = tuple(samples.image_files()[name] for name in ("letter-x-fuzzy", "noise-uniform"))


@pytest.fixture(scope="module")
def compared():
    """The answers of both sample models to a letter and to noise."""
    return {
        name: LocalRunner().run(Request(INSPECT, source, IMAGES))
        for name, source in SOURCES.items()
    }


def changed(result: Result, *, model=None, arrays=None, image=None) -> Result:
    images = [{**one, **(image or {})} for one in result.scores["images"]]
    told = {**result.scores["model"], **(model or {})}
    scores = {**result.scores, "model": told, "images": images}
    return replace(result, scores=scores, arrays={**result.arrays, **(arrays or {})})


def test_models_that_agree_on_one_of_two_images_are_counted(compared):
    assert tables.headline(compared).startswith("1 of 2 images gets another answer")
    assert not tables.why_not(compared)
    files, found = tables.agreed(compared)
    assert files == [file.name for file in IMAGES]
    assert found.unanimous.tolist() == [True, False]


def test_an_image_without_an_answer_is_neither_same_nor_other(compared):
    unread = changed(compared["letters_dense"], image={"top": [], "error": "This is no image."})
    both = {**compared, "letters_dense": unread}
    rows = tables.changes(both).rows
    assert [row["same answer"] for row in rows] == ["can't tell"] * 2
    assert tables.headline(both) == "No image got an answer by every model."


def test_logits_that_are_not_finite_are_left_out_and_none_at_all_is_said(compared):
    bad = {f"{place}/logits": np.full(26, np.nan) for place in (0, 1)}
    one = changed(compared["letters_dense"], arrays={"0/logits": bad["0/logits"]})
    files, _ = tables.agreed({**compared, "letters_dense": one})
    assert files == [IMAGES[1].name]
    none = changed(compared["letters_dense"], arrays=bad)
    said = tables.why_not({**compared, "letters_dense": none})
    assert "No image got finite numbers" in said


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"classes": [str(place) for place in range(26)]}, "different classes"),
        ({"output": "independent logits"}, "a yes or no of its own"),
    ],
)
def test_percentages_that_cannot_be_compared_are_not(compared, model, said):
    other = changed(compared["letters_dense"], model=model)
    assert said in tables.why_not({**compared, "letters_dense": other})


def test_a_map_is_for_a_class_as_its_own_model_names_it(compared):
    names = [f"sign {place}" for place in range(26)]
    named = changed(compared["letters_conv"], model={"classes": names})
    (cell, _) = rows.heatmaps(named, 0.6, shared=False)
    assert any("sign 23" in note for note in cell.notes)


def test_models_of_one_name_are_told_apart_by_their_hash():
    conv, dense = (
        replace(source, file=replace(source.file, name="model.pth")) for source in SOURCES.values()
    )
    known = named_models([conv, dense])
    assert list(known.values()) == [conv, dense]
    assert list(known) == [f"model.pth ({one.sha256[:8]})" for one in (conv, dense)]
