"""The one number that makes a classifier's percentages fit its accuracy best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.errors import InputError
from diagnostics.metrics.calibration import Floats
from diagnostics.metrics.classification import labelled
from diagnostics.schema.results.calibration import Bound

BOUND = 5.0  # of |log T|: T from 0.0067 to 148
PRECISION, PRECISION_OF_ENDS = 1e-9, 1e-5  # of log T
Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by.

    Args:
        value: T; above 1 makes the answers less sure, below 1 surer.
        low: Lower end of the 95 % interval of T, the lowest T searched where it lies beyond.
        high: Upper end, likewise.
        at_bound: At which end of the search T lies, where no best T exists: the "lowest" when every
            image was named right, the "highest" when the logits say no more about the labels than
            chance does. None where there is a best T.
    """

    value: float
    low: float
    high: float
    at_bound: Bound | None

    @property
    def applied(self) -> float:
        """What logits shall be divided by: 1 where no best T exists."""
        return 1.0 if self.at_bound else self.value


def temperature(logits: ArrayLike, labels: ArrayLike) -> Temperature:
    """Return the temperature that makes the true classes most probable, with its interval.

    The mean negative log-likelihood is convex in 1/T, so the sign of its slope tells on which side
    the best T lies: log T is bisected in [-5, 5]. No T changes which class comes first, and a T
    found on known images does not by itself make noise or strangers look uncertain.

    The interval holds every T whose slope chance explains (score test), by the larger of two
    variances of the slope: what the images show, and what the answers at that T imply; the latter
    keeps a folder without one mistake from looking certain.

    Args:
        logits: Shape (n, k), finite.
        labels: Shape (n,), the true classes.

    Returns:
        T, its interval, and whether it lies at a bound; T = 1 with the whole range as interval when
        every image's logits are all equal, because then no T changes anything.

    Raises:
        InputError: Shapes that do not fit, no images, or logits that are not finite.

    Source:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    z, y = labelled(logits, labels)
    if not np.isfinite(z).all():
        raise InputError("A temperature needs finite logits: leave out rows with NaN or infinity.")
    slope = _Slope(z, y)
    if slope.flat:
        return Temperature(1.0, float(np.exp(-BOUND)), float(np.exp(BOUND)), "highest")
    best = crossing(slope.mean, -BOUND, BOUND, PRECISION)
    at_bound: Bound | None = None
    if abs(best) == BOUND:
        at_bound = "highest" if best > 0 else "lowest"
    low = crossing(lambda log_t: slope.score(log_t) - Z, -BOUND, best, PRECISION_OF_ENDS)
    high = crossing(lambda log_t: slope.score(log_t) + Z, best, BOUND, PRECISION_OF_ENDS)
    return Temperature(float(np.exp(best)), float(np.exp(low)), float(np.exp(high)), at_bound)


class _Slope:
    """The slope of the negative log-likelihood along 1/T, which falls as T grows."""

    def __init__(self, z: Floats, y: NDArray[np.intp]) -> None:
        self._below = z - z.max(axis=1, keepdims=True)
        self._true = self._below[np.arange(len(y)), y]
        self.flat = not self._below.any()

    def mean(self, log_t: float) -> float:
        """Return the mean over the images."""
        return float((self._expected(log_t)[0] - self._true).mean())

    def score(self, log_t: float) -> float:
        """Return the mean over its standard error."""
        expected, variance = self._expected(log_t)
        slopes = expected - self._true
        error = float(np.sqrt(max(slopes.var(), variance.mean()) / len(slopes)))
        mean = float(slopes.mean())
        return mean / error if error > 0 else float(np.sign(mean) * np.inf) if mean else 0.0

    def _expected(self, log_t: float) -> tuple[Floats, Floats]:
        """Return the mean and variance of each image's logits under its own answer."""
        weights = np.exp(self._below * np.exp(-log_t))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * self._below).sum(axis=1)
        return mean, (weights * self._below**2).sum(axis=1) - mean**2


def crossing(
    function: Callable[[float], float], low: float, high: float, precision: float
) -> float:
    """Return where a function falls through 0; an end where it does not."""
    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    while high - low > precision:
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
