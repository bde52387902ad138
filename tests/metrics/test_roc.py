"""Errors at thresholds: closed forms, counting pair by pair, and the peers' figures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from diagnostics.metrics.roc import auroc, false_alarms_at_95, missed_at_95, roc

ID_SCORES, OOD_SCORES = range(10), range(5, 15)


def drawn(seed, ties):
    """Return random scores of both kinds, rounded so that many are equal."""
    random = np.random.default_rng(seed)
    id_scores, ood_scores = random.normal(0, 1, 83), random.normal(0.8, 1.5, 57)
    return (id_scores.round(1), ood_scores.round(1)) if ties else (id_scores, ood_scores)


def slow_auroc(id_scores, ood_scores):
    """Return the share of pairs in which the OOD image is higher, exactly; ties count half."""
    total = Fraction(0)
    for one in id_scores:
        for other in ood_scores:
            total += Fraction(int(other > one)) + Fraction(int(other == one), 2)
    return float(total / (len(id_scores) * len(ood_scores)))


def test_the_roc_of_overlapping_ranges_is_as_by_hand():
    """Of 100 pairs, the OOD image 5 + i is above 0 to 4 + i and ties with one for i < 5.

    That is 5 + 6 + 7 + 8 + 9 + 5 x 10 = 85 pairs above, and 5 ties.
    """
    assert auroc(ID_SCORES, OOD_SCORES) == pytest.approx(0.875, abs=1e-15)


def test_both_conventions_of_the_false_positive_rate_are_as_by_hand():
    """95 % of ten is all ten: all OOD images are caught from 5 on, all others pass up to 9.

    From 5 on, the in-distribution 5, 6, 7, 8, 9 are flagged; up to 9, the OOD 5, 6, 7, 8, 9 pass.
    """
    assert false_alarms_at_95(ID_SCORES, OOD_SCORES) == 0.5
    assert missed_at_95(ID_SCORES, OOD_SCORES) == 0.5


def test_the_two_conventions_differ_where_the_kinds_are_spread_differently():
    """One OOD image far below takes all in-distribution ones with it, and passes itself alone."""
    ood_scores = [-1, *range(20, 29)]
    assert false_alarms_at_95(ID_SCORES, ood_scores) == 1.0
    assert missed_at_95(ID_SCORES, ood_scores) == 0.1


def test_of_twenty_ood_images_one_may_be_missed_and_of_forty_two():
    """95 % of 20 are 19 and of 40 are 38, exactly."""
    for count in (20, 40, 100, 1000):
        ood_scores = np.arange(count, dtype=float)
        missed = count // 20
        assert false_alarms_at_95([missed], ood_scores) == 1.0
        assert false_alarms_at_95([missed - 0.5], ood_scores) == 0.0
        id_scores = np.arange(count, dtype=float)
        highest = count - missed - 1
        assert missed_at_95(id_scores, [highest]) == 1.0
        assert missed_at_95(id_scores, [highest + 0.5]) == 0.0


@pytest.mark.parametrize(
    ("id_scores", "ood_scores", "expected"),
    [
        ([0, 1], [2, 3], 1.0),
        ([2, 3], [0, 1], 0.0),
        ([1], [1], 0.5),
        ([4] * 7, [4] * 3, 0.5),
        ([0, 2], [1], 0.5),
        ([0, 1, 1], [1], 2 / 3),
        ([-np.inf, 0], [np.inf], 1.0),
    ],
)
def test_the_area_of_small_cases_is_as_counted(id_scores, ood_scores, expected):
    assert auroc(id_scores, ood_scores) == pytest.approx(expected, abs=1e-15)


def test_exchanging_the_kinds_turns_the_area_round():
    id_scores, ood_scores = drawn(3, ties=True)
    assert auroc(id_scores, ood_scores) + auroc(ood_scores, id_scores) == pytest.approx(
        1, abs=1e-12
    )


def test_no_rising_function_of_the_scores_changes_a_figure():
    id_scores, ood_scores = drawn(4, ties=True)
    for figure in (auroc, false_alarms_at_95, missed_at_95):
        assert figure(np.exp(id_scores), np.exp(ood_scores)) == figure(id_scores, ood_scores)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_area_equals_counting_all_pairs_and_the_trapezia_below_the_curve(seed, ties):
    id_scores, ood_scores = drawn(seed, ties)
    expected = slow_auroc(id_scores, ood_scores)
    assert auroc(id_scores, ood_scores) == pytest.approx(expected, abs=1e-12)
    curve = roc(id_scores, ood_scores)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_counts_what_is_at_or_above_each_threshold(ties):
    id_scores, ood_scores = drawn(1, ties)
    curve = roc(id_scores, ood_scores)
    assert curve.thresholds[0] == np.inf
    assert (np.diff(curve.thresholds) < 0).all()
    assert set(curve.thresholds[1:]) == set(id_scores) | set(ood_scores)
    for place, threshold in enumerate(curve.thresholds):
        assert curve.fpr[place] == pytest.approx(
            sum(g >= threshold for g in id_scores) / len(id_scores)
        )
        flagged = sum(s >= threshold for s in ood_scores) / len(ood_scores)
        assert curve.tpr[place] == pytest.approx(flagged)
    assert (curve.fpr[0], curve.tpr[0]) == (0, 0)
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_scikit_learns(seed, ties):
    peer = pytest.importorskip("sklearn.metrics")
    id_scores, ood_scores = drawn(seed, ties)
    truth = np.repeat([0, 1], [len(id_scores), len(ood_scores)])
    scores = np.concatenate([id_scores, ood_scores])
    assert auroc(id_scores, ood_scores) == pytest.approx(
        peer.roc_auc_score(truth, scores), abs=1e-12
    )
    flagged, caught, _ = peer.roc_curve(truth, scores, drop_intermediate=False)
    expected = flagged[np.argmax(caught >= 0.95)]
    assert false_alarms_at_95(id_scores, ood_scores) == pytest.approx(expected, abs=1e-12)
    accepted, kept, _ = peer.roc_curve(1 - truth, -scores, drop_intermediate=False)
    expected = accepted[np.argmax(kept >= 0.95)]
    assert missed_at_95(id_scores, ood_scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_pytorch_oods(seed, ties):
    peer = pytest.importorskip("pytorch_ood.metrics.functional")
    id_scores, ood_scores = drawn(seed, ties)
    scores = torch.from_numpy(np.concatenate([id_scores, ood_scores]))
    labels = torch.cat([torch.zeros(len(id_scores)), -torch.ones(len(ood_scores))]).long()
    assert auroc(id_scores, ood_scores) == pytest.approx(
        float(peer.auroc(scores, labels)), abs=1e-6
    )
    expected = float(peer.fpr_at_tpr(scores, labels, tpr=0.95))
    assert false_alarms_at_95(id_scores, ood_scores) == pytest.approx(expected, abs=1e-6)
    turned = torch.where(labels < 0, 0, -1)
    expected = float(peer.fpr_at_tpr(-scores, turned, tpr=0.95))
    assert missed_at_95(id_scores, ood_scores) == pytest.approx(expected, abs=1e-6)
