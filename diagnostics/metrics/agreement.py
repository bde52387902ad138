"""Agreement of several models, and which part of their uncertainty is disagreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.calibration import Floats, log_softmax


@dataclass(frozen=True)
class Agreement:
    """What m models predict for n images.

    Args:
        predicted: Index of each model's predicted class, shape (m, n).
        ensemble_predicted: Index of the first class of the mean logits, shape (n,).
        total: Entropy of the mean probabilities, in nats, shape (n,).
        expected: Mean entropy of each model's probabilities, in nats: the uncertainty within each.
        disagreement: The rest, their mutual information: the uncertainty between them.
    """

    predicted: NDArray[np.intp]
    ensemble_predicted: NDArray[np.intp]
    total: Floats
    expected: Floats
    disagreement: Floats

    @property
    def unanimous(self) -> NDArray[np.bool_]:
        """For which images all predict the same class, shape (n,)."""
        unanimous: NDArray[np.bool_] = (self.predicted == self.predicted[0]).all(0)
        return unanimous


def agreement(logits: Floats) -> Agreement:
    """Compare models that name the same classes.

    Args:
        logits: Shape (m, n, k): of m models, n images and k classes; finite.

    Source: Depeweg et al. 2018, arXiv:1710.07283, section 2.
    """
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    expected = -(p * log_p).sum(2).mean(0)
    mean = p.mean(0)
    total = -(mean * np.log(np.where(mean > 0, mean, 1))).sum(1)
    return Agreement(
        predicted=logits.argmax(2),
        ensemble_predicted=logits.mean(0).argmax(1),
        total=total,
        expected=expected,
        disagreement=np.maximum(total - expected, 0),
    )
