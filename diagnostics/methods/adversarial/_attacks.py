"""Ways to look for the smallest change of an image that changes the answer.

Each takes n images that are not there yet, and returns changed images in [0, 1] and which of them
are there; all images of a batch go together, each with a state of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from diagnostics.methods.adversarial._criterion import Goal, slack
from diagnostics.methods.adversarial._norms import Norm, dual, fitted, least, size, spread, steepest

Tell: TypeAlias = Callable[[float], None]
Tried: TypeAlias = tuple[Tensor, Tensor]

SHRINK = 0.05  # by which the radius of a walk shrinks after a success, and grows otherwise
SMALLEST_STEP = 0.01  # of a walk, as a share of its first
SHORTEST = 1e-4  # first radius of a walk, as a share of the whole box
DOUBLINGS, BISECTIONS, FIRST_WEIGHT = 24, 10, 1e-2
MEMORY = 8  # pairs from which curvature is estimated
ROUNDED = 0.1  # of the margin at first: how far the corner of a penalty is rounded
BACKTRACKS = 10
LEAST_FALL = 1e-4  # share of the worth by which a step must lower it, or the search ends
SUFFICIENT = 1e-4  # share of the predicted fall that a step must bring
OUT_OF_REACH = 1e6  # added to the length of a step that the box cuts short
BEYOND = 5.0  # times the rounding that a penalised search goes beyond the goal


def deepfool(
    goal: Goal,
    pixels: Tensor,
    tell: Tell,
    *,
    norm: Norm,
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
) -> Tried:
    """Step to the nearest boundary of the linearised classifier until the goal is reached.

    Each step is exact in the box, so that a linear classifier needs one.

    Args:
        goal: Of the images.
        pixels: Shape (n, c, h, w).
        tell: Called with the share that is done.
        norm: Which distance to a boundary is smallest.
        steps: At most.
        candidates: How many classes are considered, the said one among them.
        overshoot: Share by which a step goes beyond the boundary.
    """
    current = pixels.clone()
    there = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    rivals = goal.rivals(goal.logits(pixels), candidates - 1)
    for step in range(steps):
        rows = (~there).nonzero()[:, 0]
        if not len(rows):
            break
        tell(step / steps)
        part, given = goal.of(rows), current[rows].requires_grad_()
        with torch.enable_grad():
            logits = goal.classifier.logits(given)
            leads = part.leads(logits, rivals[rows])
        beyond = BEYOND * slack(logits.detach())
        change = torch.zeros_like(given)
        smallest = torch.full_like(beyond, torch.inf)
        for lead in leads:
            (slope,) = torch.autograd.grad(lead.sum(), given, retain_graph=True)
            need = (1 + overshoot) * lead.detach() + beyond
            slope = torch.where(slope.isfinite(), slope, 0.0)
            tried = least(given.detach(), slope, need, norm)
            falls = -(slope * tried).flatten(1).sum(1)
            length = size(tried, norm) + torch.where(falls > 0.5 * need, 0.0, OUT_OF_REACH)
            change = torch.where(spread(length < smallest, change), tried, change)
            smallest = length.minimum(smallest)
        current[rows] = (given.detach() + change).clamp(0, 1)
        there[rows] = part.reached(goal.logits(current[rows]))
    return current, there


def walk(goal: Goal, pixels: Tensor, tell: Tell, *, norm: Norm, steps: int = 100) -> Tried:
    """Walk along the boundary on a sphere that shrinks while the goal is reached, else grows.

    With the Euclidean norm this is DDN; with the largest value its steps are signs. The first
    radius is where a linear classifier would change its answer. Every step is one pass forward
    and back.

    Args:
        goal: Of the images.
        pixels: Shape (n, c, h, w).
        tell: Called with the share that is done.
        norm: What is made small.
        steps: How many.
    """
    best, change = pixels.clone(), torch.zeros_like(pixels)
    smallest = torch.full((len(pixels),), torch.inf, dtype=pixels.dtype, device=pixels.device)
    radius = first = torch.zeros_like(smallest)
    warmth: Tensor | None = None
    whole = math.sqrt(pixels[0].numel()) if norm == "l2" else 1.0
    for step in range(steps):
        tell(step / steps)
        given = pixels + change
        logits, gradient = goal.slope(given, warmth)
        there, length = goal.reached(logits), size(change, norm)
        closer = there & (length < smallest)
        best = torch.where(spread(closer, best), given, best)
        smallest = torch.where(closer, length, smallest)
        if step:
            shrunk = radius.minimum(smallest) * (1 - SHRINK)
            radius = torch.where(there, shrunk, radius * (1 + SHRINK))
        else:
            warmth = goal.warmth(logits)
            ratio = goal.margin(logits) / dual(gradient, norm)
            radius = first = torch.nan_to_num(ratio, whole, whole).clamp(SHORTEST * whole, whole)
        share = SMALLEST_STEP + (1 - SMALLEST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2
        change = change + spread(share * first, change) * steepest(gradient, norm)
        change = (pixels + fitted(change, radius, norm)).clamp(0, 1) - pixels
    return best, smallest.isfinite()


def penalised(goal: Goal, pixels: Tensor, tell: Tell, *, steps: int = 20) -> Tried:
    """Minimise squared length plus a weight times the margin, for the smallest weight that works.

    The weight is doubled from 0.01 until the goal is reached, then bisected ten times; each search
    begins where the one before it ended.

    Args:
        goal: Of the images.
        pixels: Shape (n, c, h, w).
        tell: Called with the share that is done.
        steps: Of L-BFGS for each weight, at most.
    """
    best, current = pixels.clone(), pixels.clone()
    smallest = torch.full((len(pixels),), torch.inf, dtype=pixels.dtype, device=pixels.device)
    low, weight = torch.zeros_like(smallest), torch.full_like(smallest, FIRST_WEIGHT)
    high, bisected = torch.full_like(smallest, torch.inf), torch.zeros_like(smallest)
    for place in range(DOUBLINGS + BISECTIONS):
        rows = ((bisected < BISECTIONS) & (weight < FIRST_WEIGHT * 2.0**DOUBLINGS)).nonzero()[:, 0]
        if not len(rows):
            break
        tell(max(place / (DOUBLINGS + BISECTIONS), 0.9 * float(bisected.mean()) / BISECTIONS))
        part, originals = goal.of(rows), pixels[rows]
        made = _quasi_newton(part, originals, current[rows], weight[rows], steps)
        there, length = part.reached(goal.logits(made)), size(made - originals, "l2")
        closer = there & (length < smallest[rows])
        best[rows[closer]], smallest[rows[closer]] = made[closer], length[closer]
        current[rows] = made
        bisected[rows] += high[rows].isfinite().to(bisected.dtype)
        high[rows] = torch.where(there, weight[rows], high[rows])
        low[rows] = torch.where(there, low[rows], weight[rows])
        weight = torch.where(high.isfinite(), (low + high) / 2, 2 * weight)
    return best, smallest.isfinite()


def _quasi_newton(goal: Goal, pixels: Tensor, start: Tensor, weight: Tensor, steps: int) -> Tensor:
    """Minimise |r|^2 + weight max(margin, 0) over r with pixels + r in [0, 1], by L-BFGS.

    Values at a bound that the gradient pushes outwards stay there; the others take the step that
    the curvature of the last few suggests, projected into the box, halved until it helps.
    """
    logits = goal.logits(pixels)
    width = (ROUNDED * goal.margin(logits)).maximum(BEYOND * slack(logits))

    def worth(point: Tensor) -> Tensor:
        penalty = goal.penalty(goal.logits(point), width)
        return (point - pixels).flatten(1).square().sum(1) + weight * penalty

    def slope(point: Tensor) -> Tensor:
        return 2 * (point - pixels).flatten(1) + weight[:, None] * goal.pull(point, width)

    point, value, gradient = start, worth(start), slope(start)
    pairs: list[tuple[Tensor, Tensor]] = []
    for _ in range(steps):
        flat = point.flatten(1)
        held = ((flat <= 0) & (gradient > 0)) | ((flat >= 1) & (gradient < 0))
        free = torch.where(held, 0.0, gradient)
        step = -torch.where(held, 0.0, _curved(free, [(s * ~held, y * ~held) for s, y in pairs]))
        step = torch.where((step * free).sum(1, keepdim=True) >= 0, -free, step)
        moved, after = point, value
        for halved in range(BACKTRACKS):
            tried = (flat + step * 0.5**halved).clamp(0, 1).view_as(pixels)
            new, fall = worth(tried), (free * (tried - point).flatten(1)).sum(1)
            fine = (after == value) & (new <= value + SUFFICIENT * fall) & (new < value)
            moved = torch.where(spread(fine, moved), tried, moved)
            after = torch.where(fine, new, after)
            if not bool((after == value).any()):
                break
        if not bool((value - after > LEAST_FALL * value).any()):
            return moved
        turned = slope(moved)
        pairs = [*pairs, ((moved - point).flatten(1), turned - gradient)][-MEMORY:]
        point, value, gradient = moved, after, turned
    return point


def _curved(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the inverse Hessian that the pairs suggest, times the gradient: the two loops."""
    result, kept = gradient, []
    length = gradient.norm(dim=1, keepdim=True)
    scale = 0.5 / length.clamp_min(1.0)  # the inverse curvature of |r|^2, but a step of 0.5 at most
    for moved, turned in pairs:
        along = (moved * turned).sum(1, keepdim=True)
        bends = along > 1e-10 * turned.square().sum(1, keepdim=True)
        kept.append((moved, turned, torch.where(bends, 1 / along, 0.0)))
        scale = torch.where(bends, along / turned.square().sum(1, keepdim=True), scale)
    shares = []
    for moved, turned, inverse in reversed(kept):
        shares.append(inverse * (moved * result).sum(1, keepdim=True))
        result = result - shares[-1] * turned
    result = scale * result
    for (moved, turned, inverse), share in zip(kept, reversed(shares), strict=True):
        result = result + moved * (share - inverse * (turned * result).sum(1, keepdim=True))
    final: Tensor = result
    return final
