"""Random directions in the space of images: what a step of a length does, and where they cross."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diagnostics.methods.context import ReportProgress
from diagnostics.methods.perturbation._label_change import LabelChange, batch_sizes
from diagnostics.metrics.intervals import wilson
from diagnostics.schema.results.perturbation import RandomDirections, Rays

POINTS, BISECTIONS = 20, 12
# Standard deviations of a pixel's change at the end of a ray: most are black or white.
MAX_DEVIATION = 4.0
MIN_STEP = 1e-3  # of the whole ray, where its scan begins when nothing shorter is known
HALVINGS, DOUBLINGS = 40, 30
Z_95 = 1.96


@dataclass(frozen=True)
class Crossing:
    """Where a ray first changes the answer.

    Args:
        length: L2 length of the change, cut off at 0 and 1.
        before_clipping: Without cutting off.
    """

    length: float
    before_clipping: float


def random_directions(count: int, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return random directions, uniform on the sphere, shape (count, c, h, w), of length 1."""
    normal = torch.randn(count, *pixels.shape[1:], generator=generator)
    lengths = torch.linalg.vector_norm(normal, dim=(1, 2, 3), keepdim=True)
    directions: Tensor = (normal / lengths).to(pixels.device)
    return directions


def step_along(pixels: Tensor, directions: Tensor, steps: Tensor) -> Tensor:
    """Return an image moved by steps along directions, cut off at 0 and 1.

    Args:
        pixels: Shape (1, c, h, w).
        directions: Shape (n, c, h, w).
        steps: Shape (n,).
    """
    return (pixels + directions * steps[:, None, None, None].to(directions)).clamp(0, 1)


def l2_distance(pixels: Tensor, changed: Tensor) -> Tensor:
    """Return the L2 distance of changed images from an image, shape (n,), float64."""
    distances: Tensor = torch.linalg.vector_norm(changed - pixels, dim=(1, 2, 3))
    return distances.double()


def at_distance(pixels: Tensor, directions: Tensor, distance: float) -> Tensor:
    """Return an image moved along directions so far that, cut off at 0 and 1, it is that far away.

    Directions on which the box ends before lead to its end.

    Source:
        Rauber & Bethge 2020, arXiv:2007.07677 (why noise is rescaled after it is cut off).
    """
    far = torch.full((len(directions),), distance, dtype=torch.float64, device=directions.device)
    for _ in range(DOUBLINGS):
        short = l2_distance(pixels, step_along(pixels, directions, far)) < distance
        if not short.any():
            break
        far = torch.where(short, 2 * far, far)
    near = torch.zeros_like(far)
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        short = l2_distance(pixels, step_along(pixels, directions, middle)) < distance
        near, far = torch.where(short, middle, near), torch.where(short, far, middle)
    return step_along(pixels, directions, far)


def try_directions(
    label_change: LabelChange,
    length: float,
    draws: int,
    generator: torch.Generator,
    batch_size: int,
) -> RandomDirections:
    """Return how many random changes of a length change the answer.

    Args:
        label_change: Asks about one image.
        length: L2 length of the changes, after they were cut off at 0 and 1.
        draws: How many.
        generator: Draws them.
        batch_size: How many are made at once.
    """
    pixels, not_finite_before = label_change.pixels, label_change.not_finite
    hits, lengths = 0, []
    for size in batch_sizes(draws, batch_size):
        changed = at_distance(pixels, random_directions(size, pixels, generator), length)
        hits += int(label_change.changes(changed).sum())
        lengths += l2_distance(pixels, changed).tolist()
    not_finite = label_change.not_finite - not_finite_before
    n = draws - not_finite
    return RandomDirections(
        hits=hits,
        n=n,
        interval=wilson(hits, n),
        length=length,
        mean_length=sum(lengths) / draws,
        not_finite=not_finite,
    )


def follow_rays(
    label_change: LabelChange,
    count: int,
    shortest: float,
    generator: torch.Generator,
    batch_size: int,
    report: ReportProgress = lambda doing, share: None,
) -> Iterator[Rays]:
    """Find how far along random lines, either way, the answer first changes.

    Every line is looked at in `POINTS` steps, each longer than the one before by the same factor,
    and where the answer changed first, `BISECTIONS` times halfway between.

    Args:
        label_change: Asks about one image.
        count: How many lines.
        shortest: L2 length of the first step; 0 takes a small one.
        generator: Draws the lines.
        batch_size: How many images are made at once.
        report: Takes the share of the lines that is done.

    Yields:
        After each batch of lines what is known so far.
    """
    pixels = label_change.pixels
    crossings: list[Crossing | None] = []
    ends: list[float] = []
    last = MAX_DEVIATION * math.sqrt(pixels.numel())
    first = min(shortest or MIN_STEP * last, last / 10)
    steps = torch.logspace(math.log10(first), math.log10(last), POINTS, dtype=torch.float64)
    for size in batch_sizes(count, max(batch_size // 2, 1)):
        report("Following random rays", len(crossings) / count)
        directions = random_directions(size, pixels, generator)
        crossings += _first_crossings(label_change, directions, steps.to(pixels.device))
        end = step_along(pixels, directions, torch.full((size,), last))
        ends += l2_distance(pixels, end).tolist()
        yield summarise(crossings, ends)


def summarise(crossings: Sequence[Crossing | None], ends: Sequence[float]) -> Rays:
    """Return how far rays go before the answer changes.

    Args:
        crossings: For each ray, where it crossed; None for one that never crossed.
        ends: How far each ray was followed, as L2 length after it was cut off.
    """
    n = len(crossings)
    lengths = sorted(crossing.length for crossing in crossings if crossing)
    half = Z_95 / 2 * math.sqrt(n)

    def ranked(rank: int) -> float | None:
        return lengths[rank] if 0 <= rank < len(lengths) else None

    return Rays(
        n=n,
        crossings=len(lengths),
        points=POINTS,
        bisections=BISECTIONS,
        radii=[crossing.length if crossing else None for crossing in crossings],
        before_clipping=[crossing.before_clipping if crossing else None for crossing in crossings],
        median=ranked((n + 1) // 2 - 1),
        low=ranked(max(math.floor(n / 2 - half) - 1, 0)),
        high=ranked(min(math.ceil(n / 2 + half), n - 1)),
        median_end=sorted(ends)[(n - 1) // 2],
    )


def _first_crossings(
    label_change: LabelChange, directions: Tensor, steps: Tensor
) -> list[Crossing | None]:
    pixels, count = label_change.pixels, len(directions)
    near = torch.zeros(count, dtype=torch.float64, device=pixels.device)
    far = torch.full_like(near, torch.inf)
    sign = torch.ones_like(near, dtype=directions.dtype)
    for index, step in enumerate(steps):
        open_rays = far.isinf().nonzero()[:, 0]
        if not len(open_rays):
            break
        both = torch.cat([directions[open_rays], -directions[open_rays]])
        changes = label_change.changes(step_along(pixels, both, step.expand(len(both))))
        plus, minus = changes.chunk(2)
        crossed = open_rays[plus | minus]
        far[crossed] = step
        near[crossed] = steps[index - 1] if index else 0.0
        sign[open_rays[minus & ~plus]] = -1
    rows = far.isfinite().nonzero()[:, 0]
    crossings: list[Crossing | None] = [None] * count
    if not len(rows):
        return crossings
    outwards, near, far = directions[rows] * sign[rows, None, None, None], near[rows], far[rows]
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        changes = label_change.changes(step_along(pixels, outwards, middle))
        near, far = torch.where(changes, near, middle), torch.where(changes, middle, far)
    lengths = l2_distance(pixels, step_along(pixels, outwards, far)).tolist()
    for row, length, step in zip(rows.tolist(), lengths, far.tolist(), strict=True):
        crossings[row] = Crossing(length, step)
    return crossings
