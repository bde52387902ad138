"""ROC: how well an OOD score tells OOD images from in-distribution ones.

Scores are higher for OOD images, which are the positives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHARE = 0.95  # of the positives


@dataclass(frozen=True)
class Roc:
    """Both errors at every threshold: an image is flagged where its score is at or above it.

    Args:
        thresholds: From the highest down, the first one above every score.
        fpr: False positive rate: share of the in-distribution images that is flagged.
        tpr: True positive rate: share of the OOD images that is flagged.
    """

    thresholds: NDArray[np.float64]
    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]


def roc(id_scores: ArrayLike, ood_scores: ArrayLike) -> Roc:
    """Return the errors at every threshold that tells something apart.

    Args:
        id_scores: Of in-distribution images, shape (n,).
        ood_scores: Of OOD images, shape (m,).
    """
    negatives = np.asarray(id_scores, np.float64)
    positives = np.asarray(ood_scores, np.float64)
    levels = np.unique(np.concatenate([negatives, positives]))[::-1]
    thresholds = np.concatenate([[np.inf], levels])
    return Roc(thresholds, _flagged(negatives, thresholds), _flagged(positives, thresholds))


def auroc(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Return how often an OOD image scores higher than an in-distribution one; ties count half.

    Returns:
        0 to 1; 0.5 is chance, below it the score is upside down.
    """
    negatives = np.sort(np.asarray(id_scores, np.float64))
    positives = np.asarray(ood_scores, np.float64)
    below = np.searchsorted(negatives, positives, "left")
    ties = np.searchsorted(negatives, positives, "right") - below
    return float((below + ties / 2).mean() / len(negatives))


def false_alarms_at_95(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Return the share of in-distribution images flagged where 95 % of the OOD images are caught.

    This is FPR@95 as OpenOOD and pytorch-ood count it, OOD images being the positives.
    """
    positives = np.sort(np.asarray(ood_scores, np.float64))
    threshold = positives[len(positives) - int(np.ceil(SHARE * len(positives)))]
    return float((np.asarray(id_scores, np.float64) >= threshold).mean())


def missed_at_95(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Return the share of OOD images accepted where 95 % of the in-distribution images are.

    This is FPR@95 as many papers count it, in-distribution images being the positives.
    """
    negatives = np.sort(np.asarray(id_scores, np.float64))
    threshold = negatives[int(np.ceil(SHARE * len(negatives))) - 1]
    return float((np.asarray(ood_scores, np.float64) <= threshold).mean())


def _flagged(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, "left")
    return 1 - below / len(scores)
