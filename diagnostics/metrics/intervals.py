"""Intervals: how far a number counted or measured on n images can be from the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.errors import InputError
from diagnostics.schema.results import Count, Rate


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval in which a rate lies that showed `hits` hits in `n` trials.

    Both ends leave 2.5 % at the level of 95 %. Where no trial or every trial is a hit one end is
    that of the range, and the other alone bounds the rate, one-sided at 97.5 %: 2 of 2 gives 34 to
    100 %, where Clopper and Pearson's interval, which never holds less than it says, gives 16 to
    100 %. Wilson's holds 95.1 to 95.7 % of rates spread evenly over 0 to 1, for 1 to 100 trials,
    and at the worst rate for each n 79 to 84 % (computed from the binomial law).

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
    return _wilson(hits / n, n, z) if n else (0.0, 1.0)


def _wilson(rate: float, n: float, z: float) -> tuple[float, float]:
    scale = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if rate == 0 else max(centre - half, 0.0)
    high = 1.0 if rate == 1 else min(centre + half, 1.0)
    return low, high


def clustered(hits: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a rate whose trials come in clusters that are alike within.

    Its n is the number of trials that would say as much if they were independent: the trials
    divided by the design effect, how much further the clusters' rates are spread than independent
    trials would spread them. It is never below the number of clusters, and equals it where every
    trial or none is a hit, because then nothing shows how alike the trials of a cluster are.

    Args:
        hits: Whether each trial is one, shape (n,).
        clusters: Which cluster each trial belongs to, shape (n,).
        level: The share of such intervals that hold the true rate, between 0 and 1.

    Source:
        Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of
        positive counts estimated from survey data" (effective n, Student's t).
    """
    of_hits = np.asarray(hits, np.float64)
    _, members = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(members) if len(of_hits) else np.zeros(0)
    n, count = len(of_hits), len(sizes)
    if count == n:
        return wilson(int(of_hits.sum()), n, level)
    rate = float(of_hits.mean())
    if count == 1 or rate in (0.0, 1.0):
        return _wilson(rate, count, NormalDist().inv_cdf((1 + _checked(level)) / 2))
    from scipy.special import stdtrit

    spread = np.bincount(members, of_hits) - sizes * rate
    variance = count / (count - 1) * float((spread**2).sum()) / n**2
    effective = min(max(rate * (1 - rate) / max(variance, 1e-12), count), n)
    return _wilson(rate, effective, float(stdtrit(count - 1, (1 + _checked(level)) / 2)))


def rate(hits: int, n: int) -> Rate:
    """Return a share of n trials with its Wilson interval."""
    low, high = wilson(hits, n)
    return Rate(hits=hits, n=n, value=hits / n if n else None, low=low, high=high)


def counted(hits: int, n: int) -> Count:
    """Return how many of n, with Wilson's 95 % interval of the rate."""
    return Count(hits=hits, n=n, interval=list(wilson(hits, n)))


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
    from scipy.special import betaincinv

    low, high = betaincinv(flags, n + 1 - flags, [tail, 1 - tail]).tolist()
    return low, high


def flagged_ranks(n: int, alpha: float) -> int:
    """Return the largest whole l with l / (n + 1) <= alpha, exactly as a guard compares them."""
    ranks = math.floor(alpha * (n + 1))
    if (ranks + 1) / (n + 1) <= alpha:  # 0.29 * 100 is 28.999999999999996
        return ranks + 1
    return ranks if ranks / (n + 1) <= alpha else ranks - 1


def conformal_threshold(calibration: NDArray[np.float64], alpha: float) -> float:
    """Return the score from which on an image is flagged; infinity where nothing ever is.

    Args:
        calibration: Scores of calibration images, sorted.
        alpha: Share of images like them that may be flagged.
    """
    flagged = flagged_ranks(len(calibration), alpha)
    if flagged == 0:
        return math.inf
    return float(np.nextafter(calibration[len(calibration) - flagged], np.inf))


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
    defined = ~np.isnan(flat).all(axis=0)
    ends = np.full((2, flat.shape[1]), np.nan)
    ends[:, defined] = np.nanquantile(flat[:, defined], [tail, 1 - tail], axis=0)
    low, high = ends.reshape(2, *draws.shape[1:])
    return low, high


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"A level must lie between 0 and 1, such as 0.95, but is {level}.")
    return level
