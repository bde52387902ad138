"""Whether a model relies on grey transitions, held against counting and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diagnostics.corruptions.conditions import CONDITIONS
from diagnostics.errors import InputError
from diagnostics.methods.context import Context
from diagnostics.methods.corruption._grey_transitions import (
    HARD,
    OTHER_RANGES,
    paired_drop,
    verdict,
)
from diagnostics.methods.corruption.transitions import transitions
from diagnostics.metrics.intervals import counted, wilson
from diagnostics.schema.results.corruption import TransitionsAnswer
from tests.methods.corruption.linear_model import linear_model, values_of, weights
from tests.results import conforms


def test_the_interval_of_a_paired_drop_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    for truth in ((0.6, 0.2, 0.05, 0.15), (0.8, 0.15, 0.02, 0.03), (0.3, 0.3, 0.3, 0.1)):
        drop, inside = truth[1] - truth[2], 0
        for cells in random.multinomial(40, truth, 2000):
            _, low, high = paired_drop(*cells.tolist())
            inside += low <= drop <= high
        assert 0.935 <= inside / 2000 <= 0.99


def test_an_unpaired_looking_drop_is_newcombes_of_two_rates():
    """Without a link between the two answers it is the root of the sum of squares, method 10."""
    drop, low, high = paired_drop(25, 25, 25, 25)
    low_p, high_p = wilson(50, 100)
    assert drop == 0
    assert low == pytest.approx(-math.hypot(0.5 - low_p, high_p - 0.5))
    assert high == -low


def predictions(n, unchanged, *, range_same=True):
    """Return classes where the hard threshold keeps the label of `unchanged` of `n` images."""
    zeros, ones = np.zeros(n, np.intp), np.ones(n, np.intp)
    predicted = dict.fromkeys(CONDITIONS, zeros)
    predicted[HARD] = (np.arange(n) >= unchanged).astype(np.intp)
    predicted |= dict.fromkeys(OTHER_RANGES, ones)
    return predicted | ({} if range_same else {"range_same": ones})


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("n", "unchanged", "conclusion"),
    [
        (200, 140, "relies on grey transitions"),
        (200, 195, "no sign of it"),
        (200, 175, "can't tell"),
        (10, 7, "can't tell"),
        (19, 0, "can't tell"),
        (20, 0, "relies on grey transitions"),
        (0, 0, "can't tell"),
    ],
)
def test_the_verdict_follows_the_rule_of_ten_points_with_their_interval(
    n, unchanged, conclusion, labelled
):
    labels = np.full(n, 0 if labelled else -1, np.intp)
    found = verdict(predictions(n, unchanged), labels, 0.1)
    assert found["conclusion"] == conclusion
    assert found["n"] == n
    assert found["rate"] == ("accuracy" if labelled and n else "same answers")
    if n:
        assert found["drop"] == pytest.approx((n - unchanged) / n)
        assert found["interval"][0] > 0.1 or conclusion != "relies on grey transitions"


def test_the_verdict_is_withheld_where_the_range_may_be_the_cause():
    labels = np.zeros(200, np.intp)
    predicted = predictions(200, 100)
    predicted["as_is"] = (np.arange(200) % 2).astype(np.intp)
    predicted["range_same"] = predicted["as_is"]
    predicted["range_255th"] = labels
    predicted[HARD] = np.ones(200, np.intp)
    found = verdict(predicted, labels, 0.1)
    assert found["conclusion"] == "can't tell"
    assert "the range is wrong" in found["reason"]


def test_the_verdict_is_withheld_where_the_model_contradicts_itself():
    found = verdict(predictions(200, 100, range_same=False), np.zeros(200, np.intp), 0.1)
    assert found["conclusion"] == "can't tell"
    assert "asked again" in found["reason"]


def test_images_full_of_greys_are_no_drawings_and_say_nothing_of_edges():
    found = verdict(predictions(200, 20), np.zeros(200, np.intp), 0.6)
    assert found["conclusion"] == "can't tell"
    assert "no drawings" in found["reason"]


def test_conditions_count_what_each_does(folder, files):
    model = linear_model()
    w, b = weights(model)
    outcome = transitions(Context(model, folder=folder))
    conforms(TransitionsAnswer, outcome.scores)
    counts = {condition["name"]: condition for condition in outcome.scores["conditions"]}
    values = [values_of(file) for file in files]

    def predicted(change):
        return np.array([int((w @ change(one).ravel() + b).argmax()) for one in values])

    clean = predicted(lambda v: v)
    for name, change in {
        "as_is": lambda v: v,
        "range_same": lambda v: v,
        "threshold": lambda v: v > 0.5,
        "range_255": lambda v: 255 * v,
        "range_255th": lambda v: v / 255,
        "negative": lambda v: 1 - v,
    }.items():
        unchanged, correct = predicted(change) == clean, predicted(change) == np.arange(5) % 2
        assert counts[name]["unchanged"] == counted(int(unchanged.sum()), 5)
        assert counts[name]["correct"] == counted(int(correct.sum()), 5)
    assert outcome.scores["n"] == 5
    assert outcome.scores["grey_share"] == 1
    assert outcome.scores["complete"]


def test_images_in_hand_have_no_labels(files):
    answer = transitions(Context(linear_model(), files=files), images="in hand").scores
    conforms(TransitionsAnswer, answer)
    assert answer["verdict"]["rate"] == "same answers"
    with pytest.raises(InputError):
        transitions(Context(linear_model()), images="in hand")
