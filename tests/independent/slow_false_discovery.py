"""The false discovery rate procedure once more, in exact fractions, by trying every k."""

from __future__ import annotations

from fractions import Fraction


def slow_benjamini_hochberg(p_values, rate):
    """Return who is rejected: the largest set of k, each of whose p-values is at most rate k / n.

    Args:
        p_values: As fractions.
        rate: As a fraction.
    """
    n = len(p_values)
    for k in range(n, 0, -1):
        limit = rate * Fraction(k, n)
        rejected = [p <= limit for p in p_values]
        if sum(rejected) >= k:
            return rejected
    return [False] * n
