"""Errors at thresholds: closed forms, counting pair by pair, and the peers' figures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from diagnostics.metrics.roc import auroc, false_alarms_at_95, missed_at_95, roc

GOOD, STRANGERS = range(10), range(5, 15)


def drawn(seed, ties):
    """Return random scores of both kinds, rounded so that many are equal."""
    random = np.random.default_rng(seed)
    good, strangers = random.normal(0, 1, 83), random.normal(0.8, 1.5, 57)
    return (good.round(1), strangers.round(1)) if ties else (good, strangers)


def slow_auroc(good, strangers):
    """Return the share of pairs in which the stranger is higher, exactly; ties count half."""
    total = Fraction(0)
    for one in good:
        for other in strangers:
            total += Fraction(int(other > one)) + Fraction(int(other == one), 2)
    return float(total / (len(good) * len(strangers)))


def test_the_roc_of_overlapping_ranges_is_as_by_hand():
    """Of 100 pairs, the stranger 5 + i is above good ones 0 to 4 + i and ties with one for i < 5.

    That is 5 + 6 + 7 + 8 + 9 + 5 x 10 = 85 pairs above, and 5 ties.
    """
    assert auroc(GOOD, STRANGERS) == pytest.approx(0.875, abs=1e-15)


def test_both_conventions_of_the_false_positive_rate_are_as_by_hand():
    """95 % of ten is all ten: strangers are all caught from 5 on, good ones all pass up to 9.

    From 5 on, the good 5, 6, 7, 8, 9 are flagged; up to 9, the strangers 5, 6, 7, 8, 9 pass.
    """
    assert false_alarms_at_95(GOOD, STRANGERS) == 0.5
    assert missed_at_95(GOOD, STRANGERS) == 0.5


def test_the_two_conventions_differ_where_the_kinds_are_spread_differently():
    """One stranger far below takes all good ones with it, and passes itself alone."""
    strangers = [-1, *range(20, 29)]
    assert false_alarms_at_95(GOOD, strangers) == 1.0
    assert missed_at_95(GOOD, strangers) == 0.1


def test_of_twenty_strangers_one_may_be_missed_and_of_forty_two():
    """95 % of 20 are 19 and of 40 are 38, exactly."""
    for count in (20, 40, 100, 1000):
        strangers = np.arange(count, dtype=float)
        missed = count // 20
        assert false_alarms_at_95([missed], strangers) == 1.0
        assert false_alarms_at_95([missed - 0.5], strangers) == 0.0
        good = np.arange(count, dtype=float)
        highest = count - missed - 1
        assert missed_at_95(good, [highest]) == 1.0
        assert missed_at_95(good, [highest + 0.5]) == 0.0


@pytest.mark.parametrize(
    ("good", "strangers", "expected"),
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
def test_the_area_of_small_cases_is_as_counted(good, strangers, expected):
    assert auroc(good, strangers) == pytest.approx(expected, abs=1e-15)


def test_exchanging_the_kinds_turns_the_area_round():
    good, strangers = drawn(3, ties=True)
    assert auroc(good, strangers) + auroc(strangers, good) == pytest.approx(1, abs=1e-12)


def test_no_rising_function_of_the_scores_changes_a_figure():
    good, strangers = drawn(4, ties=True)
    for figure in (auroc, false_alarms_at_95, missed_at_95):
        assert figure(np.exp(good), np.exp(strangers)) == figure(good, strangers)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_area_equals_counting_all_pairs_and_the_trapezia_below_the_curve(seed, ties):
    good, strangers = drawn(seed, ties)
    expected = slow_auroc(good, strangers)
    assert auroc(good, strangers) == pytest.approx(expected, abs=1e-12)
    curve = roc(good, strangers)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_counts_what_is_at_or_above_each_threshold(ties):
    good, strangers = drawn(1, ties)
    curve = roc(good, strangers)
    assert curve.thresholds[0] == np.inf
    assert (np.diff(curve.thresholds) < 0).all()
    assert set(curve.thresholds[1:]) == set(good) | set(strangers)
    for place, threshold in enumerate(curve.thresholds):
        assert curve.fpr[place] == pytest.approx(sum(g >= threshold for g in good) / len(good))
        flagged = sum(s >= threshold for s in strangers) / len(strangers)
        assert curve.tpr[place] == pytest.approx(flagged)
    assert (curve.fpr[0], curve.tpr[0]) == (0, 0)
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_scikit_learns(seed, ties):
    peer = pytest.importorskip("sklearn.metrics")
    good, strangers = drawn(seed, ties)
    truth = np.repeat([0, 1], [len(good), len(strangers)])
    scores = np.concatenate([good, strangers])
    assert auroc(good, strangers) == pytest.approx(peer.roc_auc_score(truth, scores), abs=1e-12)
    flagged, caught, _ = peer.roc_curve(truth, scores, drop_intermediate=False)
    expected = flagged[np.argmax(caught >= 0.95)]
    assert false_alarms_at_95(good, strangers) == pytest.approx(expected, abs=1e-12)
    accepted, kept, _ = peer.roc_curve(1 - truth, -scores, drop_intermediate=False)
    expected = accepted[np.argmax(kept >= 0.95)]
    assert missed_at_95(good, strangers) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_pytorch_oods(seed, ties):
    peer = pytest.importorskip("pytorch_ood.metrics.functional")
    good, strangers = drawn(seed, ties)
    scores = torch.from_numpy(np.concatenate([good, strangers]))
    labels = torch.cat([torch.zeros(len(good)), -torch.ones(len(strangers))]).long()
    assert auroc(good, strangers) == pytest.approx(float(peer.auroc(scores, labels)), abs=1e-6)
    expected = float(peer.fpr_at_tpr(scores, labels, tpr=0.95))
    assert false_alarms_at_95(good, strangers) == pytest.approx(expected, abs=1e-6)
    turned = torch.where(labels < 0, 0, -1)
    expected = float(peer.fpr_at_tpr(-scores, turned, tpr=0.95))
    assert missed_at_95(good, strangers) == pytest.approx(expected, abs=1e-6)
