"""How far a number counted or measured on n images can be from the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.errors import InputError

TINY = 1e-300


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval in which a rate lies that showed `hits` hits in `n` trials.

    Args:
        hits: 0 to n.
        n: How many independent trials; 0 leaves the rate open from 0 to 1.
        level: The share of such intervals that hold the true rate, between 0 and 1.

    Returns:
        The lower and the upper end, each in [0, 1].

    Raises:
        InputError: More hits than trials, or a level outside 0 to 1.

    Source:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= hits <= n:
        raise InputError(f"Hits must lie between 0 and the {n} trials, but there are {hits}.")
    z = NormalDist().inv_cdf((1 + _checked(level)) / 2)
    if n == 0:
        return 0.0, 1.0
    rate = hits / n
    scale = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if hits == 0 else max(centre - half, 0.0)
    high = 1.0 if hits == n else min(centre + half, 1.0)
    return low, high


def beta_share(x: float, a: float, b: float) -> float:
    """Return the share of the Beta(a, b) distribution that lies below `x`.

    Args:
        x: 0 to 1.
        a: Above 0.
        b: Above 0.

    Returns:
        The regularised incomplete beta function I_x(a, b), 0 to 1.

    Source:
        DLMF 8.17.22, the continued fraction, evaluated with Lentz's method; DLMF 8.17.4.
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise InputError(f"Beta needs a and b above 0 and x in 0 to 1, but got {a}, {b} and {x}.")
    if x in (0.0, 1.0):
        return float(x)
    if x > (a + 1) / (a + b + 2):
        return 1 - _below(1 - x, b, a)
    return _below(x, a, b)


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the value below which the given share of the Beta(a, b) distribution lies.

    Args:
        share: 0 to 1.
        a: Above 0.
        b: Above 0.

    Returns:
        0 to 1, to the last digits of a float64.

    Raises:
        InputError: An argument outside its range.
    """
    if not 0 <= share <= 1:
        raise InputError(f"A share must lie between 0 and 1, but is {share}.")
    if share in (0.0, 1.0):
        return float(share)
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if beta_share(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return high


def false_alarm_interval(n: int, alpha: float, level: float = 0.95) -> tuple[float, float]:
    """Return how often good images are really flagged by a guard set on n good images.

    The guard flags a score s when p = (1 + how many of the n have a score >= s) / (n + 1) is at
    most `alpha`. Over many draws of the n images the rate of false alarms averages at most
    `alpha`; for the n images at hand it is fixed but unknown, and follows Beta(l, n + 1 - l) with
    l = floor(alpha (n + 1)), provided that scores have no ties (with ties it can only be lower).

    Args:
        n: How many good images the guard was set on, none of them used in fitting the score.
        alpha: The promised rate, 0 to 1.
        level: The share of guards whose true rate lies in the interval, between 0 and 1.

    Returns:
        The lower and the upper end, each in [0, 1]; (0, 0) when n is too small for any flag.

    Raises:
        InputError: An argument outside its range.

    Source:
        Vovk 2012, "Conditional validity of inductive conformal predictors", Proposition 2.
    """
    if n < 0 or not 0 <= alpha <= 1:
        raise InputError(f"A guard needs n >= 0 and a rate of 0 to 1, but got {n} and {alpha}.")
    tail = (1 - _checked(level)) / 2
    flags = flagged_ranks(n, alpha)
    if flags in (0, n + 1):
        return float(flags > 0), float(flags > 0)
    a, b = flags, n + 1 - flags
    return beta_quantile(tail, a, b), beta_quantile(1 - tail, a, b)


def flagged_ranks(n: int, alpha: float) -> int:
    """Return the largest whole l with l / (n + 1) <= alpha, exactly as a guard compares them."""
    ranks = math.floor(alpha * (n + 1))
    if (ranks + 1) / (n + 1) <= alpha:  # 0.29 * 100 is 28.999999999999996
        return ranks + 1
    return ranks if ranks / (n + 1) <= alpha else ranks - 1


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], ArrayLike],
    n: int,
    *,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the band in which a statistic of n images falls when they are drawn anew.

    Args:
        statistic: Takes which of the n images were drawn, shape (n,), with repeats, and returns a
            number or an array of the same shape every time; NaN where a draw says nothing.
        n: How many images there are.
        resamples: How many draws of n images, with replacement.
        seed: Seed of the draws.
        level: The share of the draws inside the band, between 0 and 1.

    Returns:
        The lower and the upper end, each of the statistic's shape, as quantiles of the draws that
        are not NaN; NaN where every draw is.

    Raises:
        InputError: No images, no resamples, or a level outside 0 to 1.

    Source:
        Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentiles).
    """
    if n < 1 or resamples < 1:
        raise InputError(
            f"A band needs at least one image and one resample, but got {n} and {resamples}."
        )
    random = np.random.default_rng(seed)
    tail = (1 - _checked(level)) / 2
    draws = np.stack(
        [np.asarray(statistic(random.integers(0, n, n)), np.float64) for _ in range(resamples)]
    )
    flat = draws.reshape(resamples, -1)
    told = ~np.isnan(flat).all(axis=0)
    ends = np.full((2, flat.shape[1]), np.nan)
    ends[:, told] = np.nanquantile(flat[:, told], [tail, 1 - tail], axis=0)
    low, high = ends.reshape(2, *draws.shape[1:])
    return low, high


def _below(x: float, a: float, b: float) -> float:
    """Return I_x(a, b) for x below the mean, where the continued fraction converges fast."""
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logarithm + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    fraction, step, change = d, 0, 0.0
    while abs(change - 1) > 4e-16 and step < 100_000:
        step += 1
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        change = 1.0
        for term in (even, odd):
            d = 1 / _nonzero(1 + term * d)
            c = _nonzero(1 + term / c)
            fraction *= c * d
            change *= c * d
    return front * fraction


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"A level must lie between 0 and 1, such as 0.95, but is {level}.")
    return level
