"""Sizes of changes, and the smallest change of pixels that stay in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Norm: TypeAlias = Literal["l2", "linf"]

NEWTON = 60  # steps at most; each ends on a further piece of a piecewise linear function
HALVINGS = 20  # of a segment: its end is known to a millionth of its length


def size(change: Tensor, norm: Norm) -> Tensor:
    """Return how large each change is, shape (n,): Euclidean length, or the largest value."""
    flat = change.flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().amax(1)


def dual(gradient: Tensor, norm: Norm) -> Tensor:
    """Return how much a function falls for a change of size one, at most, shape (n,)."""
    flat = gradient.flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().sum(1)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the change of size one along which a function falls most; zero without a gradient."""
    if norm == "linf":
        return -gradient.sign()
    length = size(gradient, "l2").clamp_min(torch.finfo(gradient.dtype).tiny)
    return -gradient / spread(length, gradient)


def fitted(change: Tensor, radius: Tensor, norm: Norm) -> Tensor:
    """Return changes as long as the radius (Euclidean), or cut off at it (largest value)."""
    if norm == "linf":
        limit = spread(radius, change)
        return change.maximum(-limit).minimum(limit)
    length = size(change, "l2").clamp_min(torch.finfo(change.dtype).tiny)
    return change * spread(radius / length, change)


def least(pixels: Tensor, slope: Tensor, need: Tensor, norm: Norm) -> Tensor:
    """Return the smallest change by which a linear function falls as far as needed, in the box.

    For Euclidean length that is clip(x - t slope, 0, 1) - x, for the largest value
    clip(x - t sign(slope), 0, 1) - x. How far the function falls is concave and piecewise linear
    in t, so Newton's method from t = 0 never passes the solution and ends on it.

    Args:
        pixels: Where it starts, shape (n, c, h, w), values in [0, 1].
        slope: Gradient of the function, same shape.
        need: How far it has to fall, shape (n,).
        norm: What is smallest.

    Returns:
        Changes of the pixels' shape. Where the box does not let it fall so far, all that it can.
    """
    room = torch.where(slope < 0, 1 - pixels, pixels).flatten(1)
    strength = slope.abs().flatten(1)
    pace = strength if norm == "l2" else torch.ones_like(strength)
    time = torch.zeros_like(need, dtype=torch.float64)
    for _ in range(NEWTON):
        moved = time.to(pace.dtype)[:, None] * pace
        falls = (strength * moved.minimum(room)).sum(1, dtype=torch.float64)
        rate = (strength * pace * (moved < room)).sum(1, dtype=torch.float64)
        lack = need.double() - falls
        further = torch.where((lack > 0) & (rate > 0), lack / rate, 0.0)
        time = time + further
        if not bool((further > 1e-9 * time).any()):
            break
    moved = (time.to(pace.dtype)[:, None] * pace).minimum(room)
    return -slope.sign() * moved.view_as(slope)


def nearest(
    reached: Callable[[Tensor], Tensor], pixels: Tensor, changed: Tensor, halvings: int = HALVINGS
) -> Tensor:
    """Return where the way from images to changed ones crosses into the goal, and is there.

    Args:
        reached: Says of pixels which are there, shape (n,).
        pixels: Not there.
        changed: There.
        halvings: Of the segment.
    """
    low = torch.zeros(len(pixels), dtype=pixels.dtype, device=pixels.device)
    high = torch.ones_like(low)
    best = changed
    for _ in range(halvings):
        middle = (low + high) / 2
        point = between(pixels, changed, middle)
        there = reached(point)
        best = torch.where(spread(there, point), point, best)
        low, high = torch.where(there, low, middle), torch.where(there, middle, high)
    return best


def between(pixels: Tensor, changed: Tensor, share: Tensor) -> Tensor:
    """Return images some way, or beyond, towards changed ones, kept in [0, 1]."""
    return (pixels + spread(share, pixels) * (changed - pixels)).clamp(0, 1)


def spread(values: Tensor, over: Tensor) -> Tensor:
    """Return one value for each image in a shape that goes with all of its pixels."""
    return values.view(-1, *[1] * (over.ndim - 1))
