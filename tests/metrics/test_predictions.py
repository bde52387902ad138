from fractions import Fraction
from math import exp

import numpy as np
import pytest

from diagnostics import text as words
from diagnostics.metrics.predictions import confidence, probabilities, rank
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import ModelSpec, Output


def spec(classes, output=Output.LOGITS):
    return ModelSpec(
        name="m",
        format="module",
        architecture="a",
        sha256="",
        parameters=0,
        height=1,
        width=1,
        channels=1,
        class_names=tuple(f"c{i}" for i in range(classes)),
        output=output,
        preprocessing=Preprocessing(),
    )


def slow_softmax(logits):
    """Softmax and its distance from one in exact fractions of float64 exponentials."""
    weights = [Fraction(exp(value - max(logits))) for value in logits]
    total = sum(weights)
    return [float(w / total) for w in weights], [float((total - w) / total) for w in weights]


@pytest.mark.parametrize("logits", [[1.0, 2.0, 3.0], [30.0, 0.0, -5.0], [700.0, 0.0], [5.0, 5.0]])
def test_probabilities_equal_exact_arithmetic(logits):
    probability, distance = probabilities(np.array(logits))
    expected, expected_distance = slow_softmax(logits)
    assert probability == pytest.approx(expected, rel=1e-12)
    assert distance == pytest.approx(expected_distance, rel=1e-12, abs=0)


def test_the_distance_from_one_survives_where_float32_says_one():
    logits = np.array([20.0, 0.0, 0.0], np.float32)
    top = rank(logits, spec(3), 1)[0]
    assert np.float32(top.probability) == 1.0
    assert top.one_minus_p == pytest.approx(2 * exp(-20), rel=1e-8)


def test_huge_logits_do_not_overflow():
    top = rank(np.array([1e4, -1e4, 0.0]), spec(3), 3)
    assert [score.index for score in top] == [0, 2, 1]
    assert top[0].probability == 1.0


def test_independent_outputs_go_through_a_sigmoid_each():
    scores = rank(np.array([2.0, -1.0, 0.5]), spec(3, Output.SIGMOID_LOGITS), 3)
    assert [score.index for score in scores] == [0, 2, 1]
    assert [s.probability for s in scores] == pytest.approx(
        [1 / (1 + exp(-2)), 1 / (1 + exp(-0.5)), 1 / (1 + exp(1))]
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_leaves_no_ranking(bad):
    assert rank(np.array([1.0, bad, 0.0]), spec(3), 3) == ()


def test_margins_are_differences_to_the_next_class():
    scores = rank(np.array([1.0, 4.0, 2.5]), spec(3), 3)
    assert [s.margin for s in scores] == [1.5, 1.5, None]


def test_equal_logits_keep_the_order_of_the_classes():
    assert [s.index for s in rank(np.zeros(4), spec(4), 4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "one_minus_p", "text"),
    [
        (0.973, 0.027, "97.3 %"),
        (0.999, 0.001, "99.9 %"),
        (1.0, 3.2e-9, "1 − 3.2e-9"),
        (0.9995, 5e-4, "1 − 5.0e-4"),
        (0.0004, 0.9996, "0.040 %"),
        (0.000012, 0.999988, "0.0012 %"),
        (2.1e-7, 1 - 2.1e-7, "2.1e-7"),
        (0.005, 0.995, "0.50 %"),
        (float("nan"), float("nan"), "not a number"),
    ],
)
def test_probabilities_read_as_agreed(value, one_minus_p, text):
    assert words.probability(value, one_minus_p) == text


def test_no_probability_ever_reads_as_a_bare_hundred_percent():
    for exponent in range(1, 320):
        distance = 10.0**-exponent
        assert "100" not in words.probability(1 - distance, distance).replace("e-100", "")


@pytest.mark.parametrize("margin", [-900.0, -3.0, 0.0, 5.0, 40.0, 900.0])
def test_a_margins_probability_and_its_complement_are_both_exact(margin):
    p, one_minus_p = confidence(margin)
    assert p + one_minus_p == pytest.approx(1)
    if abs(margin) < 700:
        assert p / one_minus_p == pytest.approx(np.exp(margin))
