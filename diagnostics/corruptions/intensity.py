"""Corruptions that leave every pixel in its place: contrast, value range, colour, noise.

With the same random draws a larger number changes the image further, so that a curve over the
number is smooth.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from diagnostics.corruptions.registry import corruption
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Values

HALF, BINS = 0.5, 256


@corruption(
    "Contrast",
    "The logistic curve of this slope, rescaled so that 0 stays 0 and 1 stays 1: greys become "
    "black or white, and the value range stays the model's.",
    unit="slope",
    phrase="slope {}",
    limits=(0, 10_000),
    default_range=(0, 50),
    identity=0,
)
def contrast(values: Values, slope: float, _random: Generator) -> Values:
    """Apply the logistic curve of this slope at 0.5, rescaled so that 0 stays 0 and 1 stays 1."""
    return stages.contrast(values, slope, True)


@corruption(
    "Value range",
    "Every value is multiplied and the model gets it unclipped, as when values are divided by "
    "255 once too often. Shapes and edges stay; the pictures shown are clipped to 0 to 1.",
    unit="× the values",
    phrase="{} × the values",
    limits=(1e-4, 1e4),
    default_range=(1 / 255, 255),
    identity=1,
    geometric=True,
    out_of_range=True,
)
def value_range(values: Values, factor: float, _random: Generator) -> Values:
    """Multiply every value, and clip nothing: what a wrong value range feeds the network."""
    return (values.astype(np.float64) * factor).astype(np.float32)


@corruption(
    "Hard threshold",
    "Every value above the level becomes 1 and every other 0.",
    unit="level",
    phrase="level {}",
    limits=(0, 1),
    default_range=(0.05, 0.95),
    identity=None,
)
def threshold(values: Values, level: float, _random: Generator) -> Values:
    """Make every value above the level 1 and every other 0."""
    return (values > level).astype(np.float32)


@corruption(
    "Fading",
    "Each value's distance from its channel's mean is multiplied: 0 leaves an even grey.",
    unit="× contrast",
    phrase="{} × the contrast",
    limits=(0, 8),
    default_range=(1, 0),
    identity=1,
)
def faded(values: Values, factor: float, _random: Generator) -> Values:
    """Multiply each value's distance from its channel's mean; clipped to [0, 1]."""
    exact = values.astype(np.float64)
    mean = exact.mean((0, 1), keepdims=True)
    return _clipped((exact - mean) * factor + mean)


@corruption(
    "Negative",
    "The image mixed with its negative: 0.5 is an even grey, 1 the negative alone.",
    unit="share",
    phrase="share {}",
    limits=(0, 1),
    default_range=(0, 1),
    identity=0,
)
def inverted(values: Values, share: float, _random: Generator) -> Values:
    """Mix the image with its negative: 0 is the image, 0.5 an even grey, 1 the negative."""
    exact = values.astype(np.float64)
    return _clipped((1 - share) * exact + share * (1 - exact))


@corruption(
    "Brightness",
    "The number is added to each pixel's brightest channel, hue and saturation kept.",
    unit="added",
    phrase="{} added",
    limits=(-1, 1),
    default_range=(-0.5, 0.5),
    identity=0,
)
def brightness(values: Values, added: float, _random: Generator) -> Values:
    """Add to the brightest channel of every pixel, hue and saturation kept; clipped to [0, 1].

    On a grey image this adds the number to every value.
    """
    exact = values.astype(np.float64)
    before = exact.max(2, keepdims=True)
    after = np.clip(before + added, 0, 1)
    ratio = np.divide(exact, before, out=np.ones_like(exact), where=before > 0)
    return _clipped(ratio * after)


@corruption(
    "Colour",
    "Each colour's distance from its grey is multiplied: 0 leaves greys.",
    unit="× saturation",
    phrase="{} × the saturation",
    limits=(0, 10),
    default_range=(0, 2),
    identity=1,
    colour_only=True,
)
def saturation(values: Values, factor: float, _random: Generator) -> Values:
    """Multiply each colour's distance from its grey; clipped to [0, 1]."""
    if values.shape[2] == 1:
        return values
    exact = values.astype(np.float64)
    grey = exact @ stages.LUMA.astype(np.float64)[:, None]
    return _clipped(grey + (exact - grey) * factor)


@corruption(
    "Gaussian noise",
    "Normal noise is added to every value; the draw is the same at every step.",
    unit="standard deviation",
    phrase="standard deviation {}",
    limits=(0, 2),
    default_range=(0, 0.5),
    identity=0,
)
def gaussian_noise(values: Values, sigma: float, random: Generator) -> Values:
    """Add normal noise of this standard deviation to every value; clipped to [0, 1]."""
    return _clipped(values + sigma * random.standard_normal(values.shape))


@corruption(
    "Uniform noise",
    "Even noise is added to every value; the draw is the same at every step.",
    unit="largest change",
    phrase="a reach of {}",
    limits=(0, 2),
    default_range=(0, 0.8),
    identity=0,
)
def uniform_noise(values: Values, reach: float, random: Generator) -> Values:
    """Add noise that is even between -reach and reach to every value; clipped to [0, 1]."""
    return _clipped(values + reach * random.uniform(-1, 1, values.shape))


@corruption(
    "Impulse noise",
    "This share of the values turns black or white; those struck stay struck as it grows.",
    unit="share of values",
    phrase="share {}",
    limits=(0, 1),
    default_range=(0, 0.5),
    identity=0,
)
def impulse_noise(values: Values, share: float, random: Generator) -> Values:
    """Turn this share of all values black or white, either with the same chance."""
    struck = random.random(values.shape) < share
    white = random.random(values.shape) < HALF
    return np.where(struck, white, values).astype(np.float32)


@corruption(
    "Speckle noise",
    "Normal noise in proportion to the value is added; the draw is the same at every step.",
    unit="standard deviation",
    phrase="standard deviation {}",
    limits=(0, 2),
    default_range=(0, 1),
    identity=0,
)
def speckle_noise(values: Values, sigma: float, random: Generator) -> Values:
    """Add to every value normal noise in proportion to the value; clipped to [0, 1]."""
    return _clipped(values * (1 + sigma * random.standard_normal(values.shape)))


@corruption(
    "Shot noise",
    "Photons are counted, on average so many where the image is white; fewer are noisier.",
    unit="photons at white",
    phrase="{} photons",
    limits=(1, 1000),
    default_range=(250, 1),
    identity=None,
    geometric=True,
)
def shot_noise(values: Values, photons: float, random: Generator) -> Values:
    """Count photons: a Poisson number with the mean value × photons, divided by photons.

    The counts are quantiles of one uniform draw for each value, so they move together as the
    number of photons changes. Clipped to [0, 1].
    """
    from scipy.stats import poisson

    mean = values.astype(np.float64) * photons
    counts = poisson.ppf(random.random(values.shape), mean)
    return _clipped(counts / photons)


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
    sums = np.cumsum(counts * np.arange(BINS))
    both = (below > 0) & (above > 0)
    low = sums[:-1] / np.maximum(below, 1)
    high = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between_variance = np.where(both, below * above * (high - low) ** 2, -1)
    best = np.flatnonzero(between_variance >= between_variance.max() * (1 - 1e-12))
    return float(best.mean() + HALF) / (BINS - 1)


def _clipped(values: NDArray[np.float64]) -> Values:
    return values.clip(0, 1).astype(np.float32)
