"""Exact sufficient input subsets: published cases, a closed form, the paper's procedures."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.methods.sufficient_pixels import _sis as sis
from tests.independent import slow_sis


def norm(batch):
    return np.sqrt((batch.reshape(len(batch), -1) ** 2).sum(1))


def total(batch):
    return batch.reshape(len(batch), -1).sum(1)


def of_masks(f, values):
    """Return the scorer of masks that goes with a scorer of inputs; hidden values are zero."""
    return lambda masks: f(np.where(masks, values, 0))


def back_select(score, shown, **options):
    """Return in which order values are hidden, and the score after each."""
    order, scores = zip(*sis.backward_selection(score, shown, **options), strict=True)
    return list(order), list(scores)


def collection(f, values, threshold):
    """Return each subset as indices, the last hidden first, with the order that it ends."""
    values = np.asarray(values, float)
    left, score = np.ones(values.shape, bool), of_masks(f, values)
    subsets, orders = [], []
    while left.any() and (whole := score(left[None])[0]) >= threshold:
        order, scores = back_select(score, left)
        counts = np.arange(len(order), -1, -1)
        size = sis.smallest_size(counts, np.array([whole, *scores]), threshold)
        subset = order[::-1][:size]
        subsets.append(indices(subset, values.shape))
        orders.append((indices(order, values.shape), scores))
        if not subset:
            break
        left.reshape(-1)[subset] = False
    return subsets, orders


def slow_collection(f, values, threshold):
    values = np.asarray(values, float)

    def score(shown):
        mask = np.zeros(values.size, bool)
        mask[list(shown)] = True
        return of_masks(f, values)(mask.reshape(1, *values.shape))[0]

    subsets = slow_sis.collection(score, range(values.size), threshold)
    return [indices(subset, values.shape) for subset in subsets]


def indices(flat, shape):
    return [[int(index) for index in np.unravel_index(one, shape)] for one in flat]


@pytest.mark.parametrize("search", [lambda *case: collection(*case)[0], slow_collection])
@pytest.mark.parametrize(
    ("values", "threshold", "subsets"),
    [
        ([0.1, 10, 5], 1, [[[1]], [[2]]]),
        ([0.9, 0.9, 10, 5], 1, [[[2]], [[3]], [[1], [0]]]),
        ([3, 4], 4.5, [[[1], [0]]]),
        ([3, 4], 5.1, []),
    ],
)
def test_published_cases_of_the_norm(search, values, threshold, subsets):
    assert search(norm, values, threshold) == subsets


def test_ties_are_hidden_in_their_order():
    order, scores = back_select(of_masks(norm, np.array([10.0, 10, 10])), np.ones(3, bool))
    assert order == [0, 1, 2]
    assert scores == pytest.approx([200**0.5, 10, 0])


def test_published_case_of_a_sum_in_two_dimensions():
    subsets, orders = collection(total, [[10, 5], [2, 3]], 4)
    assert subsets == [[[0, 0]], [[0, 1]], [[1, 1], [1, 0]]]
    assert [scores for _, scores in orders] == [[18, 15, 10, 0], [8, 5, 0], [3, 0]]


def test_a_mask_may_hide_whole_columns():
    score = of_masks(total, np.array([[10.0, 5], [2, 3]]))
    order, scores = back_select(score, np.ones((1, 2), bool))
    assert (order, scores) == ([1, 0], [12, 0])
    assert sis.smallest_size(np.array([2, 1, 0]), np.array([20, *scores]), 10) == 1


def test_published_case_of_a_weighted_sum():
    subsets, orders = collection(lambda batch: batch @ [1, 2, 0, 1], [5, 1, 6, 3], 5)
    assert subsets == [[[0]], [[3], [1]]]
    assert orders[0] == ([[2], [1], [3], [0]], [10, 8, 5, 0])
    assert orders[1][1] == [5, 3, 0]


def test_published_case_with_one_subset():
    subsets, orders = collection(total, [0.1, 0.5, 0.8, 0.1], 1)
    assert subsets == [[[2], [1]]]
    assert orders[0][1] == pytest.approx([1.4, 1.3, 0.8, 0])


@pytest.mark.parametrize(
    ("threshold", "size"), [(0.6, 0), (0.65, 1), (0.7, 1), (0.8, 2), (0.99, 3), (2.0, None)]
)
def test_published_cases_of_one_order(threshold, size):
    """What is left of four values scores 1, 0.9, 0.7 and 0.6 after each was hidden."""
    counts, scores = np.array([3, 2, 1, 0]), np.array([1.0, 0.9, 0.7, 0.6])
    assert sis.smallest_size(counts, scores, threshold) == size


def test_a_score_that_needs_nothing_has_an_empty_subset():
    subsets, _ = collection(lambda batch: np.ones(len(batch)), [1, 2, 3], 0.5)
    assert subsets == [[]]


def test_a_path_without_points_has_no_size():
    assert list(sis.backward_selection(total, np.zeros(3, bool))) == []
    assert sis.smallest_size(np.zeros(0, np.int64), np.zeros(0), 0.5) is None


@pytest.mark.parametrize("tau", [0.6, 0.9, 0.999])
@pytest.mark.parametrize("seed", range(4))
def test_a_logistic_score_has_the_closed_form(seed, tau):
    random = np.random.default_rng(seed)
    weight, bias = random.normal(size=12), -1.0
    values, threshold = random.random(12), np.log(tau / (1 - tau)) / 4
    score = of_masks(lambda batch: bias + batch @ weight, values)
    order, scores = back_select(score, np.ones(12, bool), batch_size=5)
    parts = weight * values
    assert order == np.argsort(parts, kind="stable").tolist()
    sums = bias + np.concatenate([[0], np.cumsum(np.sort(parts)[::-1])])
    reaching = np.flatnonzero(sums >= threshold)
    smallest = sis.smallest_size(np.arange(11, -1, -1), np.array(scores), threshold)
    assert smallest == (int(reaching[0]) if len(reaching) and reaching[0] < 12 else None)


@pytest.mark.parametrize("seed", range(5))
def test_subsets_of_a_score_of_no_special_form_are_those_of_the_paper(seed):
    random = np.random.default_rng(seed)
    inner, outer = random.normal(size=(9, 6)), random.normal(size=6)

    def score(batch):
        return np.tanh(batch.reshape(len(batch), -1) @ inner) @ outer

    values = random.normal(size=(3, 3))
    threshold = 0.5 * float(score(values[None])[0])
    subsets, _ = collection(score, values, threshold)
    assert subsets == slow_collection(score, values, threshold)


def test_what_is_not_a_number_is_hidden_last():
    def score(masks):
        values = masks.sum(1).astype(float)
        values[~masks[:, 0]] = np.nan
        return values

    assert back_select(score, np.ones(3, bool))[0] == [1, 2, 0]
