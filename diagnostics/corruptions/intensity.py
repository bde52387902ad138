"""Alterations of an image that leave every pixel in its place: contrast, range, noise.

Each takes values of shape (h, w, c) in [0, 1], a number, and where its random draws come from, and
returns values of the same shape. With the same draws a larger number alters the image further, so
that a curve over the number is smooth.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Values

HALF, BINS = 0.5, 256


def contrast(values: Values, slope: float, _random: Generator) -> Values:
    """Apply the logistic curve of this slope at 0.5, rescaled so that 0 stays 0 and 1 stays 1."""
    return stages.contrast(values, slope, True)


def faded(values: Values, factor: float, _random: Generator) -> Values:
    """Multiply each value's distance from its channel's mean; clipped to [0, 1]."""
    wide = values.astype(np.float64)
    mean = wide.mean((0, 1), keepdims=True)
    return _clipped((wide - mean) * factor + mean)


def value_range(values: Values, factor: float, _random: Generator) -> Values:
    """Multiply every value, and clip nothing: what a wrong value range feeds the network."""
    return (values.astype(np.float64) * factor).astype(np.float32)


def inverted(values: Values, share: float, _random: Generator) -> Values:
    """Mix the image with its negative: 0 is the image, 0.5 an even grey, 1 the negative."""
    wide = values.astype(np.float64)
    return _clipped((1 - share) * wide + share * (1 - wide))


def threshold(values: Values, level: float, _random: Generator) -> Values:
    """Make every value above the level 1 and every other 0."""
    return (values > level).astype(np.float32)


def brightness(values: Values, added: float, _random: Generator) -> Values:
    """Add to the brightest channel of every pixel, hue and saturation kept; clipped to [0, 1].

    On a grey image this adds the number to every value.
    """
    wide = values.astype(np.float64)
    brightest = wide.max(2, keepdims=True)
    wanted = np.clip(brightest + added, 0, 1)
    ratio = np.divide(wide, brightest, out=np.ones_like(wide), where=brightest > 0)
    return _clipped(ratio * wanted)


def saturation(values: Values, factor: float, _random: Generator) -> Values:
    """Multiply each colour's distance from its own grey: 0 is grey, 1 the image."""
    if values.shape[2] == 1:
        return values
    wide = values.astype(np.float64)
    grey = wide @ stages.LUMA.astype(np.float64)[:, None]
    return _clipped(grey + (wide - grey) * factor)


def gaussian_noise(values: Values, sigma: float, random: Generator) -> Values:
    """Add normal noise of this standard deviation to every value; clipped to [0, 1]."""
    return _clipped(values + sigma * random.standard_normal(values.shape))


def uniform_noise(values: Values, reach: float, random: Generator) -> Values:
    """Add noise that is even between -reach and reach to every value; clipped to [0, 1]."""
    return _clipped(values + reach * random.uniform(-1, 1, values.shape))


def speckle_noise(values: Values, sigma: float, random: Generator) -> Values:
    """Add to every value normal noise in proportion to the value; clipped to [0, 1]."""
    return _clipped(values * (1 + sigma * random.standard_normal(values.shape)))


def impulse_noise(values: Values, share: float, random: Generator) -> Values:
    """Turn this share of all values black or white, either with the same chance."""
    struck = random.random(values.shape) < share
    white = random.random(values.shape) < HALF
    return np.where(struck, white, values).astype(np.float32)


def shot_noise(values: Values, photons: float, random: Generator) -> Values:
    """Count photons: a Poisson number with the mean value × photons, divided by photons.

    The counts are quantiles of one uniform draw for each value, so they move together as the
    number of photons changes. Clipped to [0, 1].
    """
    mean = values.astype(np.float64).ravel() * photons
    draws = random.random(mean.shape)
    return _clipped(_poisson(draws, mean).reshape(values.shape) / photons)


def otsu(values: Values) -> float:
    """Return the level that parts an image's values best into two groups; 0.5 where it is blank.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    levels = np.rint(np.clip(values, 0, 1) * (BINS - 1)).astype(int)
    counts = np.bincount(levels.ravel(), minlength=BINS).astype(np.float64)
    if (counts > 0).sum() < 2:
        return HALF
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    weighed = np.cumsum(counts * np.arange(BINS))
    both = (below > 0) & (above > 0)
    low = weighed[:-1] / np.maximum(below, 1)
    high = (weighed[-1] - weighed[:-1]) / np.maximum(above, 1)
    apart = np.where(both, below * above * (high - low) ** 2, -1)
    best = np.flatnonzero(apart >= apart.max() * (1 - 1e-12))
    return float(best.mean() + HALF) / (BINS - 1)


def _poisson(draws: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest count whose cumulated probability reaches each draw."""
    counts = np.zeros_like(mean)
    left = np.arange(len(mean))
    term = np.exp(-mean)
    reached, wanted, expected = term.copy(), draws, mean
    most = mean.max(initial=0) + 20 * np.sqrt(mean.max(initial=0) + 1) + 20
    for count in range(1, int(most) + 1):
        open_still = reached < wanted
        left, wanted, expected = left[open_still], wanted[open_still], expected[open_still]
        if not len(left):
            break
        term = term[open_still] * expected / count
        reached = reached[open_still] + term
        counts[left] = count
    return counts


def _clipped(values: NDArray[np.float64]) -> Values:
    return values.clip(0, 1).astype(np.float32)
