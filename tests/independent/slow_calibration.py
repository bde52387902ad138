"""Calibration once more, an image and a bin at a time, in exact fractions where it matters."""

from __future__ import annotations

import math
from fractions import Fraction


def wilson_ends(hits, n, z):
    """Return the two rates p that solve |hits/n - p| = z sqrt(p (1 - p) / n)."""
    rate = hits / n
    a, b, c = 1 + z * z / n, -2 * rate - z * z / n, rate * rate
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def beta_below(x, a, b):
    """I_x(a, b) for whole a, b: the chance of a or more hits in a + b - 1 trials, exactly."""
    x, n = Fraction(x), a + b - 1
    return float(sum(math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1)))


def in_bins(confidence, correct, bins):
    """Return one list of (confidence, correct) for each bin; the last bin holds 1."""
    edges = [b / bins for b in range(bins + 1)]
    filled = [[] for _ in range(bins)]
    for sure, right in zip(confidence, correct, strict=True):
        for b in range(bins):
            last = b == bins - 1
            if edges[b] <= sure and (sure < edges[b + 1] or (last and sure <= 1)):
                filled[b].append((float(sure), bool(right)))
    return filled


def gap(images):
    """Return |accuracy - mean confidence| of a non-empty list of (confidence, correct)."""
    return abs(sum(r for _, r in images) / len(images) - sum(s for s, _ in images) / len(images))


def slow_ece(confidence, correct, bins):
    return sum(len(b) * gap(b) for b in in_bins(confidence, correct, bins) if b) / len(confidence)


def slow_adaptive_ece(confidence, correct, bins):
    """Deal the sorted images into bins whose sizes differ by one at most, the larger first."""
    images = sorted(zip(map(float, confidence), map(bool, correct), strict=True))
    total, start = 0.0, 0
    for b in range(bins):
        size = len(images) // bins + (b < len(images) % bins)
        if size:
            total += size * gap(images[start : start + size])
        start += size
    return total / len(images)


def slow_classwise_ece(probabilities, labels, bins):
    classes = range(len(probabilities[0]))
    errors = [
        slow_ece([row[c] for row in probabilities], [label == c for label in labels], bins)
        for c in classes
    ]
    return sum(errors) / len(errors)


def slow_brier(probabilities, labels):
    total = 0.0
    for row, label in zip(probabilities, labels, strict=True):
        for c, p in enumerate(row):
            total += (p - (c == label)) ** 2
    return total / len(labels)


def slow_nll(logits, labels, t=1.0):
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        top = max(row) / t
        total += math.log(math.fsum(math.exp(z / t - top) for z in row)) + top - row[label] / t
    return total / len(labels)
