"""Batched gradient search for the pixels that suffice, and its refinement.

Carter, Jain, Mueller and Gifford 2021, "Overinterpretation reveals image classification model
pathologies", arXiv:2003.08907. The gradient is that of the margin, not of the probability, which
orders pixels alike and does not vanish where the model is sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.sufficient_pixels import _sis as sis
from diagnostics.methods.sufficient_pixels._infill import Infill
from diagnostics.models import log_odds
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.schema.sufficient_pixels import exact_pixels, finer_step

NEVER = math.inf
Spent = Callable[[int, int], None]


def level(tau: float) -> float:
    """Return the margin at which the probability is tau."""
    return math.log(tau) - math.log1p(-tau)


@dataclass(frozen=True)
class Path:
    """What was hidden in which order, and how sure the model was on the way.

    Args:
        shown: What was shown at first, shape (h, w).
        order: Flat indices of the hidden pixels, the first hidden first, shape (r,).
        kept: How many pixels were shown at each point, falling, shape (t,).
        margins: The class's margin at each point, shape (t,).
        step: How many pixels were hidden at a time, at the point where the subset ends.
    """

    shown: NDArray[np.bool_]
    order: NDArray[np.int64]
    kept: NDArray[np.int64]
    margins: NDArray[np.float64]
    step: int

    def smallest(self, tau: float) -> int | None:
        """Return how few pixels still reach tau; None where none of the points does."""
        return sis.smallest(self.kept, self.margins, level(tau))

    def mask(self, kept: int) -> NDArray[np.bool_]:
        """Return which pixels are shown when so many are left, shape (h, w)."""
        shown = self.shown.copy()
        shown.reshape(-1)[self.order[: int(self.shown.sum()) - kept]] = False
        return shown

    @property
    def complete(self) -> bool:
        """Whether everything was hidden in the end."""
        return bool(self.kept.size) and int(self.kept[-1]) == 0

    def removed(self) -> NDArray[np.float32]:
        """Return each pixel's place in the order, shape (h, w); +inf where it never was hidden."""
        places = np.full(self.shown.shape, NEVER, np.float32)
        places.reshape(-1)[self.order] = np.arange(len(self.order))
        return places


class Scene:
    """One image, one class, one fill: asked with some of its pixels hidden.

    Args:
        classifier: Is asked.
        fill: Of this one image.
        target: Index of the class.
        spent: Told the passes forward alone, and those both ways, of one image.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        fill: Infill,
        target: int,
        spent: Spent = lambda forward, backward: None,
    ) -> None:
        self.classifier, self.fill, self.target, self.spent = classifier, fill, target, spent
        self.independent = classifier.spec.output.independent

    @torch.no_grad()
    def margins(self, masks: NDArray[np.bool_], fill: Infill | None = None) -> NDArray[np.float64]:
        """Return the margin under each mask, shape (m,).

        Args:
            masks: Which pixels are shown, shape (m, h, w).
            fill: Another fill of the same image; None takes its own.
        """
        found = []
        for part in torch.split(torch.from_numpy(masks), batch_size(self.classifier)):
            rows = (fill or self.fill).select([0] * len(part))
            given = rows.apply(part.to(rows.pixels.device))
            targets = torch.full((len(part),), self.target, device=self.classifier.device)
            logits = self.classifier.logits(given)
            found.append(log_odds.margin(logits, targets, independent=self.independent).cpu())
            self.spent(len(part), 0)
        return torch.cat(found).numpy()

    def received(self, mask: NDArray[np.bool_]) -> Tensor:
        """Return what the network receives under one mask, shape (c, h, w)."""
        shown = torch.from_numpy(mask)[None].to(self.fill.pixels.device)
        return self.fill.apply(shown)[0]


class Search:
    """Hides pixels of several images at a time, those first whose loss costs the margin least.

    Args:
        classifier: Is asked; must offer gradients.
        fill: Gives the images, and what stands in the place of hidden pixels.
        targets: Index of each image's class, shape (n,).
        step: How many pixels are hidden at a time.
        shown: Which pixels are shown at first, shape (n, h, w); None shows all.
        spent: Told the passes forward alone, and those both ways, of one image.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        fill: Infill,
        targets: Tensor,
        step: int,
        shown: NDArray[np.bool_] | None = None,
        spent: Spent = lambda forward, backward: None,
    ) -> None:
        count, _, height, width = fill.pixels.shape
        first = np.ones((count, height, width), bool) if shown is None else shown
        self._first, self._step, self._spent = first, step, spent
        self._classifier, self._fill, self._targets = classifier, fill, targets
        self._shown = torch.from_numpy(first.copy()).to(fill.pixels.device)
        self._orders: list[list[NDArray[np.int64]]] = [[] for _ in range(count)]
        self._points: list[list[tuple[int, float]]] = [[] for _ in range(count)]

    def advance(self) -> bool:
        """Hide the next pixels of every image; return whether there is anything left to do."""
        left = self._shown.flatten(1).sum(1)
        rows = torch.tensor([not self._done(row) for row in range(len(left))]).nonzero()[:, 0]
        if not len(rows):
            return False
        fill = self._fill if len(rows) == len(left) else self._fill.select(rows)
        ends = bool((left[rows.to(left.device)] == 0).all())
        found, gains = self._asked(fill, rows, forward_only=ends)
        for place, row in enumerate(rows.tolist()):
            self._points[row].append((int(left[row]), float(found[place])))
            if int(left[row]):
                flat = self._shown[row].view(-1)
                chosen = least_missed(gains[place], flat, self._step)
                flat[chosen] = False
                self._orders[row].append(chosen.cpu().numpy())
        return True

    def run(self) -> list[Path]:
        """Hide everything and return each image's path."""
        while self.advance():
            pass
        return self.paths()

    def paths(self) -> list[Path]:
        """Return each image's path as far as it is."""
        return [
            Path(
                self._first[row],
                np.concatenate([np.empty(0, np.int64), *self._orders[row]]),
                np.array([kept for kept, _ in points], np.int64),
                np.array([margin for _, margin in points], np.float64),
                self._step,
            )
            for row, points in enumerate(self._points)
        ]

    def _done(self, row: int) -> bool:
        points = self._points[row]
        return bool(points) and points[-1][0] == 0

    def _asked(self, fill: Infill, rows: Tensor, *, forward_only: bool) -> tuple[Tensor, Tensor]:
        """Return each image's margin, and how much hiding each pixel would add to it, (n, p)."""
        independent = self._classifier.spec.output.independent
        targets = self._targets[rows.to(self._targets.device)]
        applied = fill.apply(self._shown[rows.to(self._shown.device)])
        self._spent(*((len(rows), 0) if forward_only else (0, len(rows))))
        if forward_only:
            with torch.no_grad():
                logits = self._classifier.logits(applied)
            return log_odds.margin(logits, targets, independent=independent), applied
        applied = applied.detach().requires_grad_()
        with torch.enable_grad():
            found = log_odds.margin(
                self._classifier.logits(applied), targets, independent=independent
            )
            (gradient,) = torch.autograd.grad(found.sum(), applied)
        return found.detach(), (gradient * fill.change(applied.detach())).sum(1).flatten(1)


def least_missed(gains: Tensor, shown: Tensor, step: int) -> Tensor:
    """Return the shown pixels whose loss adds most, the most first; equals in their order.

    Args:
        gains: What hiding each pixel would add, shape (p,).
        shown: Which pixels are still shown, shape (p,).
        step: How many are wanted; fewer are returned where fewer are shown.
    """
    count = min(step, int(shown.sum()))
    known = torch.where(shown, gains.nan_to_num(-1e30, 1e30, -1e30), -math.inf)
    least = known.topk(count, sorted=False).values.min()
    surely = known > least
    equal = (known == least) & shown
    equal &= equal.cumsum(0) <= count - surely.sum()
    chosen = (surely | equal).nonzero()[:, 0]
    return chosen[known[chosen].argsort(descending=True, stable=True)]


def refined(scene: Scene, path: Path, tau: float, steps: int) -> Path:
    """Return the path with its last pixels searched more finely, where that makes the subset fewer.

    Only the last two steps' pixels are searched again, and only where the subset lies among them:
    by gradients in ever smaller steps, and in the end exactly, one pixel after the other.

    Args:
        scene: The image.
        path: A complete path.
        tau: Probability that the subset reaches.
        steps: How many steps the search took; the exact part costs 4 passes for each at most.
    """
    while (size := path.smallest(tau)) and path.step > 1 and size <= 2 * path.step:
        last = min(2 * path.step, int(path.shown.sum()))
        if last <= exact_pixels(path.step, steps):
            tail = _exactly(scene, path.mask(last))
        else:
            tail = _by_gradient(scene, path.mask(last), finer_step(last))
        finer = _joined(path, tail, last)
        found = finer.smallest(tau)
        if found is None or found > size:
            break
        path = finer
    return path


def exact(scene: Scene, shown: NDArray[np.bool_]) -> Iterator[Path]:
    """Yield the exact path as far as it is, after every hidden pixel."""
    (whole,) = scene.margins(shown[None])
    steps: list[tuple[int, float]] = []
    total = int(shown.sum())
    for one in sis.back_selecting(scene.margins, shown):
        steps.append(one)
        found = sis.removal(steps)
        kept = np.arange(total, total - len(steps) - 1, -1)
        yield Path(shown, found.places, kept, np.append(whole, found.values), 1)


def _exactly(scene: Scene, shown: NDArray[np.bool_]) -> Path:
    *_, path = exact(scene, shown)
    return path


def _by_gradient(scene: Scene, shown: NDArray[np.bool_], step: int) -> Path:
    targets = torch.tensor([scene.target], device=scene.classifier.device)
    search = Search(scene.classifier, scene.fill, targets, step, shown[None], scene.spent)
    return search.run()[0]


def _joined(path: Path, tail: Path, last: int) -> Path:
    before = path.kept > last
    order = path.order[: int(path.shown.sum()) - last]
    return Path(
        path.shown,
        np.concatenate([order, tail.order]),
        np.concatenate([path.kept[before], tail.kept]),
        np.concatenate([path.margins[before], tail.margins]),
        tail.step,
    )
