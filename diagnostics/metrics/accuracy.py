"""What an accuracy is compared with: guessing, and another accuracy on the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIMES_CHANCE, ABOVE_CHANCE = 2.0, 0.15  # the nearer one is what guessing may reach


def chance(classes: int) -> float:
    """Return the accuracy that guessing hardly exceeds."""
    return min(TIMES_CHANCE / classes, 1 / classes + ABOVE_CHANCE)


def sign_test(better: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return p of one being right more often by chance, one-sided, where they differ."""
    from scipy.special import bdtrc

    wins, losses = int((better & ~other).sum()), int((other & ~better).sum())
    return float(bdtrc(wins - 1, wins + losses, 0.5)) if wins + losses else 1.0
