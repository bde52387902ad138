"""Calibration errors without bias: their coverage of laws whose true error is known."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.metrics.calibration import adaptive_ece, classwise_ece, ece, log_softmax
from diagnostics.metrics.calibration_intervals import (
    consistency,
    debiased_classwise_ece,
    debiased_ece,
)
from tests.labelled_logits import drawn_from_softmax

FOLDERS = 100


def answers(n, sharpness, seed):
    """Probabilities, labels, and the top answers' confidence with whether they are right."""
    logits, labels = drawn_from_softmax(n, 5, sharpness=sharpness, seed=seed)
    p = np.exp(log_softmax(logits))
    return p, labels, p.max(axis=1), p.argmax(axis=1) == labels


def true_error(sharpness):
    """The error of endless images, whose chance of being right is known for each."""
    logits, _ = drawn_from_softmax(200_000, 5, sharpness=sharpness, seed=999)
    p, law = (np.exp(log_softmax(z)) for z in (logits, logits / sharpness))
    return ece(p.max(axis=1), law[np.arange(len(p)), p.argmax(axis=1)])


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [1.0, 2.0])
@pytest.mark.parametrize("n", [100, 500])
def test_intervals_of_the_calibration_error_called_95_percent_hold_it_so_often(sharpness, n):
    truth, held, counted, values = true_error(sharpness), 0, [], []
    for seed in range(FOLDERS):
        _, _, sure, right = answers(n, sharpness, seed)
        error = debiased_ece(sure, right, draws=150, seed=seed)
        held += error["low"] <= truth + 1e-9 and truth <= error["high"]
        counted.append(error["counted"])
        values.append(error["value"])
    assert held >= 0.9 * FOLDERS
    assert abs(np.mean(values) - truth) < max(0.6 * abs(np.mean(counted) - truth), 0.01)


def test_calibrated_answers_count_within_their_consistency_band_as_often_as_it_says():
    within = 0
    for seed in range(FOLDERS):
        _, _, sure, right = answers(200, 1.0, seed)
        error = debiased_ece(sure, right, draws=150, seed=1000 + seed)
        within += error["chance_low"] <= error["counted"] <= error["chance_high"]
    assert within >= 0.88 * FOLDERS


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("decimals", [1, 12])
def test_what_is_counted_equals_the_plain_errors_also_with_equal_confidences(bins, decimals):
    p, labels, sure, right = answers(150, 1.5, 4)
    sure = sure.round(decimals)
    assert debiased_ece(sure, right, bins, draws=2)["counted"] == pytest.approx(
        ece(sure, right, bins)
    )
    assert debiased_ece(sure, right, bins, adaptive=True, draws=2)["counted"] == pytest.approx(
        adaptive_ece(sure, right, bins)
    )
    assert debiased_classwise_ece(p, labels, bins, draws=2)["counted"] == pytest.approx(
        classwise_ece(p, labels, bins)
    )


def test_a_large_error_of_many_images_has_no_bias_to_take_away():
    random = np.random.default_rng(0)
    sure = np.full(5000, 0.9)
    error = debiased_ece(sure, random.random(5000) < 0.6)
    assert error["value"] == pytest.approx(error["counted"], abs=2e-3)
    assert error["low"] < 0.3 < error["high"]
    assert error["high"] - error["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.24 / 5000), rel=0.2)


def test_a_hundred_right_answers_do_not_show_that_all_are_right():
    error = debiased_ece(np.full(100, 0.9999), np.ones(100))
    assert error["low"] == 0.0
    assert error["high"] == pytest.approx(1 / (1 + 100 / 1.959964**2), rel=0.01)


def test_the_classwise_interval_of_calibrated_answers_reaches_down_to_none():
    lowest = [
        debiased_classwise_ece(*answers(200, 1.0, seed)[:2], draws=80)["low"] for seed in range(20)
    ]
    assert sum(low == 0 for low in lowest) >= 18
    sharp = debiased_classwise_ece(*answers(400, 3.0, 0)[:2], draws=80)
    assert sharp["low"] > 0


def test_each_bin_has_the_accuracies_that_chance_leaves_a_calibrated_model():
    sure = np.repeat([0.55, 0.95], [400, 100])
    band = consistency(sure, 10, gap_level=0.95, draws=2000)
    for index, p, n in ((5, 0.55, 400), (9, 0.95, 100)):
        half = 1.96 * np.sqrt(p * (1 - p) / n)
        assert band.accuracy_low[index] == pytest.approx(p - half, abs=0.3 * half)
        assert band.accuracy_high[index] == pytest.approx(p + half, abs=0.3 * half)
    assert np.isnan(band.accuracy_low[0])
