"""The one number that makes a classifier's percentages fit its accuracy best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from diagnostics.errors import InputError
from diagnostics.metrics.classification import labelled

BOUND = 5.0  # of |log T|: T from 0.0067 to 148
PRECISION = 1e-9  # of log T


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by.

    Args:
        value: T; above 1 makes the answers less sure, below 1 surer.
        at_bound: Whether the search ended at its lowest or highest T, where no best T exists:
            the lowest when every image was named right, the highest when the logits say no more
            about the labels than chance does.
    """

    value: float
    at_bound: bool


def temperature(logits: ArrayLike, labels: ArrayLike) -> Temperature:
    """Return the temperature that makes the true classes most probable.

    The mean negative log-likelihood is convex in 1/T, so the sign of its slope tells on which side
    the best T lies: log T is bisected in [-5, 5]. No T changes which class comes first, and a T
    found on known images does not by itself make noise or strangers look uncertain.

    Args:
        logits: Shape (n, k), finite.
        labels: Shape (n,), the true classes.

    Returns:
        T and whether it lies at a bound; T = 1 when every image's logits are all equal, because
        then no T changes anything.

    Raises:
        InputError: Shapes that do not fit, no images, or logits that are not finite.

    Source:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    z, y = labelled(logits, labels)
    if not np.isfinite(z).all():
        raise InputError("A temperature needs finite logits: leave out rows with NaN or infinity.")
    below = z - z.max(axis=1, keepdims=True)
    true = below[np.arange(len(y)), y]
    if not below.any():
        return Temperature(1.0, at_bound=False)

    def slope(log_t: float) -> float:
        """Of the mean negative log-likelihood, along 1/T."""
        weights = np.exp(below * np.exp(-log_t))
        expected = (weights * below).sum(axis=1) / weights.sum(axis=1)
        return float((expected - true).mean())

    low, high = -BOUND, BOUND
    if slope(low) <= 0:
        return Temperature(float(np.exp(low)), at_bound=True)
    if slope(high) >= 0:
        return Temperature(float(np.exp(high)), at_bound=True)
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return Temperature(float(np.exp((low + high) / 2)), at_bound=False)
