"""Answers about random perturbations of an image, and about its single pixels.

Lengths and distances are L2, of pixels in [0, 1], after cutting off at 0 and 1. An image that could
not be asked about has an `error`, and nothing else is known of it. `forward_passes` is how many
images its answer took.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from diagnostics.schema.results import Count, Interval


class RandomDirections(Count):
    """Random perturbations of one length; `hits` change the answer.

    `length` is what was wanted, `mean_length` is shorter where the box ends before.
    """

    length: float
    mean_length: float
    not_finite: int


class Rays(TypedDict):
    """How far along `n` random lines, either way, the answer first changes.

    `radii` has a length for each ray, None for one that never crosses; `before_clipping` likewise
    without cutting off. `median` counts rays that never cross as longest: None when more than
    half never did; `low` and `high` are its 95 % interval, None beyond the box. `median_end` is
    the median length at which rays end.
    """

    n: int
    crossings: int
    points: int
    bisections: int
    radii: list[float | None]
    before_clipping: list[float | None]
    median: float | None
    low: float | None
    high: float | None
    median_end: float


class GaussianNoise(Count):
    """Gaussian noise; `hits` change the answer.

    `effective` is the mean length, `nominal` sigma times the root of the number of values.
    `distance` is where a flat boundary would lie, `nearest` and `farthest` its 95 % interval; they
    are None where `reason` says so: "never" (no noise changed the answer) or "share" (no sigma was
    met at which 1 % to 20 % of it do).
    """

    sigma: float
    not_finite: int
    effective: float
    nominal: float
    distance: float | None
    nearest: float | None
    farthest: float | None
    reason: Literal["", "never", "share"]


class RandomNoiseImage(TypedDict):
    """What random perturbations of one image do; parts are None until they are there.

    `name` is the predicted class's, or "not" and it. `values` is how many numbers the image has.
    `flat_log10` is log10 of the share of `directions` that would change the answer if the boundary
    were flat; both are None without a minimal perturbation. `rho` is the median ray by the length
    of the minimal perturbation and the root of `values`; where there is no median, `rho_at_least`
    is that of `median_end`.
    """

    file: str
    sha256: str
    error: str | None
    predicted: int | None
    name: str
    values: int
    directions: RandomDirections | None
    flat_log10: float | None
    rays: Rays | None
    rho: float | None
    rho_at_least: float | None
    gaussian: GaussianNoise | None
    forward_passes: int


class RandomNoiseAnswer(TypedDict):
    """Answer of `perturbation/random_noise`; `length` 0 means that no minimal one is known."""

    images: list[RandomNoiseImage]
    length: float
    target: int | None
    complete: bool
    notes: list[str]


class SinglePixels(TypedDict):
    """What levels of single pixels do, of `n` of the image's `pixels`; all of them if `exact`.

    `mean` and `max` are shares of the `levels` that change the answer, `interval` the mean's where
    pixels were drawn. `effective` pixels have any such level, `certain` ones no other.
    `log10_stable` is log10 of the product of 1 - share over all pixels, None for minus infinity.
    `max_margin_loss` is the largest share of the image's margin that one pixel takes.
    """

    pixels: int
    n: int
    levels: int
    exact: bool
    channels: int
    mean: float
    interval: Interval | None
    max: float
    effective: int
    certain: int
    log10_stable: float | None
    max_margin_loss: float | None


class Redraw(Count):
    """So many `pixels` at random levels together; `hits` keep the answer.

    `expected` is the share that would if each pixel acted alone: the mean over the same draws of
    the product of 1 - share.
    """

    pixels: int
    expected: float
    not_finite: int


class OnePixelImage(TypedDict):
    """What single pixels of one image do; None, and no redraws, until they are there."""

    file: str
    sha256: str
    error: str | None
    predicted: int | None
    name: str
    single: SinglePixels | None
    redraws: list[Redraw]
    forward_passes: int


class OnePixelAnswer(TypedDict):
    """Answer of `perturbation/one_pixel`."""

    images: list[OnePixelImage]
    target: int | None
    complete: bool
    notes: list[str]
