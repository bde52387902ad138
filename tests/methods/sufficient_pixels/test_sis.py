"""Exact sufficient input subsets: the published cases, and the closed form of a logistic score."""

import numpy as np
import pytest

from diagnostics.methods.sufficient_pixels import _sis as sis


def norm(batch):
    return np.sqrt((batch.reshape(len(batch), -1) ** 2).sum(1))


def total(batch):
    return batch.reshape(len(batch), -1).sum(1)


def found(f, values, threshold, shown=None):
    """Return each subset as indices, with what each hidden value left."""
    values = np.asarray(values, float)
    shown = np.ones(values.shape, bool) if shown is None else shown
    subsets = sis.collection(sis.over(f, values, np.zeros_like(values)), shown, threshold)

    def at(place):
        return [int(one) for one in np.unravel_index(place, shown.shape)]

    return [[at(place) for place in one.places] for one in subsets], [
        ([at(place) for place in one.removal.places], one.removal.values.tolist())
        for one in subsets
    ]


@pytest.mark.parametrize(
    ("values", "threshold", "subsets"),
    [
        ([0.1, 10, 5], 1, [[[1]], [[2]]]),
        ([0.9, 0.9, 10, 5], 1, [[[2]], [[3]], [[1], [0]]]),
        ([3, 4], 4.5, [[[1], [0]]]),
        ([3, 4], 5.1, []),
    ],
)
def test_published_cases_of_the_norm(values, threshold, subsets):
    assert found(norm, values, threshold)[0] == subsets


def test_ties_are_hidden_in_their_order():
    order = sis.back_select(sis.over(norm, np.array([10.0, 10, 10]), np.zeros(3)), np.ones(3, bool))
    assert order.places.tolist() == [0, 1, 2]
    assert order.values == pytest.approx([200**0.5, 10, 0])


def test_published_case_of_a_sum_in_two_dimensions():
    subsets, orders = found(total, [[10, 5], [2, 3]], 4)
    assert subsets == [[[0, 0]], [[0, 1]], [[1, 1], [1, 0]]]
    assert [values for _, values in orders] == [[18, 15, 10, 0], [8, 5, 0], [3, 0]]


def test_a_mask_may_hide_whole_columns():
    values, shown = np.array([[10.0, 5], [2, 3]]), np.ones((1, 2), bool)
    subsets, _ = found(total, values, 10, shown)
    assert subsets == [[[0, 0]]]


def test_published_case_of_a_weighted_sum():
    subsets, orders = found(lambda batch: batch @ [1, 2, 0, 1], [5, 1, 6, 3], 5)
    assert subsets == [[[0]], [[3], [1]]]
    assert orders[0] == ([[2], [1], [3], [0]], [10, 8, 5, 0])
    assert orders[1][1] == [5, 3, 0]


def test_published_case_with_one_subset():
    subsets, orders = found(total, [0.1, 0.5, 0.8, 0.1], 1)
    assert subsets == [[[2], [1]]]
    assert orders[0][1] == pytest.approx([1.4, 1.3, 0.8, 0])


@pytest.mark.parametrize(
    ("threshold", "places"),
    [(0.6, ()), (0.65, (3,)), (0.7, (3,)), (0.8, (3, 1)), (0.99, (3, 1, 2)), (2.0, (3, 1, 2, 0))],
)
def test_published_cases_of_one_order(threshold, places):
    order = sis.Removal(np.array([0, 2, 1, 3]), np.array([1.0, 0.9, 0.7, 0.6]))
    assert sis.find_sis(order, threshold) == places


def test_an_empty_order_has_no_subset():
    with pytest.raises(ValueError, match="Nothing was hidden"):
        sis.find_sis(sis.removal([]), 0.5)


def test_a_score_that_needs_nothing_has_one_empty_subset():
    subsets, _ = found(lambda batch: np.ones(len(batch)), [1, 2, 3], 0.5)
    assert subsets == [[]]


@pytest.mark.parametrize("tau", [0.6, 0.9, 0.999])
@pytest.mark.parametrize("seed", range(4))
def test_a_logistic_score_has_the_closed_form(seed, tau):
    random = np.random.default_rng(seed)
    weight, bias = random.normal(size=12), -1.0
    values, level = random.random(12), np.log(tau / (1 - tau)) / 4
    score = sis.over(lambda batch: bias + batch @ weight, values, np.zeros(12))
    order = sis.back_select(score, np.ones(12, bool), at_once=5)
    parts = weight * values
    assert order.places.tolist() == np.argsort(parts, kind="stable").tolist()
    sums = bias + np.concatenate([[0], np.cumsum(np.sort(parts)[::-1])])
    reaching = np.flatnonzero(sums >= level)
    expected = int(reaching[0]) if len(reaching) else 12
    assert len(sis.find_sis(order, level)) == expected
    kept = np.arange(11, -1, -1)
    smallest = sis.smallest(kept, order.values, level)
    assert smallest == (expected if len(reaching) and reaching[0] < 12 else None)


def test_what_is_not_a_number_is_hidden_last():
    def score(masks):
        values = masks.sum(1).astype(float)
        values[~masks[:, 0]] = np.nan
        return values

    order = sis.back_select(score, np.ones(3, bool))
    assert order.places.tolist() == [1, 2, 0]
