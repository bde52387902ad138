"""Random directions in the space of images: what a step of a length does, and where they cross."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from diagnostics.methods.context import ReportProgress
from diagnostics.methods.perturbation._label_change import Asks, Flips
from diagnostics.metrics.intervals import wilson

POINTS, BISECTIONS = 20, 12
FARTHEST = (
    4.0  # standard deviations of a pixel's change at the end of a ray: most are black or white
)
NEAREST = 1e-3  # of that, where a ray's scan begins when nothing shorter is known
HALVINGS, DOUBLINGS = 40, 30
Z_95 = 1.96


def directions(count: int, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return random directions, uniform on the sphere, shape (count, c, h, w), of length 1."""
    drawn = torch.randn(count, *pixels.shape[1:], generator=generator)
    lengths = torch.linalg.vector_norm(drawn, dim=(1, 2, 3), keepdim=True)
    ways: Tensor = (drawn / lengths).to(pixels.device)
    return ways


def moved(pixels: Tensor, ways: Tensor, steps: Tensor) -> Tensor:
    """Return an image moved by steps along directions, cut off at 0 and 1.

    Args:
        pixels: Shape (1, c, h, w).
        ways: Shape (n, c, h, w).
        steps: Shape (n,).
    """
    return (pixels + ways * steps[:, None, None, None].to(ways)).clamp(0, 1)


def length(pixels: Tensor, changed: Tensor) -> Tensor:
    """Return the L2 distance of changed images from an image, shape (n,), float64."""
    lengths: Tensor = torch.linalg.vector_norm(changed - pixels, dim=(1, 2, 3))
    return lengths.double()


def of_length(pixels: Tensor, ways: Tensor, wanted: float) -> Tensor:
    """Return an image moved along directions so far that, cut off at 0 and 1, it is that far away.

    Directions on which the box ends before lead to its end.

    Source:
        Rauber & Bethge 2020, arXiv:2007.07677 (why noise is rescaled after it is cut off).
    """
    far = torch.full((len(ways),), wanted, dtype=torch.float64, device=ways.device)
    for _ in range(DOUBLINGS):
        short = length(pixels, moved(pixels, ways, far)) < wanted
        if not short.any():
            break
        far = torch.where(short, 2 * far, far)
    near = torch.zeros_like(far)
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        short = length(pixels, moved(pixels, ways, middle)) < wanted
        near, far = torch.where(short, middle, near), torch.where(short, far, middle)
    return moved(pixels, ways, far)


def flipped_at(
    flips: Flips, wanted: float, draws: int, generator: torch.Generator, at_once: int
) -> dict[str, Any]:
    """Return how many random changes of a length change the answer, as JSON.

    Args:
        flips: Asks about one image.
        wanted: L2 length of the changes, after they were cut off at 0 and 1.
        draws: How many.
        generator: Draws them.
        at_once: Images of a pass.
    """
    before, hits, reached = flips.not_finite, 0, []
    for count in parts(draws, at_once):
        changed = of_length(flips.pixels, directions(count, flips.pixels, generator), wanted)
        hits += int(flips.ask(changed).sum())
        reached += length(flips.pixels, changed).tolist()
    lost = flips.not_finite - before
    low, high = wilson(hits, draws - lost)
    return {
        **{"length": wanted, "reached": sum(reached) / draws, "n": draws - lost, "hits": hits},
        **{"low": low, "high": high, "not_finite": lost},
    }


def rays(
    flips: Flips,
    count: int,
    shortest: float,
    generator: torch.Generator,
    at_once: int,
    *,
    asks: Asks,
    tell: ReportProgress = lambda doing, done: None,
) -> Iterator[dict[str, Any]]:
    """Find how far along random lines, either way, the answer first changes.

    Every line is looked at in `POINTS` steps, each longer than the one before by the same factor,
    and where the answer changed first, `BISECTIONS` times halfway between.

    Args:
        flips: Asks about one image, in float32.
        count: How many lines.
        shortest: L2 length of the first step; 0 takes a small one.
        generator: Draws the lines.
        at_once: Images of a pass.
        asks: Asks along the steps; what it finds is asked again in float32.
        tell: Told how far it is.

    Yields:
        After each pass's lines what is known so far, as JSON, see `summary`.
    """
    pixels, found, ends = flips.pixels, [], []
    last = FARTHEST * math.sqrt(pixels.numel())
    first = min(shortest or NEAREST * last, last / 10)
    steps = torch.logspace(math.log10(first), math.log10(last), POINTS, dtype=torch.float64)
    done = 0
    for size in parts(count, max(at_once // 2, 1)):
        ways = directions(size, pixels, generator)
        tell("Following random rays", done / count)
        found += _first_crossings(flips, asks, ways, steps.to(pixels.device))
        farthest = torch.full((size,), last)
        ends += length(pixels, moved(pixels, ways, farthest)).tolist()
        done += size
        yield summary(found, ends)


def summary(found: list[tuple[float, float] | None], ends: list[float]) -> dict[str, Any]:
    """Return what rays found, as JSON.

    Args:
        found: For each ray, where it crossed: its L2 length after it was cut off at 0 and 1, and
            before; None for one that never crossed.
        ends: How far each ray was followed, as L2 length after it was cut off.

    Returns:
        The "median" counts rays that never crossed as longer than all others: None when more than
        half never did. "low" and "high" are the ends of its 95 % interval, None beyond the box.
    """
    n = len(found)
    lengths = sorted(one[0] for one in found if one)
    half = Z_95 / 2 * math.sqrt(n)

    def ranked(rank: int) -> float | None:
        return lengths[rank] if 0 <= rank < len(lengths) else None

    return {
        **{"n": n, "crossed": len(lengths), "points": POINTS, "bisections": BISECTIONS},
        "radii": [one[0] if one else None for one in found],
        "before_clipping": [one[1] if one else None for one in found],
        "median": ranked((n + 1) // 2 - 1),
        "low": ranked(max(math.floor(n / 2 - half) - 1, 0)),
        "high": ranked(min(math.ceil(n / 2 + half), n - 1)),
        "followed_to": sorted(ends)[(n - 1) // 2],
    }


def parts(count: int, most: int) -> Iterator[int]:
    """Yield the sizes of the parts of so many things, each at most so large."""
    for start in range(0, count, most):
        yield min(most, count - start)


def _first_crossings(
    flips: Flips, asks: Asks, ways: Tensor, steps: Tensor
) -> list[tuple[float, float] | None]:
    pixels, size = flips.pixels, len(ways)
    near = torch.zeros(size, dtype=torch.float64, device=pixels.device)
    far = torch.full_like(near, torch.inf)
    sign = torch.ones_like(near, dtype=ways.dtype)
    for place, step in enumerate(steps):
        open_rays = far.isinf().nonzero()[:, 0]
        if not len(open_rays):
            break
        both = torch.cat([ways[open_rays], -ways[open_rays]])
        changed = asks.ask(moved(pixels, both, step.expand(len(both))))
        plus, minus = changed.chunk(2)
        crossed = open_rays[plus | minus]
        far[crossed] = step
        near[crossed] = steps[place - 1] if place else 0.0
        sign[open_rays[minus & ~plus]] = -1
    found = far.isfinite().nonzero()[:, 0]
    if not len(found):
        return [None] * size
    along, near, far = ways[found] * sign[found, None, None, None], near[found], far[found]
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        changed = flips.ask(moved(pixels, along, middle))
        near, far = torch.where(changed, near, middle), torch.where(changed, middle, far)
    lengths = length(pixels, moved(pixels, along, far)).tolist()
    crossings = dict(zip(found.tolist(), zip(lengths, far.tolist(), strict=True), strict=True))
    return [crossings.get(one) for one in range(size)]
