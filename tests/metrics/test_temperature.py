import math

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.metrics.calibration import ece, log_softmax
from diagnostics.metrics.temperature import temperature
from tests.independent import slow_calibration as slow
from tests.labelled_logits import constant_margin, drawn_from_softmax


@pytest.mark.parametrize(("margin", "accuracy"), [(10.0, 0.8), (3.0, 0.9), (0.5, 0.6)])
@pytest.mark.parametrize("k", [2, 7])
def test_temperature_of_a_constant_margin_has_its_closed_form(margin, accuracy, k):
    expected = margin / (math.log(accuracy / (1 - accuracy)) + math.log(k - 1))
    fitted = temperature(*constant_margin(margin=margin, accuracy=accuracy, k=k))
    assert fitted.value == pytest.approx(expected, rel=1e-6)
    assert not fitted.at_bound


def test_the_known_temperature_takes_the_error_away():
    logits, labels = constant_margin()
    fitted = temperature(logits, labels).value
    assert fitted == pytest.approx(7.2135, rel=1e-4)
    confidence = np.exp(log_softmax(logits / fitted).max(axis=1))
    assert ece(confidence, labels == 0) < 1e-3


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_no_neighbouring_temperature_is_better(sharpness):
    logits, labels = drawn_from_softmax(400, sharpness=sharpness, seed=2)
    rows, truth = logits.tolist(), labels.tolist()
    best = temperature(logits, labels).value
    least = slow.slow_nll(rows, truth, best)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert slow.slow_nll(rows, truth, best * factor) > least
    assert best == pytest.approx(sharpness, rel=0.15)


def test_temperature_scales_with_the_logits():
    logits, labels = drawn_from_softmax(300)
    once, tenfold = (temperature(logits * s, labels).value for s in (1, 10))
    assert tenfold == pytest.approx(10 * once, rel=1e-6)


@pytest.mark.parametrize("margin", [0.5, 10.0, 1e5])
def test_only_right_answers_drive_the_temperature_to_its_lower_bound(margin):
    fitted = temperature(*constant_margin(margin=margin, accuracy=1.0))
    assert fitted.at_bound == "lowest"
    assert fitted.applied == 1.0
    assert fitted.value == pytest.approx(math.exp(-5))


def test_answers_worse_than_chance_drive_the_temperature_to_its_upper_bound():
    fitted = temperature(*constant_margin(accuracy=0.2))
    assert fitted.at_bound == "highest"
    assert fitted.value == pytest.approx(math.exp(5))


def test_logits_that_say_nothing_have_no_temperature():
    fitted = temperature(np.full((9, 4), 3.0), np.zeros(9, int))
    assert (fitted.value, fitted.at_bound) == (1.0, "highest")
    assert (fitted.low, fitted.high) == pytest.approx((math.exp(-5), math.exp(5)))


def test_a_temperature_of_logits_that_are_no_numbers_is_refused():
    with pytest.raises(InputError, match="finite"):
        temperature([[0.0, math.nan]], [0])


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [1.0, 2.0])
@pytest.mark.parametrize("n", [100, 500])
def test_the_interval_of_a_temperature_holds_the_true_one_as_often_as_it_says(sharpness, n):
    holds = 0
    for seed in range(200):
        fitted = temperature(*drawn_from_softmax(n, sharpness=sharpness, seed=seed))
        assert fitted.low <= fitted.value <= fitted.high
        holds += fitted.low <= sharpness <= fitted.high
    assert 0.91 <= holds / 200 <= 0.99


def test_a_folder_without_one_mistake_leaves_a_calibrated_temperature_possible():
    """At T = 1 each of 100 images of confidence 0.99 is right in 37 % of folders."""
    logits, labels = constant_margin(n=100, margin=math.log(99), accuracy=1.0)
    fitted = temperature(logits, labels)
    assert fitted.at_bound == "lowest"
    assert fitted.low <= 1 <= fitted.high
