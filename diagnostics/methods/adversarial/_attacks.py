"""The attacks: DeepFool, DDN with its sibling of signs, and L-BFGS in the box.

Each takes n images that are not adversarial, and returns changed images in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.adversarial._criterion import Criterion, finite, tolerance
from diagnostics.methods.adversarial._norms import (
    dual_norm,
    minimal_perturbation,
    per_image,
    size,
    steepest_descent,
    to_radius,
)
from diagnostics.schema.results.adversarial import Norm

ReportShare: TypeAlias = Callable[[float], None]

BEYOND = 5.0  # tolerances by which steps go beyond the boundary
OUT_OF_REACH = 1e6  # added to the size of a step that the box cuts short
RADIUS_CHANGE = 0.05  # share by which DDN's radius shrinks where adversarial, and grows elsewhere
LAST_STEP = 0.01  # of DDN, as a share of its first
MIN_RADIUS = 1e-4  # at first, as a share of the whole box
DOUBLINGS, BISECTIONS, FIRST_WEIGHT = 24, 10, 1e-2  # of L-BFGS's weight
RELATIVE_WIDTH = 0.1  # of the margin at first: how far the corner of the penalty is rounded
RELATIVE_FALL = 1e-6  # of the objective, below which L-BFGS ends


class AttackResult(NamedTuple):
    """What an attack found.

    Args:
        pixels: Changed images, shape (n, c, h, w), in [0, 1].
        is_adversarial: Which of them are, shape (n,).
    """

    pixels: Tensor
    is_adversarial: Tensor


def deepfool(
    criterion: Criterion,
    pixels: Tensor,
    report: ReportShare,
    *,
    norm: Norm,
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
) -> AttackResult:
    """Step to the nearest boundary of the linearised classifier until images are adversarial.

    Each step is exact in the box, so that a linear classifier needs one.

    Args:
        criterion: Of the images.
        pixels: Shape (n, c, h, w).
        report: Takes the share that is done.
        norm: Which distance to a boundary is smallest.
        steps: At most.
        candidates: How many classes are considered, the predicted one among them.
        overshoot: Share by which a step goes beyond the boundary.
    """
    current = pixels.clone()
    is_adversarial = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    classes = criterion.other_classes(criterion.logits(pixels), candidates - 1)
    for step in range(steps):
        rows = (~is_adversarial).nonzero()[:, 0]
        if not len(rows):
            break
        report(step / steps)
        part, inputs = criterion.subset(rows), current[rows].requires_grad_()
        with torch.enable_grad():
            logits = criterion.classifier.logits(inputs)
            margins = part.margins(logits, classes[rows])
        beyond = BEYOND * tolerance(logits.detach())
        change, shortest = torch.zeros_like(inputs), torch.full_like(beyond, torch.inf)
        for margin in margins:
            (gradient,) = torch.autograd.grad(margin.sum(), inputs, retain_graph=True)
            gradient = finite(gradient)
            fall = (1 + overshoot) * margin.detach() + beyond
            candidate = minimal_perturbation(inputs.detach(), gradient, fall, norm)
            reached = -(gradient * candidate).flatten(1).sum(1)
            length = size(candidate, norm) + torch.where(reached > 0.5 * fall, 0.0, OUT_OF_REACH)
            change = torch.where(per_image(length < shortest, change), candidate, change)
            shortest = length.minimum(shortest)
        current[rows] = (inputs.detach() + change).clamp(0, 1)
        is_adversarial[rows] = part.is_adversarial(criterion.logits(current[rows]))
    return AttackResult(current, is_adversarial)


def ddn(
    criterion: Criterion, pixels: Tensor, report: ReportShare, *, norm: Norm, steps: int = 100
) -> AttackResult:
    """Walk along the boundary on a sphere that shrinks where images are adversarial, else grows.

    With the Euclidean norm this is DDN; with the largest value its steps are signs. The first
    radius is where a linear classifier would change its answer. Every step is one pass forward
    and back.

    Args:
        criterion: Of the images.
        pixels: Shape (n, c, h, w).
        report: Takes the share that is done.
        norm: What is made small.
        steps: How many.
    """
    best, change = pixels.clone(), torch.zeros_like(pixels)
    shortest = torch.full((len(pixels),), torch.inf, dtype=pixels.dtype, device=pixels.device)
    radius = first_radius = torch.zeros_like(shortest)
    temperature: Tensor | None = None
    box = math.sqrt(pixels[0].numel()) if norm == "l2" else 1.0
    for step in range(steps):
        report(step / steps)
        changed = pixels + change
        logits, gradient = criterion.smooth_margin_gradient(changed, temperature)
        is_adversarial, length = criterion.is_adversarial(logits), size(change, norm)
        closer = is_adversarial & (length < shortest)
        best = torch.where(per_image(closer, best), changed, best)
        shortest = torch.where(closer, length, shortest)
        if step:
            smaller = radius.minimum(shortest) * (1 - RADIUS_CHANGE)
            radius = torch.where(is_adversarial, smaller, radius * (1 + RADIUS_CHANGE))
        else:
            temperature = criterion.temperature(logits)
            linear = criterion.margin(logits) / dual_norm(gradient, norm)
            radius = torch.nan_to_num(linear, box, box).clamp(MIN_RADIUS * box, box)
            first_radius = radius
        share = LAST_STEP + (1 - LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2
        length_of_step = per_image(share * first_radius, change)
        change = change + length_of_step * steepest_descent(gradient, norm)
        change = (pixels + to_radius(change, radius, norm)).clamp(0, 1) - pixels
    return AttackResult(best, shortest.isfinite())


def lbfgs(
    criterion: Criterion, pixels: Tensor, report: ReportShare, *, steps: int = 20
) -> AttackResult:
    """Minimise squared length plus a weight times the margin, for the smallest weight that works.

    The weight is doubled from 0.01 until the image is adversarial, then bisected ten times. A
    search begins at the shortest adversarial image so far; before there is one, where the search
    before it ended. Images are changed one after the other.

    Args:
        criterion: Of the images.
        pixels: Shape (n, c, h, w).
        report: Takes the share that is done.
        steps: Of L-BFGS for each weight, at most.
    """
    changed = pixels.clone()
    is_adversarial = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    for row in range(len(pixels)):
        here = torch.tensor([row], device=pixels.device)
        search = _WeightSearch(criterion.subset(here), pixels[here], steps)
        for share in search.run():
            report((row + share) / len(pixels))
        if search.best is not None:
            changed[here], is_adversarial[here] = search.best, True
    return AttackResult(changed, is_adversarial)


class _WeightSearch:
    """Looks for the smallest weight of the margin with which L-BFGS ends on an adversarial image.

    Args:
        criterion: Of the one image.
        pixels: The image, shape (1, c, h, w).
        steps: Of L-BFGS for each weight, at most.
    """

    def __init__(self, criterion: Criterion, pixels: Tensor, steps: int) -> None:
        self._criterion, self._pixels, self._steps = criterion, pixels, steps
        logits = criterion.logits(pixels)
        self._width = (RELATIVE_WIDTH * criterion.margin(logits)).maximum(
            BEYOND * tolerance(logits)
        )
        self._original = pixels.flatten().double().cpu().numpy()
        self._start, self._shortest = self._original, math.inf
        self.best: Tensor | None = None

    def run(self) -> Iterator[float]:
        """Double the weight until it suffices, then bisect it; yield the share that is done."""
        searches, low, weight = DOUBLINGS + BISECTIONS, 0.0, FIRST_WEIGHT
        for doubling in range(DOUBLINGS):
            yield doubling / searches
            if self._suffices(weight):
                break
            low, weight = weight, 2 * weight
        else:
            return
        high = weight
        for bisection in range(BISECTIONS):
            yield (DOUBLINGS + bisection) / searches
            weight = (low + high) / 2
            low, high = (low, weight) if self._suffices(weight) else (weight, high)

    def _suffices(self, weight: float) -> bool:
        from scipy.optimize import minimize

        result = minimize(
            self._objective,
            self._start,
            args=(weight,),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * len(self._original),
            options={"maxiter": self._steps, "ftol": RELATIVE_FALL},
        )
        changed = self._as_image(result.x)
        suffices = bool(self._criterion.is_adversarial(self._criterion.logits(changed)))
        length = float(size(changed - self._pixels, "l2"))
        if suffices and length < self._shortest:
            self.best, self._shortest = changed, length
            self._start = result.x
        elif self.best is None:
            self._start = result.x
        return suffices

    def _objective(
        self, values: NDArray[np.float64], weight: float
    ) -> tuple[float, NDArray[np.float64]]:
        """Return |r|^2 + weight max(margin, 0) of a change r, its corner rounded; its gradient."""
        penalty, gradient = self._criterion.penalty(self._as_image(values), self._width)
        change = values - self._original
        slope = 2 * change + weight * gradient.flatten().double().cpu().numpy()
        return float(change @ change) + weight * float(penalty), slope

    def _as_image(self, values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).to(self._pixels).view_as(self._pixels)
