"""Sufficient input subsets, exactly: which few values alone keep a score above a threshold.

Carter, Mueller, Jain and Gifford 2019, "What made you do this?", arXiv:1810.03805. Everything here
sees only a scorer of masks; a mask is True where the value is shown and False where it is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]
Score: TypeAlias = Callable[[Mask], NDArray[Any]]

BATCH_SIZE = 1024  # masks that are scored together


def backward_selection(
    score: Score, shown: Mask, batch_size: int = BATCH_SIZE
) -> Iterator[tuple[int, float]]:
    """Hide one value after the other, each time the one whose loss costs the score least.

    Among equals the first in row-major order is hidden. This takes v (v + 1) / 2 scores.

    Args:
        score: Takes masks of shape (n, ...), gives n scores.
        shown: What is shown at first; any shape.
        batch_size: How many masks are scored together.

    Yields:
        Flat index of what was hidden, and the score after it.
    """
    mask = np.array(shown, bool)
    flat = mask.reshape(-1)
    while (left := np.flatnonzero(flat)).size:
        scores = np.concatenate(
            [
                np.asarray(score(_each_hidden(mask, left[start : start + batch_size])), np.float64)
                for start in range(0, left.size, batch_size)
            ]
        )
        # A score that is not a number is no reason to hide a value.
        best = int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))
        flat[left[best]] = False
        yield int(left[best]), float(scores[best])


def smallest_size(
    counts: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], threshold: float
) -> int | None:
    """Return how few values still reach a threshold; None where no point of the path does.

    Args:
        counts: How many values were shown at each point of a path.
        scores: Score at each point.
        threshold: To be reached.
    """
    reached = np.asarray(counts)[np.asarray(scores) >= threshold]
    return int(reached.min()) if reached.size else None


def _each_hidden(mask: Mask, indices: NDArray[np.int64]) -> Mask:
    """Return the mask once for each flat index, with the value there hidden."""
    masks = np.repeat(mask[None], len(indices), axis=0)
    masks.reshape(len(indices), -1)[np.arange(len(indices)), indices] = False
    return masks
