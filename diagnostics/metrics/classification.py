"""Classification: what was predicted right and wrong on labelled images, how confidently."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.errors import InputError
from diagnostics.metrics.intervals import rate
from diagnostics.metrics.predictions import probabilities
from diagnostics.schema.results.calibration import ClassAccuracy, WrongPrediction


def labelled(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return logits and true classes as arrays that fit each other.

    Args:
        logits: Shape (n, k), n and k at least 1; NaN and infinity pass.
        labels: Shape (n,), whole numbers from 0 to k - 1.

    Raises:
        InputError: Another shape, a label outside the classes, or no images at all.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if z.ndim != 2 or z.shape[1] == 0:
        raise InputError(f"Logits must have the shape (images, classes), but have {z.shape}.")
    if y.shape != z.shape[:1]:
        raise InputError(f"{len(z)} rows of logits need as many labels, but those are {y.shape}.")
    if len(z) == 0:
        raise InputError("There is no labelled image to measure on: give at least one.")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= z.shape[1]:
        raise InputError(
            f"Labels must be whole numbers from 0 to {z.shape[1] - 1}, the classes of the model, "
            f"but they go from {y.min()} to {y.max()} ({y.dtype})."
        )
    return z, y.astype(np.intp)


def confusion(predicted: ArrayLike, labels: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return how many images of each class were taken for each class.

    Args:
        predicted: Shape (n,), classes 0 to k - 1.
        labels: Shape (n,), the true classes.
        k: How many classes there are.

    Returns:
        Shape (k, k): a row for each true class, a column for each predicted one.
    """
    cells = np.asarray(labels, np.int64) * k + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def most_confused(
    predicted: ArrayLike, labels: ArrayLike, count: int = 50
) -> list[tuple[int, int, int]]:
    """Return the pairs of classes that were confused most often, the most frequent first.

    Args:
        predicted: Shape (n,).
        labels: Shape (n,), the true classes.
        count: How many pairs to return at most.

    Returns:
        (true class, predicted class, number of images); equal numbers in the order of the classes.
    """
    pairs = np.stack([np.asarray(labels), np.asarray(predicted)], axis=1)
    kinds, numbers = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    order = np.argsort(-numbers, kind="stable")[:count]
    return [(int(kinds[i, 0]), int(kinds[i, 1]), int(numbers[i])) for i in order]


def per_class(predicted: ArrayLike, labels: ArrayLike, k: int) -> list[ClassAccuracy]:
    """Return for each class how many of its images were predicted right, with Wilson intervals.

    Args:
        predicted: Shape (n,).
        labels: Shape (n,), the true classes.
        k: How many classes there are.
    """
    correct = np.asarray(labels)[np.asarray(predicted) == np.asarray(labels)]
    hits = np.bincount(correct, minlength=k).tolist()
    sizes = np.bincount(np.asarray(labels), minlength=k).tolist()
    return [
        ClassAccuracy(class_index=index, **rate(hit, n))
        for index, (hit, n) in enumerate(zip(hits, sizes, strict=True))
    ]


def confident_errors(logits: NDArray[Any], labels: NDArray[Any]) -> list[WrongPrediction]:
    """Return the images that were predicted wrong, the most confident error first.

    Args:
        logits: Shape (n, k), finite.
        labels: Shape (n,), the true classes.

    Returns:
        Each with the index of its row, and one_minus_p, exact also where the confidence rounds to
        1. The order comes from the logarithm of one_minus_p, so it holds also where that rounds to
        0; ties keep the images' order.
    """
    z = np.asarray(logits, np.float64)
    predicted = z.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    shifted = z[wrong] - z[wrong].max(axis=1, keepdims=True)
    shifted[np.arange(len(wrong)), predicted[wrong]] = -np.inf
    others = np.logaddexp.reduce(shifted, axis=1)
    order = np.argsort(others - np.logaddexp(0, others), kind="stable")
    errors = []
    for index in wrong[order].tolist():
        class_index = int(predicted[index])
        p, one_minus_p = probabilities(z[index])
        errors.append(
            WrongPrediction(
                index=index,
                true=int(labels[index]),
                predicted=class_index,
                confidence=float(p[class_index]),
                one_minus_p=float(one_minus_p[class_index]),
            )
        )
    return errors
