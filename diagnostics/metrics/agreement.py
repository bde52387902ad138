"""How far several models agree on images, and which part of their doubt is disagreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.calibration import Floats, log_softmax


@dataclass(frozen=True)
class Agreement:
    """What several models say of n images.

    Args:
        said: Index of the first class, shape (m, n).
        together: Index of the first class of the mean logits, shape (n,).
        total: Entropy of the mean probabilities, in nats, shape (n,).
        expected: Mean of the models' own entropies: doubt that each has by itself.
        disagreement: What is left, the mutual information: doubt that is only between them.
    """

    said: NDArray[np.intp]
    together: NDArray[np.intp]
    total: Floats
    expected: Floats
    disagreement: Floats

    @property
    def same(self) -> NDArray[np.bool_]:
        """On which images all say the same class, shape (n,)."""
        same: NDArray[np.bool_] = (self.said == self.said[0]).all(0)
        return same


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
        said=logits.argmax(2),
        together=logits.mean(0).argmax(1),
        total=total,
        expected=expected,
        disagreement=np.maximum(total - expected, 0),
    )
