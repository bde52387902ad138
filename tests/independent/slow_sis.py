"""Sufficient input subsets as their paper writes them, a value at a time.

Carter, Mueller, Jain and Gifford 2019, arXiv:1810.03805, procedures SIScollection, BackSelect and
FindSIS. A score takes the indices that are shown.
"""

from __future__ import annotations


def collection(score, indices, threshold):
    """Return disjoint sufficient subsets of the indices, each in what those before it left."""
    left, subsets = list(indices), []
    while left and score(left) >= threshold:
        subset = find_sis(score, threshold, back_select(score, left))
        subsets.append(subset)
        if not subset:
            break
        left = [index for index in left if index not in subset]
    return subsets


def back_select(score, indices):
    """Return the order in which the least important index is taken away, over and over."""
    left, order = list(indices), []
    while left:
        least = max(left, key=lambda index: score([other for other in left if other != index]))
        left.remove(least)
        order.append(least)
    return order


def find_sis(score, threshold, order):
    """Return the shortest end of an order whose score reaches the threshold, the last first."""
    subset = []
    while score(subset) < threshold:
        subset.append(order[-1 - len(subset)])
    return subset
