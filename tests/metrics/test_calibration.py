import math

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.metrics.calibration import (
    adaptive_ece,
    brier,
    classwise_ece,
    ece,
    log_softmax,
    nll,
    reliability,
)
from tests.independent import slow_calibration as slow
from tests.labelled_logits import drawn_from_softmax


def test_confidence_of_exactly_one_has_a_bin():
    assert ece([0.95, 1.0], [1, 0], 10) == pytest.approx(0.475)
    assert reliability([0.95, 1.0], [1, 0], 10).counts.tolist() == [0] * 9 + [2]


def test_saturated_logits_have_their_known_error():
    logits = [[60.0, 0.0, 0.0]] * 10 + [[math.log(0.97 / 0.015), 0.0, 0.0]] * 10
    confidence = np.exp(log_softmax(np.array(logits)).max(axis=1))
    assert confidence[0] == 1.0
    assert ece(confidence, [0] * 10 + [1] * 10, 15) == pytest.approx(0.4850, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 40])
@pytest.mark.parametrize("n", [1, 7, 200])
def test_errors_equal_plain_loops(n, bins):
    random = np.random.default_rng(n)
    confidence = random.beta(3, 1, n)
    correct = random.random(n) < confidence**2
    for quick, plain in (
        (ece, slow.slow_ece),
        (adaptive_ece, slow.slow_adaptive_ece),
    ):
        assert quick(confidence, correct, bins) == pytest.approx(plain(confidence, correct, bins))


def test_bins_hold_their_lower_edge():
    on_edges = np.arange(11) / 10
    assert reliability(on_edges, np.ones(11), 10).counts.tolist() == [1] * 9 + [2]


def test_a_bin_tells_its_count_confidence_and_accuracy_and_an_empty_one_nothing():
    table = reliability([0.1, 0.2, 0.9], [0, 1, 1], 2)
    assert table.edges.tolist() == [0, 0.5, 1]
    assert table.counts.tolist() == [2, 1]
    assert table.confidence == pytest.approx([0.15, 0.9])
    assert table.accuracy.tolist() == [0.5, 1.0]
    assert np.isnan(reliability([0.1], [1], 2).accuracy[1])


def test_the_order_of_equally_sure_images_does_not_change_the_adaptive_error():
    random = np.random.default_rng(0)
    confidence = np.repeat([1.0, 0.8, 0.6], 40)
    correct = random.random(120) < 0.7
    order = random.permutation(120)
    error = adaptive_ece(confidence, correct, 15)
    assert adaptive_ece(confidence[order], correct[order], 15) == pytest.approx(error)
    groups = [slow.gap(list(zip(confidence[g], correct[g], strict=True)))
              for g in (slice(0, 40), slice(40, 80), slice(80, 120))]  # fmt: skip
    assert error == pytest.approx(sum(groups) / 3)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 4), (60, 2), (120, 6)])
def test_classwise_brier_and_nll_equal_plain_loops(n, k):
    logits, labels = drawn_from_softmax(n, k, sharpness=1.7)
    p = np.exp(log_softmax(logits))
    rows, truth = p.tolist(), labels.tolist()
    assert classwise_ece(p, labels, 15) == pytest.approx(slow.slow_classwise_ece(rows, truth, 15))
    assert brier(p, labels) == pytest.approx(slow.slow_brier(rows, truth))
    assert nll(logits, labels) == pytest.approx(slow.slow_nll(logits.tolist(), truth))


def test_brier_goes_from_zero_to_two():
    assert brier([[0.0, 1.0, 0.0]], [1]) == 0.0
    assert brier([[0.0, 1.0, 0.0]], [2]) == 2.0


def test_brier_and_nll_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    logits, labels = drawn_from_softmax(200, 3)
    p = np.exp(log_softmax(logits))
    both = np.eye(3)[labels]
    assert brier(p, labels) == pytest.approx(((p - both) ** 2).sum() / 200)
    assert nll(logits, labels) == pytest.approx(metrics.log_loss(labels, p, labels=[0, 1, 2]))


def test_a_surprise_beyond_every_float_probability_stays_finite():
    assert nll([[5000.0, 0.0]], [1]) == pytest.approx(5000.0)


@pytest.mark.parametrize(
    ("confidence", "correct", "bins"),
    [([], [], 15), ([0.5], [1, 0], 15), ([1.2], [1], 15), ([math.nan], [1], 15), ([0.5], [1], 0)],
)
def test_confidences_that_cannot_be_are_refused(confidence, correct, bins):
    with pytest.raises(InputError):
        ece(confidence, correct, bins)
