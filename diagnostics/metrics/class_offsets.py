"""What a classifier's answers lack of its labels that its last layer alone could mend.

Everything is fitted on one half of the images and judged on the other, both ways round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.temperature import temperature

Floats = NDArray[np.float64]
Classes = NDArray[np.intp]
PENALTY = 0.01  # of one temperature's worth of offset, in mean log-likelihood
SHIFTS = 5  # places that names are usually off by
PREFERENCE = 1e-3  # of an image, for a name to stay where it is


@dataclass(frozen=True)
class Offsets:
    """One offset per class.

    Args:
        values: Fitted on all images, shape (k,), in logits.
        halves: The same of each half, shape (2, k).
        right: Which images are answered right with the other half's offsets, shape (n,).
        unit: A quarter of the median distance between the first two logits.
    """

    values: Floats
    halves: Floats
    right: NDArray[np.bool_]
    unit: float


def class_offsets(logits: Floats, labels: Classes) -> Offsets:
    """Return the offset that each class's logit lacks, most of them zero.

    The mean negative log-likelihood of softmax((z + b) / T) plus a penalty on |b| / T is smallest
    at b; T is the temperature that fits best without offsets.

    Args:
        logits: Shape (n, k).
        labels: Shape (n,).
    """
    order = np.arange(len(labels))
    halves, right = [], np.zeros(len(labels), bool)
    for half in (0, 1):
        rows, judged = order[half::2], order[1 - half :: 2]
        halves.append(_fit(logits[rows], labels[rows]))
        right[judged] = (logits[judged] + halves[-1]).argmax(1) == labels[judged]
    two = np.sort(logits, 1)[:, -2:]
    unit = float(np.median(two[:, 1] - two[:, 0])) / 4 if logits.shape[1] > 1 else 0.0
    return Offsets(_fit(logits, labels), np.stack(halves), right, unit)


def _fit(logits: Floats, labels: Classes) -> Floats:
    """Return offsets by proximal gradient steps with momentum, in units of the temperature."""
    scale = max(temperature(logits, labels).applied, 1e-6)
    z = (logits - logits.max(1, keepdims=True)) / scale
    truth = np.bincount(labels, minlength=z.shape[1]) / len(labels)
    b = ahead = np.zeros(z.shape[1])
    t = 1.0
    for _ in range(400):
        step = ahead + 2 * (truth - _shares(z + ahead))  # 2 is below 1 over the curvature of 1/2
        shrunk = np.sign(step) * np.maximum(np.abs(step) - 2 * PENALTY, 0)
        after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead, moved, t = shrunk + (t - 1) / after * (shrunk - b), np.abs(shrunk - b).max(), after
        b = shrunk
        if moved < 1e-6:
            break
    offsets: Floats = (b - np.median(b)) * scale
    return offsets


def _shares(z: Floats) -> Floats:
    weights = np.exp(z - z.max(1, keepdims=True))
    mean: Floats = (weights / weights.sum(1, keepdims=True)).mean(0)
    return mean


def class_order(predicted: Classes, labels: Classes, classes: int) -> Classes:
    """Return the class that each output stands for, one to one, as labelled images suggest."""
    from scipy.optimize import linear_sum_assignment

    counts = PREFERENCE * np.eye(classes)
    np.add.at(counts, (predicted, labels), 1)
    assigned: Classes = linear_sum_assignment(-counts)[1]
    return assigned


def shifted_order(predicted: Classes, labels: Classes, classes: int) -> tuple[Classes, int]:
    """Return the order in which every name stands the same number of places off, and the number.

    It is that of the shifts of up to five places that answers most images right.
    """
    steps = [step for step in range(-SHIFTS, SHIFTS + 1) if step % classes]
    right = [int(((predicted + step) % classes == labels).sum()) for step in steps]
    best = steps[int(np.argmax(right))] if steps else 0
    order: Classes = (np.arange(classes) + best) % classes
    return order, best


def judged_class_order(predicted: Classes, labels: Classes, classes: int) -> NDArray[np.bool_]:
    """Return which images are answered right with the order that the other half suggests."""
    right = np.zeros(len(labels), bool)
    for half in (0, 1):
        rows, judged = slice(half, None, 2), slice(1 - half, None, 2)
        order = class_order(predicted[rows], labels[rows], classes)
        right[judged] = order[predicted[judged]] == labels[judged]
    return right
