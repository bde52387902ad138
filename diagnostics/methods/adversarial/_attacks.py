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
    add_to_radius,
    descend,
    dual_norm,
    minimal_perturbation,
    per_image,
    size,
)
from diagnostics.models.batch_size import gradient_batch_size
from diagnostics.schema.adversarial import CANDIDATES, walks_left
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
    candidates: int = CANDIDATES,
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
    walks = _Walks(criterion, pixels, norm)
    for step in range(steps):
        report(step / steps)
        walks.advance(step / steps)
    return walks.result()


def rival_walks(
    criterion: Criterion,
    pixels: Tensor,
    report: ReportShare,
    *,
    norm: Norm,
    steps: int = 100,
    candidates: int = CANDIDATES,
) -> AttackResult:
    """Walk as DDN does, towards every candidate class by itself.

    A walk towards all of them stays near the class that was nearest at first. At each quarter of
    the steps the farther half of an image's walks ends.

    Args:
        criterion: Of the images; with a target there is one walk, to that.
        pixels: Shape (n, c, h, w).
        report: Takes the share that is done.
        norm: What is made small.
        steps: Of the longest walk.
        candidates: How many classes are considered, the predicted one among them.
    """
    if criterion.target is not None:
        return ddn(criterion, pixels, report, norm=norm, steps=steps)
    rivals = criterion.other_classes(criterion.logits(pixels), candidates - 1)
    count = max(1, gradient_batch_size(pixels[0].numel(), pixels.device) // rivals.shape[1])
    results = []
    for start in range(0, len(pixels), count):
        rows = torch.arange(start, min(start + count, len(pixels)), device=pixels.device)
        of_rows, left = rivals[rows], rivals.shape[1]
        repeated = pixels[rows].repeat_interleave(left, dim=0)
        walks = _Walks(criterion.subset(rows).towards(of_rows), repeated, norm)
        for step in range(steps):
            report((start + len(rows) * step / steps) / len(pixels))
            if left != (left := walks_left(step, steps, rivals.shape[1])):
                walks.keep_closest(len(rows), left)
            walks.advance(step / steps)
        walks.keep_closest(len(rows), 1)
        results.append(walks.result())
    return AttackResult(*map(torch.cat, zip(*results, strict=True)))


class _Walks:
    """Walks of DDN that are taken together.

    Args:
        criterion: Of the images.
        pixels: Where each walk begins, shape (n, c, h, w).
        norm: What is made small.
    """

    def __init__(self, criterion: Criterion, pixels: Tensor, norm: Norm) -> None:
        self._criterion, self._pixels, self._norm = criterion, pixels, norm
        self._changed, self._best = pixels, pixels.clone()
        self._shortest = torch.full((len(pixels),), torch.inf, dtype=pixels.dtype).to(pixels.device)
        self._radius = self._first_radius = torch.zeros_like(self._shortest)
        self._temperature: Tensor | None = None
        self._box = math.sqrt(pixels[0].numel()) if norm == "l2" else 1.0

    def advance(self, done: float) -> None:
        """Take a step.

        Args:
            done: Share of the steps before it.
        """
        criterion, norm, box = self._criterion, self._norm, self._box
        logits, gradient = criterion.smooth_margin_gradient(self._changed, self._temperature)
        change = self._changed - self._pixels
        is_adversarial, length = criterion.is_adversarial(logits), size(change, norm)
        closer = is_adversarial & (length < self._shortest)
        self._best[closer] = self._changed[closer]
        self._shortest = torch.where(closer, length, self._shortest)
        if self._temperature is None:
            self._temperature = criterion.temperature(logits)
            linear = criterion.rival_margin(logits) / dual_norm(gradient, norm)
            radius = torch.nan_to_num(linear, box, box).clamp(MIN_RADIUS * box, box)
            self._radius = self._first_radius = radius
        else:
            smaller = self._radius.minimum(self._shortest) * (1 - RADIUS_CHANGE)
            larger = self._radius * (1 + RADIUS_CHANGE)
            self._radius = torch.where(is_adversarial, smaller, larger)
        share = LAST_STEP + (1 - LAST_STEP) * (1 + math.cos(math.pi * done)) / 2
        change = descend(change, gradient, share * self._first_radius, norm)
        self._changed = add_to_radius(self._pixels, change, self._radius, norm)

    def keep_closest(self, images: int, count: int) -> None:
        """Go on with some walks of each image only: those that came closest, else the first.

        Args:
            images: How many there are; the walks of one are beside each other.
            count: How many walks of each.
        """
        order = self._shortest.view(images, -1).argsort(dim=1, stable=True)[:, :count]
        rows = torch.arange(len(self._shortest), device=order.device).view(images, -1)
        rows = rows.gather(1, order).flatten()
        self._criterion = self._criterion.subset(rows)
        self._pixels, self._changed = self._pixels[rows], self._changed[rows]
        self._best, self._shortest = self._best[rows], self._shortest[rows]
        self._radius, self._first_radius = self._radius[rows], self._first_radius[rows]
        if self._temperature is not None:
            self._temperature = self._temperature[rows]

    def result(self) -> AttackResult:
        """Return the closest image of each walk."""
        return AttackResult(self._best, self._shortest.isfinite())


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
