"""Charts and words of strangeness hold what was measured, against loops and closed forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diagnostics.methods.ood.detector import OODDetector
from diagnostics.metrics.intervals import wilson
from diagnostics.report.ood import charts, roc, tables
from diagnostics.report.ood.tables import STRANGE, UNTOLD, USUAL, Judged
from diagnostics.report.preprocessing import tables as preprocessing_rows

N = 99
GOOD = np.sort(np.random.default_rng(0).normal(0, 1, N))
OTHERS = np.sort(np.random.default_rng(1).normal(2, 1, 60))
NAMES = {"ood/one": "Score <one>", "ood/two": "Second"}
ARRAYS = {
    "good/one": GOOD,
    "strangers/one": OTHERS,
    "good/two": GOOD,
    "strangers/two": OTHERS[:40] - 1,
}


def placed(value, good=GOOD):
    """Return a score's entry, counted with a loop."""
    below = sum(one < value for one in good)
    count = len(good)
    return {
        "value": value,
        "percentile": 100 * below / count,
        "p_value": (1 + count - below) / (count + 1),
        "n": count,
        "direction": "higher is stranger",
    }


def unplaced(value):
    return {"value": value, "percentile": None, "p_value": None, "n": 0}


def answer(images, n=N):
    """Return an answer about images, each a name and its entry by every score."""
    first = {"class": "x", "index": 0, "probability": 0.973, "one_minus_p": 0.027, "logit": 4.0}
    return {
        "false_alarms": {"n": n},
        "default": "ood/one",
        "given": [
            {"method": name, "title": title, "blind": f"what {title} misses"}
            for name, title in NAMES.items()
        ],
        "left_out": [
            {"method": "ood/vim", "title": "ViM", "reason": "It needs a folder of images."},
            {"method": "ood/knn", "title": "kNN", "reason": "It needs a folder of images."},
            {"method": "ood/bn", "title": "BatchNorm", "reason": "There is none."},
        ],
        "images": [
            {"file": name, "top": [first], "scores": {one: score for one in NAMES}}
            for name, score in images
        ],
    }


def judged(*images, score="ood/one", alpha=0.05, n=N):
    names = tuple(name for name, _ in images)
    return Judged(answer(images, n), names, score, alpha)


def found(verdict="wrong"):
    """Return an examination: the way set now, two ties, one that fits worse, a mistake."""

    def way(name, measure, *, tied=False, mistake=False, current=False, suggested=False):
        return {
            "names": [name],
            "preprocessing": {"way": name},
            "measure": measure,
            "tied": tied,
            "mistake": mistake,
            "current": current,
            "suggested": suggested,
        }

    return {
        "verdict": verdict,
        "sentence": "It looks wrong.",
        "evidence": "batchnorm",
        "n": 12,
        "candidates": [
            way("inverted", 0.30, tied=True),
            way("half", 0.31, tied=True, suggested=True),
            way("twice", 0.32, tied=True, mistake=True),
            way("as it is set now", 0.9, current=True),
            way("raw 0..255", 3.4),
        ],
    }


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.1, 0.29, 0.5])
def test_both_errors_are_those_that_a_loop_counts(alpha):
    flagged = sum(placed(one)["p_value"] <= alpha and one > min(GOOD) for one in OTHERS)
    counted = roc.errors(GOOD, OTHERS, alpha)
    assert counted.missed == len(OTHERS) - flagged
    limit = tables.threshold(GOOD, alpha)
    assert counted.flagged == sum(one >= limit for one in GOOD)
    assert counted.flagged / N <= alpha
    assert f"{counted.flagged} of {N} known-good images flagged" in counted.sentence
    low, high = wilson(counted.missed, len(OTHERS))
    assert f"({100 * low:.0f}–{100 * high:.0f} %)" in counted.sentence


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_an_image_is_strange_exactly_from_the_threshold_on(alpha):
    limit = tables.threshold(GOOD, alpha)
    assert tables.verdict(placed(limit), alpha)[0] == STRANGE
    assert tables.verdict(placed(np.nextafter(limit, -np.inf)), alpha)[0] == USUAL


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.29])
def test_the_page_flags_what_the_model_s_process_flags(alpha):
    judge = object.__new__(OODDetector)
    judge.__dict__["calibrated"] = {"one": GOOD}
    for value in (*GOOD, *OTHERS):
        entry = judge.placed("one", float(value), alpha)
        assert (tables.verdict(entry, alpha)[0] == STRANGE) == entry["flagged"]
    assert tables.threshold(GOOD, alpha) == (judge.threshold("one", alpha) or np.inf)


def test_nothing_is_flagged_and_nobody_is_usual_where_too_few_images_judge():
    few = GOOD[:9]
    assert tables.threshold(few, 0.05) == np.inf
    assert roc.errors(few, OTHERS, 0.05).flagged == 0
    said, why = tables.verdict(placed(99.0, few), 0.05)
    assert said == UNTOLD
    assert "too few to promise 5 %" in why
    assert "can promise 10 % or more" in tables.promise(9, 0.05)


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
    content = answer([("a.png", placed(3.9)), ("a.png", placed(0.0))])
    read = Judged(content, ("a.png", "broken.png", "a.png"), "ood/one", 0.05)
    strange, broken, usual = tables.verdicts(read)
    assert (strange.answer, usual.answer) == (STRANGE, USUAL)
    assert "could not be read" in broken.empty
    assert strange.warnings
    assert not usual.warnings
    assert [len(cell.bars) for cell in tables.places(read)] == [2, 0, 2]


def test_bars_are_places_and_never_values():
    (cell,) = tables.places(judged(("a.png", placed(1.0))))
    below = sum(one < 1.0 for one in GOOD)
    assert [bar.share for bar in cell.bars] == pytest.approx([below / N] * 2)
    assert f"{100 * below / N:.1f} %" == cell.bars[0].text
    assert "1" in cell.bars[0].title
    assert "higher is stranger" in cell.bars[0].title


def test_the_score_that_decides_comes_first():
    read = judged(("a.png", placed(1.0)), score="ood/two")
    assert read.title == "Second"
    assert tables.places(read)[0].bars[0].name == "Second"


def test_without_known_good_images_nothing_is_called_strange_or_usual():
    read = judged(("a.png", unplaced(-61.5)), n=0)
    (cell,) = tables.verdicts(read)
    assert cell.answer == UNTOLD
    assert "possible: ViM, kNN" in read.promise
    assert tables.numbers(read).rows[0]["1. a.png"] == "−61.5"


def test_a_score_that_is_no_number_is_said_and_not_drawn():
    read = judged(("a.png", unplaced(None)))
    assert tables.verdicts(read)[0].answer == UNTOLD
    assert read.marks == []
    assert charts.spread(read, GOOD).data


def test_scores_left_out_are_grouped_by_their_reason():
    grouped = tables.left_out(answer([]))
    assert grouped == {
        "It needs a folder of images.": ["ViM", "kNN"],
        "There is none.": ["BatchNorm"],
    }


def test_the_spread_holds_every_image_and_says_what_it_shows():
    read = judged(("usual.png", placed(0.0)), ("strange.png", placed(9.0)))
    figure = charts.spread(read, GOOD, OTHERS)
    good, others, usual, strange = figure.data
    assert sum(good.y) == pytest.approx(100)
    assert sum(others.y) == pytest.approx(100)
    edges = np.array(good.x)
    by_hand = [sum(low <= one < high for one in GOOD) for low, high in pairwise(edges)]
    assert np.allclose(np.array(good.y[:-1]) * N / 100, by_hand)
    assert list(usual.x) == [0.0]
    assert list(strange.marker.symbol) == ["triangle-right"]  # beyond the end, and it says so
    assert "strange.png: 9," in strange.text[0]
    assert figure.layout.title.text == "Score <one>: where images lie"
    assert (
        "99 known-good images, 60 strangers, 2 images in hand" in figure.layout.title.subtitle.text
    )
    assert figure.layout.xaxis2.title.text == "Score <one> (higher is stranger)"
    assert figure.layout.yaxis.title.text == "images per bin (%)"
    limit = tables.threshold(GOOD, 0.05)
    assert {line.x0 for line in figure.layout.shapes} == {limit}


def test_positive_values_over_many_decades_are_drawn_on_a_logarithmic_scale():
    good = np.logspace(-18, -1, N)
    read = judged(("a.png", placed(1e-9, good)))
    figure = charts.spread(read, good)
    assert figure.layout.xaxis2.type == "log"
    assert list(figure.data[2].x) == pytest.approx([1e-9])
    assert sum(figure.data[0].y) == pytest.approx(100)
    assert charts.spread(read, np.append(0.0, good)).layout.xaxis2.type != "log"


def test_equal_scores_of_all_known_good_images_can_be_drawn():
    same = np.zeros(20)
    figure = charts.spread(judged(("a.png", placed(1.0, same))), same)
    assert sum(figure.data[0].y) == pytest.approx(100)


def test_the_curves_pass_through_the_threshold_and_every_corner():
    at = roc.errors(GOOD, OTHERS, 0.1)
    figure = roc.curves(ARRAYS, NAMES, "ood/one", at)
    mine, other, point = figure.data[:3]
    assert mine.line.width > other.line.width
    assert (point.x[0], point.y[0]) == (100 * at.flagged / N, 100 - 100 * at.missed / 60)
    area = np.trapezoid(np.array(mine.y) / 100, np.array(mine.x) / 100)
    wins = np.mean([(other > good) + (other == good) / 2 for other in OTHERS for good in GOOD])
    assert area == pytest.approx(wins)
    assert f"AUROC {wins:.3f}" in mine.name
    assert figure.layout.xaxis.title.text == "known-good images flagged (%)"
    assert figure.layout.title.subtitle.text == "99 known-good images, 60 strangers"


def test_very_long_curves_keep_their_ends():
    random = np.random.default_rng(2)
    good, others = np.sort(random.random(5000)), np.sort(random.random(5000) + 0.1)
    arrays = {"good/one": good, "strangers/one": others}
    at = roc.errors(good, others, 0.05)
    curve = roc.curves(arrays, {"ood/one": "One"}, "ood/one", at).data[0]
    assert len(curve.x) <= 400
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 100, 100)


def test_every_auroc_stands_with_its_band_and_both_meanings_of_fpr():
    counted = {
        name: {
            "auroc": value,
            "low": value - 0.1,
            "high": value + 0.05,
            "false_alarms_at_95_caught": 0.2283,
            "missed_at_95_accepted": 0.6875,
            "n": {"good": N, "strangers": 60},
        }
        for name, value in (("ood/one", 0.7), ("ood/two", 0.9))
    }
    first, second = roc.aurocs(counted, NAMES).rows
    assert first["score"] == "Second"
    assert second["AUROC (95 % band)"] == "0.700 (0.600 to 0.750)"
    assert first["known-good flagged where 95 % of strangers are caught"] == "22.8 %"
    assert first["strangers missed where 95 % of known-good pass"] == "68.8 %"
    figure = roc.bands(counted, NAMES, "ood/one")
    mine, others = figure.data
    assert (list(mine.x), list(others.x)) == ([0.7], [0.9])
    assert mine.error_x.arrayminus[0] == pytest.approx(0.1)
    assert mine.error_x.array[0] == pytest.approx(0.05)
    assert list(figure.layout.yaxis.categoryarray)[-1] == "Second"


def test_the_numbers_of_the_curve_are_counts():
    for row, share in zip(roc.curve_numbers(GOOD, OTHERS).rows, roc.TRIED, strict=True):
        limit = tables.threshold(GOOD, share)
        missed = sum(one < limit for one in OTHERS)
        assert row["strangers missed"] == f"{missed} of 60"


def test_a_wrong_preprocessing_offers_the_suggested_way_first_and_never_a_mistake():
    assert [settings["way"] for _, settings in preprocessing_rows.offers(found())] == [
        "half",
        "inverted",
    ]
    assert preprocessing_rows.doubt(found())


def test_a_fine_preprocessing_offers_nothing_and_casts_no_doubt():
    assert preprocessing_rows.offers(found("fine")) == []
    assert preprocessing_rows.doubt(found("fine")) == ""


def test_every_way_is_drawn_in_its_lane_at_its_measure():
    figure = preprocessing_rows.figure(found())
    drawn = {trace.name: list(trace.x) for trace in figure.data}
    assert drawn == {
        "set now": [0.9],
        "tied with the best": [0.30, 0.31],
        "fits worse": [3.4],
        "a usual mistake": [0.32],
    }
    assert "5 ways" in figure.layout.title.text
    assert "12 images" in figure.layout.title.text
    assert "lower fits better" in figure.layout.xaxis.title.text
    rows = preprocessing_rows.ways(found()).rows
    assert rows[2]["kind"] == "tied with the best, a usual mistake"
    assert rows[3]["kind"] == "set now"


def test_accuracy_is_drawn_in_percent():
    accurate = {**found(), "evidence": "accuracy"}
    figure = preprocessing_rows.figure(accurate)
    assert list(figure.data[0].x) == [90]
    assert "%" in figure.layout.xaxis.title.text
    assert preprocessing_rows.ways(accurate).rows[0]["answered right, higher fits better"] == "30 %"


def test_images_in_hand_as_evidence_are_said_to_be_weak():
    assert "may be strange themselves" in preprocessing_rows.evidence(found(), in_hand=True)
    assert "strange" not in preprocessing_rows.evidence(found(), in_hand=False)
