"""What do random changes of an image do to its answer?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from statistics import NormalDist
from typing import Annotated

import torch

from diagnostics.methods.context import Context, Outcome, ReportProgress
from diagnostics.methods.perturbation._label_change import LabelChange, batch_sizes, images
from diagnostics.methods.perturbation._rays import (
    follow_rays,
    l2_distance,
    step_along,
    try_directions,
)
from diagnostics.methods.registry import method
from diagnostics.metrics.intervals import wilson
from diagnostics.models.features import batch_size
from diagnostics.schema.options import Range
from diagnostics.schema.results import Count
from diagnostics.schema.results.perturbation import (
    GaussianNoise,
    RandomNoiseAnswer,
    RandomNoiseImage,
)

MIN_RATE, MAX_RATE = 0.01, 0.20  # of changed answers, between which noise tells a distance
MIN_PROBED_RATE, MAX_PROBED_RATE = 0.03, 0.15
PROBE_DRAWS, MAX_PROBES = 64, 9  # of one sigma, and how many sigmas are probed
MIN_SIGMA, MAX_SIGMA = 1e-3, 2.0
STREAMS = 4  # of random numbers that a seed stands for, one for each kind of change
DIRECTIONS, RAYS, NOISE = 0, 1, 3


@method(
    "Random changes",
    source="Fawzi et al. 2016, arXiv:1608.08967; Ford et al. 2019, arXiv:1901.10513",
)
def random_noise(
    context: Context,
    *,
    length: Annotated[float, Range(0, 10_000)] = 0.0,
    rays: Annotated[int, Range(4, 8192, "rays")] = 24,
    draws: Annotated[int, Range(32, 131_072, "draws")] = 256,
) -> Outcome[RandomNoiseAnswer]:
    """How far random noise must go before it changes the answer, beside the smallest change.

    Args:
        context: Gives the images in hand, and the class that counts as changed; without one, every
            other class does.
        length: L2 length of the smallest change that is known, in units of the value range; 0 when
            none is.
        rays: How many random lines through each image are followed, both ways.
        draws: How many random changes of that length, and how much Gaussian noise.

    Returns:
        For each image what random perturbations do to its answer.
    """
    finished: list[RandomNoiseImage] = []

    def outcome(*unfinished: RandomNoiseImage, complete: bool) -> Outcome[RandomNoiseAnswer]:
        answer = RandomNoiseAnswer(
            images=[*finished, *unfinished],
            length=length,
            target=context.target,
            complete=complete,
            notes=context.remarks(),
        )
        return Outcome(answer)

    for file, pixels, report in images(context):
        image = RandomNoiseImage(
            file=file.name,
            sha256=file.sha256,
            error=None if pixels is not None else f"{file.name} could not be read.",
            predicted=None,
            name="",
            values=0 if pixels is None else pixels.numel(),
            directions=None,
            flat_log10=None,
            rays=None,
            rho=None,
            rho_at_least=None,
            gaussian=None,
            forward_passes=0,
        )
        if pixels is not None:
            label_change = LabelChange(context.classifier, pixels, context.target)
            for _ in _measure(context, label_change, image, length, rays, draws, report):
                image["forward_passes"] = label_change.forward_passes
                context.partial(partial(outcome, image.copy(), complete=False))
        finished.append(image)
    return outcome(complete=True)


def _measure(
    context: Context,
    label_change: LabelChange,
    image: RandomNoiseImage,
    length: float,
    rays: int,
    draws: int,
    report: ReportProgress,
) -> Iterator[None]:
    """Fill an image's entry, and yield after each part of it."""
    image["predicted"], image["name"] = label_change.predicted, label_change.name
    image["error"] = label_change.error
    if image["error"]:
        yield
        return
    size, root = batch_size(context.classifier), math.sqrt(image["values"])

    def generator(stream: int) -> torch.Generator:
        return torch.Generator().manual_seed(context.seed * STREAMS + stream)

    if length:
        report("Trying random changes of the smallest change's length", 0.0)
        image["flat_log10"] = log10_normal_cdf(-root)
        image["directions"] = try_directions(
            label_change, length, draws, generator(DIRECTIONS), size
        )
        yield

    def report_rays(doing: str, share: float) -> None:
        report(doing, 0.1 + 0.5 * share)

    for summary in follow_rays(label_change, rays, length, generator(RAYS), size, report_rays):
        image["rays"] = summary
        median, median_end = summary["median"], summary["median_end"]
        yield
    if length and median is None:
        image["rho_at_least"] = median_end / (root * length)
    elif length and median is not None:
        image["rho"] = median / (root * length)

    def report_noise(share: float) -> None:
        report("Looking for noise that changes the answer", 0.6 + 0.4 * share)

    seed = context.seed * STREAMS + NOISE
    image["gaussian"] = gaussian_noise(label_change, draws, seed, size, report_noise)
    yield


def gaussian_noise(
    label_change: LabelChange,
    draws: int,
    seed: int,
    batch_size: int,
    report: Callable[[float], None],
) -> GaussianNoise:
    """Return what share of Gaussian noise changes the answer, and the distance that follows.

    The standard deviation is looked for at which 1 % to 20 % of the noise changes the answer. For
    a flat boundary at distance d that share is Phi(-d / sigma).

    Args:
        label_change: Asks about one image.
        draws: How much noise of the deviation that was found.
        seed: Seed of the noise; it is the same at every deviation but for its size.
        batch_size: How many images are made at once.
        report: Takes the share that is done.

    Source:
        Ford, Gilmer et al. 2019, arXiv:1901.10513.
    """

    def noise(sigma: float, count: int) -> GaussianNoise:
        generator = torch.Generator().manual_seed(seed)
        return _try_sigma(label_change, sigma, count, generator, batch_size)

    if _rate(noise(MAX_SIGMA, PROBE_DRAWS)) < MIN_PROBED_RATE:
        return noise(MAX_SIGMA, draws)
    low, high = math.log(MIN_SIGMA), math.log(MAX_SIGMA)
    for probe in range(MAX_PROBES):
        report(probe / (MAX_PROBES + 2))
        middle = (low + high) / 2
        rate = _rate(noise(math.exp(middle), PROBE_DRAWS))
        if MIN_PROBED_RATE <= rate <= MAX_PROBED_RATE:
            break
        low, high = (low, middle) if rate > MAX_PROBED_RATE else (middle, high)
    report(MAX_PROBES / (MAX_PROBES + 2))
    return noise(math.exp(middle), draws)


def log10_normal_cdf(z: float) -> float:
    """Return log10 of Phi(z), also where Phi(z) is too small for a float."""
    return float(torch.special.log_ndtr(torch.tensor(z, dtype=torch.float64))) / math.log(10)


def _try_sigma(
    label_change: LabelChange,
    sigma: float,
    draws: int,
    generator: torch.Generator,
    batch_size: int,
) -> GaussianNoise:
    pixels, not_finite_before = label_change.pixels, label_change.not_finite
    hits, total_length = 0, 0.0
    for size in batch_sizes(draws, batch_size):
        noise = torch.randn(size, *pixels.shape[1:], generator=generator)
        sigmas = torch.full((size,), sigma, dtype=torch.float64)
        changed = step_along(pixels, noise.to(pixels.device), sigmas)
        hits += int(label_change.changes(changed).sum())
        total_length += float(l2_distance(pixels, changed).sum())
    not_finite = label_change.not_finite - not_finite_before
    n = draws - not_finite
    answer = GaussianNoise(
        hits=hits,
        n=n,
        interval=wilson(hits, n),
        sigma=sigma,
        not_finite=not_finite,
        effective=total_length / draws,
        nominal=sigma * math.sqrt(pixels.numel()),
        distance=None,
        nearest=None,
        farthest=None,
        reason="",
    )
    _add_distance(answer)
    return answer


def _add_distance(noise: GaussianNoise) -> None:
    """Add how far away a flat boundary is that so much noise crosses, or why nobody can say."""
    if not noise["hits"]:
        noise["reason"] = "never"
    elif not MIN_RATE <= _rate(noise) <= MAX_RATE:
        noise["reason"] = "share"
    else:
        low, high = noise["interval"]
        noise["distance"] = _flat_distance(noise["sigma"], _rate(noise))
        noise["nearest"] = _flat_distance(noise["sigma"], high)
        noise["farthest"] = _flat_distance(noise["sigma"], low)


def _flat_distance(sigma: float, rate: float) -> float:
    return -sigma * NormalDist().inv_cdf(rate)


def _rate(count: Count) -> float:
    return count["hits"] / max(count["n"], 1)
