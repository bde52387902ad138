"""Random changes beside the smallest change: what a flat boundary would do, and what is seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import torch

from diagnostics.methods.context import Context, ReportProgress
from diagnostics.methods.perturbation import _rays as random_rays
from diagnostics.methods.perturbation._bfloat16 import Screen, pays
from diagnostics.methods.perturbation._label_change import Flips, why_not
from diagnostics.methods.perturbation._rays import length, moved, parts
from diagnostics.metrics.intervals import wilson
from diagnostics.models.features import batch_size

LEAST, MOST = 0.01, 0.20  # share of flips between which Gaussian noise tells a distance
PROBED_LEAST, PROBED_MOST = 0.03, 0.15
PROBE, SEARCHES = 64, 9  # draws of one try, and how often another sigma is tried
LEAST_SIGMA, MOST_SIGMA = 1e-3, 2.0
SAMPLE = 32  # changed images on which bfloat16 is compared with float32


class Beside:
    """Asks about random changes of one image, one kind after the other.

    Args:
        context: Gives classifier, target and seed.
        flips: Asks about the image.
        shortest: L2 length of the smallest change that is known; 0 where none is.
        rays: How many random lines.
        draws: How many random changes of a length, and how much Gaussian noise.
        tell: Told how far it is.
    """

    def __init__(
        self,
        context: Context,
        flips: Flips,
        shortest: float,
        rays: int,
        draws: int,
        tell: ReportProgress,
    ) -> None:
        self._study, self._flips, self._tell = context, flips, tell
        self._shortest, self._rays, self._draws = shortest, rays, draws
        self._at_once = batch_size(context.classifier)

    def parts(self) -> Iterator[dict[str, Any]]:
        """Yield what is known so far, as JSON, with every part that is added.

        Yields:
            "values", how many numbers the image has; "directions", see `random_rays.flipped_at`,
            and "flat_log10", log10 of the share that would change the answer if the boundary were
            flat, both None without a smallest change; "rays", see `random_rays.summary`; "rho",
            their median by the smallest change and the root of "values", or "rho_at_least";
            "gaussian", see `gaussian`.
        """
        flips, values = self._flips, self._flips.pixels.numel()
        found: dict[str, Any] = {"values": values, "directions": None, "flat_log10": None}
        found |= {"rays": None, "rho": None, "rho_at_least": None, "gaussian": None}
        found |= {"screening": None, "error": why_not(flips) or None}
        if found["error"]:
            yield found
            return
        if self._shortest:
            self._tell("Trying random changes of the smallest change's length", 0.0)
            found["flat_log10"] = log10_share(-math.sqrt(values))
            found["directions"] = random_rays.flipped_at(
                flips, self._shortest, self._draws, self._generator(0), self._at_once
            )
            yield found
        for crossings in self._crossings(found):
            found["rays"] = crossings
            yield found
        found |= self._ratio(found["rays"], values)
        found["gaussian"] = gaussian(
            flips,
            self._draws,
            self._study.seed,
            self._at_once,
            lambda done: self._tell("Looking for noise that changes the answer", 0.6 + 0.4 * done),
        )
        yield found

    def _crossings(self, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Follow the rays; once more in float32 alone where bfloat16 was once wrong."""
        flips, screen = self._flips, self._screen()

        def tell(doing: str, done: float) -> None:
            self._tell(doing, 0.1 + 0.5 * done)

        def followed(asks: Flips | Screen) -> Iterator[dict[str, Any]]:
            return random_rays.rays(
                flips,
                self._rays,
                self._shortest,
                self._generator(1),
                self._at_once,
                asks=asks,
                tell=tell,
            )

        yield from followed(screen or flips)
        if screen is not None:
            found["screening"] = screen.said()
            if not screen.holds:
                yield from followed(flips)

    def _screen(self) -> Screen | None:
        if not pays(self._study.classifier):
            return None
        pixels, generator = self._flips.pixels, self._generator(2)
        ways = random_rays.directions(SAMPLE, pixels, generator)
        last = random_rays.FARTHEST * math.sqrt(pixels.numel())
        near = math.log10(random_rays.NEAREST * last)
        steps = torch.logspace(near, math.log10(last), SAMPLE, dtype=torch.float64)
        return Screen(self._flips, moved(pixels, ways, steps), self._study.seed)

    def _ratio(self, rays: dict[str, Any], values: int) -> dict[str, float | None]:
        if not self._shortest:
            return {}
        unit = math.sqrt(values) * self._shortest
        if rays["median"] is None:
            return {"rho_at_least": rays["followed_to"] / unit}
        return {"rho": rays["median"] / unit}

    def _generator(self, place: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._study.seed * 4 + place)


def gaussian(
    flips: Flips, draws: int, seed: int, at_once: int, tell: Callable[[float], None]
) -> dict[str, Any]:
    """Return what share of Gaussian noise changes the answer, and the distance that follows.

    The standard deviation is looked for at which 1 % to 20 % of the noise changes the answer. For
    a flat boundary at distance d that share is Phi(-d / sigma).

    Args:
        flips: Asks about one image.
        draws: How much noise of the deviation that was found.
        seed: Seed of the noise; it is the same at every deviation but for its size.
        at_once: Images of a pass.
        tell: Told how far it is.

    Returns:
        "sigma", "n", "hits" with their interval, "not_finite"; "effective", the mean L2 length
        after cutting off at 0 and 1, and "nominal", sigma times the root of the values; "distance"
        with "nearest" and "farthest", the ends of its 95 % interval; they are None where "why" says
        so: "never" (no noise changed the answer) or "share" (1 % to 20 % was not met).

    Source:
        Ford, Gilmer et al. 2019, arXiv:1901.10513.
    """

    def tried(sigma: float, count: int) -> dict[str, Any]:
        generator, hits, lengths = torch.Generator().manual_seed(seed * 4 + 3), 0, 0.0
        before = flips.not_finite
        for size in parts(count, at_once):
            noise = torch.randn(size, *flips.pixels.shape[1:], generator=generator)
            steps = torch.full((size,), sigma, dtype=torch.float64)
            changed = moved(flips.pixels, noise.to(flips.pixels.device), steps)
            hits += int(flips.ask(changed).sum())
            lengths += float(length(flips.pixels, changed).sum())
        lost = flips.not_finite - before
        low, high = wilson(hits, count - lost)
        nominal = sigma * math.sqrt(flips.pixels.numel())
        return {
            **{"sigma": sigma, "n": count - lost, "hits": hits, "low": low, "high": high},
            **{"not_finite": lost, "effective": lengths / count, "nominal": nominal},
        }

    low, high = math.log(LEAST_SIGMA), math.log(MOST_SIGMA)
    one = tried(MOST_SIGMA, PROBE)
    if _share(one) < PROBED_LEAST:
        one = tried(MOST_SIGMA, draws)
        return {**one, **_distance(one)}
    for search in range(SEARCHES):
        tell(search / (SEARCHES + 2))
        sigma = math.exp((low + high) / 2)
        one = tried(sigma, PROBE)
        if PROBED_LEAST <= _share(one) <= PROBED_MOST:
            break
        low, high = (low, math.log(sigma)) if _share(one) > PROBED_MOST else (math.log(sigma), high)
    tell(SEARCHES / (SEARCHES + 2))
    one = tried(one["sigma"], draws)
    return {**one, **_distance(one)}


def log10_share(z: float) -> float:
    """Return log10 of Phi(z), also where Phi(z) is too small for a float."""
    return float(torch.special.log_ndtr(torch.tensor(z, dtype=torch.float64))) / math.log(10)


def _share(one: dict[str, Any]) -> float:
    return float(one["hits"] / max(one["n"], 1))


def _distance(one: dict[str, Any]) -> dict[str, Any]:
    """Return the distance of a flat boundary at which so much noise would lie beyond it."""
    nothing = {"distance": None, "nearest": None, "farthest": None}
    if not one["hits"]:
        return {**nothing, "why": "never"}
    if not LEAST <= _share(one) <= MOST:
        return {**nothing, "why": "share"}
    shares = {"distance": _share(one), "nearest": one["high"], "farthest": one["low"]}
    normal = NormalDist()
    return {
        **{name: -one["sigma"] * normal.inv_cdf(share) for name, share in shares.items()},
        "why": "",
    }
