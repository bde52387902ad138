"""Sizes of changes, and the smallest change of pixels that stay in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from diagnostics.schema.results.adversarial import Norm

NEWTON_STEPS = 60  # at most; each ends on a further piece of a piecewise linear function
HALVINGS = 20  # of a segment: its end is known to a millionth of its length


def size(change: Tensor, norm: Norm) -> Tensor:
    """Return how large each change is, shape (n,): Euclidean length, or the largest value."""
    return _vector_norm(change, 2 if norm == "l2" else math.inf)


def dual_norm(gradient: Tensor, norm: Norm) -> Tensor:
    """Return how much a function falls for a change of size one, at most, shape (n,)."""
    return _vector_norm(gradient, 2 if norm == "l2" else 1)


def descend(change: Tensor, gradient: Tensor, length: Tensor, norm: Norm) -> Tensor:
    """Return changes after a step so long to where a function falls most; none without gradient."""
    if norm == "linf":
        return torch.addcmul(change, gradient.sign(), per_image(-length, change))
    pace = _ratio(length, size(gradient, "l2"))
    return torch.addcmul(change, gradient, per_image(-pace, change))


def add_to_radius(pixels: Tensor, change: Tensor, radius: Tensor, norm: Norm) -> Tensor:
    """Return images, changed as far as the radius (Euclidean) or cut off at it, kept in [0, 1]."""
    if norm == "linf":
        limit = per_image(radius, change)
        return (pixels + change.maximum(-limit).minimum(limit)).clamp_(0, 1)
    ratio = _ratio(radius, size(change, "l2"))
    return torch.addcmul(pixels, change, per_image(ratio, change)).clamp_(0, 1)


def minimal_perturbation(pixels: Tensor, gradient: Tensor, fall: Tensor, norm: Norm) -> Tensor:
    """Return the smallest change by which a linear function falls as far as needed, in the box.

    For Euclidean length that is clip(x - t g, 0, 1) - x, for the largest value
    clip(x - t sign(g), 0, 1) - x. How far the function falls is concave and piecewise linear in t,
    so Newton's method from t = 0 never passes the solution and ends on it.

    Args:
        pixels: Where it starts, shape (n, c, h, w), values in [0, 1].
        gradient: Of the function, same shape.
        fall: How far it has to fall, shape (n,).
        norm: What is smallest.

    Returns:
        Changes of the pixels' shape. Where the box does not let it fall so far, all that it can.
    """
    room = torch.where(gradient < 0, 1 - pixels, pixels).flatten(1)
    strength = gradient.abs().flatten(1)
    pace = strength if norm == "l2" else torch.ones_like(strength)
    time = torch.zeros_like(fall, dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        change = time.to(pace.dtype)[:, None] * pace
        reached = (strength * change.minimum(room)).sum(1, dtype=torch.float64)
        rate = (strength * pace * (change < room)).sum(1, dtype=torch.float64)
        lack = fall.double() - reached
        further = torch.where((lack > 0) & (rate > 0), lack / rate, 0.0)
        time = time + further
        if not bool((further > 1e-9 * time).any()):
            break
    change = (time.to(pace.dtype)[:, None] * pace).minimum(room)
    return -gradient.sign() * change.view_as(gradient)


def bisect(
    is_adversarial: Callable[[Tensor], Tensor],
    pixels: Tensor,
    changed: Tensor,
    halvings: int = HALVINGS,
) -> Tensor:
    """Return where the segments from images to changed ones cross the boundary, just beyond it.

    Args:
        is_adversarial: Says which pixels are, shape (n,).
        pixels: Not adversarial.
        changed: Adversarial.
        halvings: Of the segment.
    """
    low = torch.zeros(len(pixels), dtype=pixels.dtype, device=pixels.device)
    high = torch.ones_like(low)
    best = changed
    for _ in range(halvings):
        middle = (low + high) / 2
        point = interpolate(pixels, changed, middle)
        beyond = is_adversarial(point)
        best = torch.where(per_image(beyond, point), point, best)
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    return best


def interpolate(pixels: Tensor, changed: Tensor, share: Tensor) -> Tensor:
    """Return images a share of the change, or more than all of it, further, kept in [0, 1]."""
    return (pixels + per_image(share, pixels) * (changed - pixels)).clamp(0, 1)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Return one value for each image in a shape that goes with all of its pixels."""
    return values.view(-1, *[1] * (like.ndim - 1))


def _vector_norm(values: Tensor, order: float) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values, order, tuple(range(1, values.ndim)))
    return norm


def _ratio(length: Tensor, of: Tensor) -> Tensor:
    """Return a ratio of lengths, finite also where the other one is zero."""
    limits = torch.finfo(of.dtype)
    return (length / of.clamp_min(limits.tiny)).clamp_max(limits.max)
