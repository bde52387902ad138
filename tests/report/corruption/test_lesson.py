"""What the letter experiment changes, and what it concludes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from diagnostics.report.corruption import lesson
from diagnostics.schema.preprocessing import Preprocessing


def test_the_lesson_divides_what_enters_the_network_by_255():
    settings = Preprocessing(colour=False, fit="none", mean=(0.3,), std=(0.2,))
    variants = lesson.variants(settings, 25)
    for value in (0.0, 0.4, 1.0):
        for name, expected in (
            (lesson.AS_IT_IS, (value - 0.3) / 0.2),
            (lesson.SHRUNK, (value / 255 - 0.3) / 0.2),
        ):
            mean, std = variants[name].mean[0], variants[name].std[0]
            assert (value - mean) / std == pytest.approx(expected)
    assert variants[lesson.CURVE].contrast == 25
    assert variants[lesson.CURVE].mean == settings.mean
    assert variants[lesson.BOTH].mean == variants[lesson.SHRUNK].mean
    assert variants[lesson.BOTH].contrast == 25


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("xxxx", "Neither"),
        ("xxjj", "the value range changes the answer, and the contrast does not"),
        ("xexe", "the contrast changes the answer, and the value range does not"),
        ("xejj", "each of them alone"),
        ("xxxj", "only both together"),
    ],
)
def test_the_lesson_names_which_of_the_two_changes_the_answer(classes, words):
    images = [{"top": [{"class": one}]} for one in classes]
    assert words in lesson.sentence("x.png", images)
    images[2]["top"] = []
    assert "nothing can be said" in lesson.sentence("x.png", images)


def test_answers_of_several_variants_stand_side_by_side():
    answers = {
        name: SimpleNamespace(
            scores={"images": [{"file": "x.png"}, {"file": "p.png", "mark": name}]},
            arrays={"0/stage/0": 0, "1/stage/0": name, "10/stage/0": -1},
        )
        for name in ("one", "two")
    }
    images, arrays = lesson.side_by_side(answers, 1)
    assert [one["file"] for one in images] == ["one", "two"]
    assert [one["mark"] for one in images] == ["one", "two"]
    assert arrays == {"0/stage/0": "one", "1/stage/0": "two"}
