"""Removal and transplant of a region of a linear network, pixel by pixel and image by image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def _logits(weight: NDArray[np.float64], pixels: NDArray[np.float64]) -> list[float]:
    return [
        sum(float(w) * float(v) for w, v in zip(row, pixels.ravel(), strict=True)) for row in weight
    ]


def _softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(value - top) for value in logits]
    return [value / sum(weights) for value in weights]


def removal(
    weight: NDArray[np.float64],
    pixels: NDArray[np.float64],
    others: NDArray[np.float64],
    mask: NDArray[np.bool_],
    index: int,
) -> tuple[float, float]:
    """Return p of a class with a region replaced, and that of another class that then leads."""
    changed = pixels.copy()
    for y, x in zip(*np.nonzero(mask), strict=True):
        column = sorted(float(other[y, x]) for other in others)
        changed[y, x] = column[(len(column) - 1) // 2]  # torch's median is the lower of two
    shares = _softmax(_logits(weight, changed))
    first = max(range(len(shares)), key=lambda place: shares[place])
    return shares[index], shares[first] if first != index else 0.0


def insertions(
    weight: NDArray[np.float64],
    pixels: NDArray[np.float64],
    others: NDArray[np.float64],
    mask: NDArray[np.bool_],
    index: int,
) -> list[bool]:
    """Return which of the others become the class with the region pasted."""
    turned = []
    for other in others:
        pasted = other.copy()
        pasted[mask] = pixels[mask]
        logits = _logits(weight, pasted)
        turned.append(max(range(len(logits)), key=lambda place: logits[place]) == index)
    return turned
