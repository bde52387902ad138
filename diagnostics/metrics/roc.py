"""How well a score tells strangers from known images, counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CAUGHT = 0.95


@dataclass(frozen=True)
class Roc:
    """Both errors at every threshold: an image is flagged where its score is at or above it.

    Args:
        thresholds: From the highest down, the first one above every score.
        good: Share of the known images that is flagged, at each threshold.
        strangers: Share of the strangers that is flagged.
    """

    thresholds: NDArray[np.float64]
    good: NDArray[np.float64]
    strangers: NDArray[np.float64]


def roc(good: ArrayLike, strangers: ArrayLike) -> Roc:
    """Return the errors at every threshold that tells something apart.

    Args:
        good: Scores of known images, higher for stranger ones, shape (n,).
        strangers: Scores of strangers, shape (m,).
    """
    known, others = np.asarray(good, np.float64), np.asarray(strangers, np.float64)
    levels = np.unique(np.concatenate([known, others]))[::-1]
    thresholds = np.concatenate([[np.inf], levels])
    return Roc(thresholds, _flagged(known, thresholds), _flagged(others, thresholds))


def auroc(good: ArrayLike, strangers: ArrayLike) -> float:
    """Return how often a stranger scores higher than a known image; a tie counts half.

    Returns:
        0 to 1; 0.5 is chance, below it the score is upside down.
    """
    known = np.sort(np.asarray(good, np.float64))
    others = np.asarray(strangers, np.float64)
    below = np.searchsorted(known, others, "left")
    ties = np.searchsorted(known, others, "right") - below
    return float((below + ties / 2).mean() / len(known))


def false_alarms_at_95(good: ArrayLike, strangers: ArrayLike) -> float:
    """Return the share of known images flagged where 95 % of the strangers are caught.

    This is FPR@95 as OpenOOD and pytorch-ood count it, strangers being the positives.
    """
    others = np.sort(np.asarray(strangers, np.float64))
    threshold = others[len(others) - int(np.ceil(CAUGHT * len(others)))]
    return float((np.asarray(good, np.float64) >= threshold).mean())


def missed_at_95(good: ArrayLike, strangers: ArrayLike) -> float:
    """Return the share of strangers accepted where 95 % of the known images are.

    This is FPR@95 as many papers count it, known images being the positives.
    """
    known = np.sort(np.asarray(good, np.float64))
    threshold = known[int(np.ceil(CAUGHT * len(known))) - 1]
    return float((np.asarray(strangers, np.float64) <= threshold).mean())


def _flagged(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, "left")
    return 1 - below / len(scores)
