"""Calibration: whether a classifier is as often right as its confidence says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.errors import InputError
from diagnostics.metrics.classification import labelled

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Images sorted into bins by their confidence.

    Args:
        edges: Shape (bins + 1,), from 0 to 1.
        counts: Shape (bins,), images in each bin.
        confidence: Shape (bins,), mean confidence; NaN in an empty bin.
        accuracy: Shape (bins,), share of images named right; NaN in an empty bin.
    """

    edges: Floats
    counts: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @property
    def gaps(self) -> Floats:
        """Distance between accuracy and confidence in each bin, 0 in an empty one."""
        return np.nan_to_num(np.abs(self.accuracy - self.confidence))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> Reliability:
    """Return how often images were right, in bins of equal width over their confidence.

    A bin holds its lower edge; the last one holds 1 as well, so no sure answer falls out.

    Args:
        confidence: Shape (n,), probability of the predicted class, 0 to 1.
        correct: Shape (n,), whether that class was the true one.
        bins: At least 1.

    Raises:
        InputError: No images, shapes that do not fit, or a confidence outside 0 to 1.
    """
    p, hits = checked(confidence, correct, bins)
    indices = bin_indices(p, bins)
    counts = np.bincount(indices, minlength=bins)
    size = np.where(counts, counts, np.nan)
    return Reliability(
        edges=np.arange(bins + 1) / bins,
        counts=counts,
        confidence=np.bincount(indices, p, minlength=bins) / size,
        accuracy=np.bincount(indices, hits, minlength=bins) / size,
    )


def ece(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Return the expected calibration error: the mean distance of confidence from accuracy.

    Few images make it too high: a perfectly calibrated model of 100 images shows some error too;
    `debiased_ece` takes that away.

    Args:
        confidence: Shape (n,), probability of the predicted class, 0 to 1.
        correct: Shape (n,), whether that class was the true one.
        bins: Of equal width.

    Returns:
        0 (calibrated) to 1: sum over bins of their share of images times |accuracy - confidence|.

    Source:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    table = reliability(confidence, correct, bins)
    return float((table.counts * table.gaps).sum() / table.counts.sum())


def adaptive_ece(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Return the calibration error over bins that hold equally many images.

    Images of exactly the same confidence count as equally right, so their order plays no part.

    Args:
        confidence: Shape (n,), probability of the predicted class, 0 to 1.
        correct: Shape (n,), whether that class was the true one.
        bins: How many; the first n % bins of them hold one image more.

    Returns:
        0 (calibrated) to 1.

    Source:
        Nguyen & O'Connor 2015, "Posterior calibration and exploratory analysis for natural
        language processing models", section 3.
    """
    p, hits = checked(confidence, correct, bins)
    order = np.argsort(p)
    p, hits = p[order], hits[order]
    starts = np.flatnonzero(np.diff(p, prepend=-1.0))
    sizes = np.diff(starts, append=len(p))
    gaps = p - np.repeat(np.add.reduceat(hits, starts) / sizes, sizes)
    filled = min(bins, len(p))
    first = np.arange(filled) * (len(p) // filled)
    first += np.minimum(np.arange(filled), len(p) % filled)
    return float(np.abs(np.add.reduceat(gaps, first)).sum() / len(p))


def classwise_ece(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Return the calibration error of every class's own probability, averaged over classes.

    With many classes most probabilities are near 0 and the mean is small: compare it only between
    models with the same classes.

    Args:
        probabilities: Shape (n, k), rows sum to 1.
        labels: Shape (n,), the true classes.
        bins: Of equal width.

    Returns:
        0 (calibrated) to 1.

    Source:
        Nixon et al. 2019, "Measuring Calibration in Deep Learning", section 4 (static
        calibration error).
    """
    p, y = labelled(probabilities, labels)
    k = p.shape[1]
    gaps = p.copy()
    gaps[np.arange(len(y)), y] -= 1
    cells = np.arange(k) * bins + bin_indices(p, bins)
    return float(np.abs(np.bincount(cells.ravel(), gaps.ravel())).sum() / p.size)


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the Brier score: the mean squared distance of all probabilities from the truth.

    Args:
        probabilities: Shape (n, k), rows sum to 1.
        labels: Shape (n,), the true classes.

    Returns:
        0 (sure and right) to 2 (sure and wrong): the sum over classes, not divided by k.

    Source:
        Brier 1950, "Verification of forecasts expressed in terms of probability", equation 2.
    """
    return float(square_errors(*labelled(probabilities, labels)).mean())


def square_errors(probabilities: Floats, labels: NDArray[np.intp]) -> Floats:
    """Return each image's Brier score, shape (n,), 0 to 2."""
    misses = probabilities.copy()
    misses[np.arange(len(labels)), labels] -= 1
    squares: Floats = (misses * misses).sum(axis=1)
    return squares


def nll(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the negative log-likelihood: the mean surprise at the true classes, in nats.

    Args:
        logits: Shape (n, k), finite.
        labels: Shape (n,), the true classes.

    Returns:
        0 (sure and right) upwards; log k for a guess among all classes. Always finite.
    """
    z, y = labelled(logits, labels)
    return float(-log_softmax(z)[np.arange(len(y)), y].mean())


def log_softmax(logits: Floats) -> Floats:
    """Return log probabilities, finite also where the probability would round to 0.

    Args:
        logits: Classes on the last axis, finite.
    """
    below = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
    return result


def bin_indices(probability: Floats, bins: int) -> NDArray[Any]:
    """Return the bin of each probability, any shape; 1 is in the last one."""
    return np.searchsorted(np.arange(1, bins) / bins, probability, side="right")


def checked(confidence: ArrayLike, correct: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    """Return confidences and right answers as numbers that fit each other.

    Raises:
        InputError: No images, shapes that do not fit, or a confidence outside 0 to 1.
    """
    p, hits = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if p.ndim != 1 or p.shape != hits.shape or bins < 1:
        raise InputError(
            "A calibration error needs one confidence and one answer an image and at least one "
            f"bin, but got shapes {p.shape} and {hits.shape} and {bins} bins."
        )
    if len(p) == 0:
        raise InputError("There is no labelled image to measure on: give at least one.")
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("Confidences must lie between 0 and 1, without NaN.")
    return p, hits
