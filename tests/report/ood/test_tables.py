"""OOD scores in words, against loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.methods.ood.detector import OODDetector
from diagnostics.metrics.intervals import conformal_threshold
from diagnostics.report.ood import roc, tables
from diagnostics.report.ood.tables import STRANGE, UNKNOWN, USUAL, Detection
from diagnostics.schema.results import Count
from diagnostics.schema.results.ood import DetectionAnswer, EvaluationAnswer
from tests.report.ood.answers import (
    ID_SCORES,
    OOD_SCORES,
    N,
    answer,
    detection_of,
    evaluation,
    placement,
    without_place,
)
from tests.results import conforms


def test_the_answers_of_these_tests_are_as_the_methods_give_them():
    conforms(DetectionAnswer, answer([("a.png", placement(1.0)), ("b.png", without_place(None))]))
    conforms(EvaluationAnswer, evaluation({"ood/one": 0.7}))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_an_image_is_strange_exactly_from_the_threshold_on(alpha):
    limit = conformal_threshold(ID_SCORES, alpha)
    assert tables.verdict(placement(limit), alpha)[0] == STRANGE
    assert tables.verdict(placement(np.nextafter(limit, -np.inf)), alpha)[0] == USUAL


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.29])
def test_the_page_flags_what_the_model_s_process_flags(alpha):
    detector = object.__new__(OODDetector)
    detector.__dict__["calibration_scores"] = {"one": ID_SCORES}
    for value in (*ID_SCORES, *OOD_SCORES):
        entry = detector.place("one", float(value), alpha)
        assert (tables.verdict(entry, alpha)[0] == STRANGE) == entry["flagged"]
    assert conformal_threshold(ID_SCORES, alpha) == (detector.threshold("one", alpha) or np.inf)


@pytest.mark.parametrize(
    ("below", "words"),
    [
        (0, "stranger than none of 5000"),
        (2, "stranger than 2 of 5000"),
        (2500, "stranger than 50.0 % of 5000"),
        (4998, "stranger than all but 2 of 5000"),
        (5000, "stranger than every one of 5000"),
    ],
)
def test_a_place_at_an_end_is_said_as_a_count(below, words):
    assert tables.place(100 * below / 5000, 5000) == f"{words} known-good images"


def test_the_promise_names_its_interval_from_the_beta_distribution():
    scipy = pytest.importorskip("scipy.stats")
    low, high = scipy.beta.ppf([0.025, 0.975], 5, 95)  # n = 99, alpha = 0.05: l = 5
    assert f"between {100 * low:.3g} % and {100 * high:.3g} % (95 %)" in tables.promise(N, 0.05)


def test_an_unreadable_image_keeps_its_column_and_the_others_keep_theirs():
    content = answer([("a.png", placement(3.9)), ("a.png", placement(0.0))])
    read = Detection(content, ("a.png", "broken.png", "a.png"), "ood/one", 0.05)
    strange, broken, usual = tables.verdicts(read)
    assert (strange.answer, usual.answer) == (STRANGE, USUAL)
    assert "could not be read" in broken.empty
    assert strange.warnings
    assert not usual.warnings
    assert [len(cell.bars) for cell in tables.places(read)] == [2, 0, 2]


def test_bars_are_places_and_never_values():
    (cell,) = tables.places(detection_of(("a.png", placement(1.0))))
    below = sum(one < 1.0 for one in ID_SCORES)
    assert [bar.share for bar in cell.bars] == pytest.approx([below / N] * 2)
    assert f"{100 * below / N:.1f} %" == cell.bars[0].text
    assert "1" in cell.bars[0].title
    assert "higher is stranger" in cell.bars[0].title


def test_the_score_that_decides_comes_first():
    read = detection_of(("a.png", placement(1.0)), score="ood/two")
    assert read.title == "Second"
    assert tables.places(read)[0].bars[0].name == "Second"


def test_without_known_good_images_nothing_is_called_strange_or_usual():
    read = detection_of(("a.png", without_place(-61.5)), n=0)
    (cell,) = tables.verdicts(read)
    assert cell.answer == UNKNOWN
    assert "possible: ViM, kNN" in read.promise
    assert tables.numbers(read).rows[0]["1. a.png"] == "−61.5"


def test_a_score_that_is_no_number_is_called_so_and_not_marked():
    read = detection_of(("a.png", without_place(None)))
    assert tables.verdicts(read)[0].answer == UNKNOWN
    assert read.marks == []


def test_scores_left_out_are_grouped_by_their_reason():
    grouped = tables.left_out(answer([]))
    assert grouped == {
        "It needs a folder of images.": ["ViM", "kNN"],
        "There is none.": ["BatchNorm"],
    }


def test_nothing_is_flagged_and_nobody_is_usual_where_too_few_images_judge():
    few = ID_SCORES[:9]
    assert conformal_threshold(few, 0.05) == np.inf
    assert roc.errors(few, OOD_SCORES, 0.05).flagged == 0
    word, why = tables.verdict(placement(99.0, few), 0.05)
    assert word == UNKNOWN
    assert "too few to promise 5 %" in why
    assert "can promise 10 % or more" in tables.promise(9, 0.05)


def test_many_images_are_named_strange_together_by_the_score_and_rate_that_decide():
    scores = [*ID_SCORES[:30], 99.0, 99.0, 99.0]
    images = [(f"{place}.png", placement(value)) for place, value in enumerate(scores)]
    found = detection_of(*images, alpha=0.2).discoveries
    assert found["files"] == ["30.png", "31.png", "32.png"]
    assert "3 are strange: 30.png, 31.png, 32.png" in tables.discovered(found)
    assert "at most 20 %" in tables.discovered(found)
    few = detection_of(*images, alpha=0.05).discoveries
    assert few["least"] == 7  # 33 images, steps of 1 / 100: 33 / 100 / 0.05 = 6.6
    assert few["files"] == []
    assert "7 or more would have to be stranger than every" in tables.discovered(few)


def test_one_image_needs_no_word_about_many():
    assert tables.discovered(detection_of(("a.png", placement(1.0))).discoveries) == ""


def test_several_scores_beside_one_promise_are_counted_together():
    said = tables.multiplicity(14, Count(hits=93, n=250, interval=[0.31, 0.43]), 0.05)
    assert "one at least flags 93 of these 250" in said
    assert "Each of the 14 alone flags at most 5 %" in said
    assert tables.multiplicity(14, Count(hits=0, n=250, interval=[0, 0.02]), 0.001) == ""


def test_the_number_of_a_score_stands_beside_its_p_value():
    rows = tables.numbers(detection_of(("a.png", placement(99.0)))).rows
    assert rows[0]["1. a.png"].endswith("p = 0.01)")
