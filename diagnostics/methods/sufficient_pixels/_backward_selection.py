"""Batched gradient search for the pixels that suffice, and its refinement.

Carter, Jain, Mueller and Gifford 2021, "Overinterpretation reveals image classification model
pathologies", arXiv:2003.08907. The gradient is that of the margin, not of the probability, which
orders pixels alike and does not vanish where the model is sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.sufficient_pixels import _sis as sis
from diagnostics.methods.sufficient_pixels._infill import Infill
from diagnostics.methods.sufficient_pixels._sis import Mask
from diagnostics.models import log_odds
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.schema.sufficient_pixels import exact_pixels, finer_step

CountPasses = Callable[[int, int], None]
"""Called with how many passes one image took: forward alone, and forward and backward."""

NEVER = math.inf
LARGE = 1e30  # stands for what is not finite


def logit(probability: float) -> float:
    """Return the margin log(p / (1 − p)) of a probability."""
    return math.log(probability) - math.log1p(-probability)


@dataclass(frozen=True)
class SelectionPath:
    """In which order pixels were hidden, and how sure the model was on the way.

    Args:
        start: Which pixels were shown at first, shape (h, w).
        order: Flat indices of the hidden pixels, the first hidden first, shape (r,).
        kept_counts: How many pixels were shown at each point, falling, shape (t,).
        margins: log(p / (1 − p)) of the class at each point, shape (t,).
        step: How many pixels were hidden at a time, at the point where the subset ends.
    """

    start: Mask
    order: NDArray[np.int64]
    kept_counts: NDArray[np.int64]
    margins: NDArray[np.float64]
    step: int

    def smallest_size(self, tau: float) -> int | None:
        """Return how few pixels still reach tau; None where none of the points does."""
        return sis.smallest_size(self.kept_counts, self.margins, logit(tau))

    def mask(self, kept_count: int) -> Mask:
        """Return which pixels are shown when so many are left, shape (h, w)."""
        shown = self.start.copy()
        shown.reshape(-1)[self.order[: int(self.start.sum()) - kept_count]] = False
        return shown

    @property
    def complete(self) -> bool:
        """Whether everything was hidden in the end."""
        return bool(self.kept_counts.size) and int(self.kept_counts[-1]) == 0

    def selection_order(self) -> NDArray[np.float32]:
        """Return each pixel's rank in the order, shape (h, w); +inf where it never was hidden."""
        ranks = np.full(self.start.shape, NEVER, np.float32)
        ranks.reshape(-1)[self.order] = np.arange(len(self.order))
        return ranks


class MaskedImage:
    """One image, one class, one infill: what the model says with some of its pixels hidden.

    Args:
        classifier: The model.
        infill: Of this one image.
        target: Index of the class.
        count_passes: Called with the passes of every batch.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        infill: Infill,
        target: int,
        count_passes: CountPasses = lambda forward, both: None,
    ) -> None:
        self.classifier, self.infill, self.target = classifier, infill, target
        self.count_passes = count_passes
        self.independent = classifier.spec.output.independent

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.infill.pixels.shape[2:]
        return height, width

    @torch.no_grad()
    def margins(
        self, masks: Mask, infill: Infill | None = None, *, by_torch: bool = False
    ) -> NDArray[np.float64]:
        """Return the margin under each mask, shape (m,).

        Args:
            masks: Which pixels are shown, shape (m, h, w).
            infill: Another infill of the same image; None takes its own.
            by_torch: Whether torch computes it, whatever engine the classifier has.
        """
        ask = self.classifier.torch_logits if by_torch else self.classifier.logits
        margins = []
        for part in torch.split(torch.from_numpy(masks), batch_size(self.classifier)):
            copies = (infill or self.infill).select([0] * len(part))
            masked = copies.apply(part.to(copies.pixels.device))
            targets = torch.full((len(part),), self.target, device=self.classifier.device)
            logits = ask(masked)
            margins.append(log_odds.margin(logits, targets, independent=self.independent).cpu())
            self.count_passes(len(part), 0)
        return torch.cat(margins).numpy()

    def masked(self, mask: Mask) -> Float[Tensor, "c h w"]:
        """Return what the network receives under one mask."""
        shown = torch.from_numpy(mask)[None].to(self.infill.pixels.device)
        return self.infill.apply(shown)[0]


class BatchedGradientSearch:
    """Hides pixels of several images at a time, those first whose loss costs the margin least.

    Args:
        classifier: The model; must offer gradients.
        infill: Gives the images, and what stands in the place of hidden pixels.
        targets: Index of each image's class.
        step: How many pixels are hidden at a time.
        start: Which pixels are shown at first, shape (n, h, w); None shows all.
        count_passes: Called with the passes of every step.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        infill: Infill,
        targets: Int[Tensor, " n"],
        step: int,
        start: Mask | None = None,
        count_passes: CountPasses = lambda forward, both: None,
    ) -> None:
        count, _, height, width = infill.pixels.shape
        self._start = np.ones((count, height, width), bool) if start is None else start
        self._classifier, self._infill, self._targets = classifier, infill, targets
        self._step, self._count_passes = step, count_passes
        self._shown = torch.from_numpy(self._start.copy()).to(infill.pixels.device)
        self._orders: list[list[NDArray[np.int64]]] = [[] for _ in range(count)]
        self._points: list[list[tuple[int, float]]] = [[] for _ in range(count)]

    def advance(self) -> bool:
        """Hide the next pixels of every image; return whether there was anything left to do."""
        shown_counts = self._shown.flatten(1).sum(1).tolist()
        rows = [row for row in range(len(shown_counts)) if not self._is_done(row)]
        if not rows:
            return False
        forward_only = not any(shown_counts[row] for row in rows)
        margins, gains = self._margins_and_gains(rows, forward_only=forward_only)
        for position, row in enumerate(rows):
            self._points[row].append((shown_counts[row], float(margins[position])))
            if shown_counts[row]:
                shown = self._shown[row].view(-1)
                chosen = next_hidden(gains[position], shown, self._step)
                shown[chosen] = False
                self._orders[row].append(chosen.cpu().numpy())
        return True

    def run(self) -> list[SelectionPath]:
        """Hide everything and return each image's path."""
        while self.advance():
            pass
        return self.paths()

    def paths(self) -> list[SelectionPath]:
        """Return each image's path as far as it is."""
        return [
            SelectionPath(
                self._start[row],
                np.concatenate([np.empty(0, np.int64), *self._orders[row]]),
                np.array([count for count, _ in points], np.int64),
                np.array([margin for _, margin in points], np.float64),
                self._step,
            )
            for row, points in enumerate(self._points)
        ]

    def _is_done(self, row: int) -> bool:
        points = self._points[row]
        return bool(points) and points[-1][0] == 0

    def _margins_and_gains(self, rows: list[int], *, forward_only: bool) -> tuple[Tensor, Tensor]:
        """Return each image's margin, and how much hiding each pixel would add to it, (n, p).

        Args:
            rows: Of the images.
            forward_only: Whether nothing is left to be hidden; the gains are empty then.
        """
        infill = self._infill if len(rows) == len(self._shown) else self._infill.select(rows)
        targets, masked = self._targets[rows], infill.apply(self._shown[rows])
        if forward_only:
            self._count_passes(len(rows), 0)
            with torch.no_grad():
                return self._margin(masked, targets), masked.new_empty(len(rows), 0)
        self._count_passes(0, len(rows))
        masked = masked.detach().requires_grad_()
        with torch.enable_grad():
            margins = self._margin(masked, targets)
            (gradient,) = torch.autograd.grad(margins.sum(), masked)
        gains = gradient * infill.change(masked.detach())
        return margins.detach(), gains.sum(1).flatten(1)

    def _margin(self, masked: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
        logits = self._classifier.logits(masked)
        independent = self._classifier.spec.output.independent
        return log_odds.margin(logits, targets, independent=independent)


def next_hidden(
    gains: Float[Tensor, " p"], shown: Bool[Tensor, " p"], step: int
) -> Int[Tensor, " r"]:
    """Return which pixels are hidden next: those that add most, the most first.

    Equals are hidden in their order.

    Args:
        gains: What hiding each pixel would add to the margin.
        shown: Which pixels are still shown.
        step: How many at most.
    """
    count = min(step, int(shown.sum()))
    ranked = torch.where(shown, gains.nan_to_num(-LARGE, LARGE, -LARGE), -math.inf)
    values, chosen = ranked.topk(min(count + 1, len(ranked)))
    least, following = values[count - 1], values[count:]
    chosen = chosen[:count].sort().values
    if bool((following == least).any()):  # of equals the first
        above = chosen[ranked[chosen] > least]
        equal = ((ranked == least) & shown).nonzero()[: count - len(above), 0]
        chosen = torch.cat([above, equal])
    return chosen[ranked[chosen].argsort(descending=True, stable=True)]


def refine(image: MaskedImage, path: SelectionPath, tau: float, steps: int) -> SelectionPath:
    """Return the path with its last pixels searched more finely, where that makes the subset fewer.

    Only the last two steps' pixels are searched again, and only where the subset lies among them:
    by gradients in ever smaller steps, and in the end exactly, one pixel after the other.

    Args:
        image: The image.
        path: A complete path.
        tau: Probability that the subset reaches.
        steps: How many steps the search took; the exact part costs 4 passes for each at most.
    """
    while (size := path.smallest_size(tau)) and path.step > 1 and size <= 2 * path.step:
        last = min(2 * path.step, int(path.start.sum()))
        if last <= exact_pixels(path.step, steps):
            *_, tail = exact_paths(image, path.mask(last))
        else:
            tail = _search_by_gradient(image, path.mask(last), finer_step(last))
        finer = _joined(path, tail, last)
        finer_size = finer.smallest_size(tau)
        if finer_size is None or finer_size > size:
            break
        path = finer
    return path


def confirm(image: MaskedImage, path: SelectionPath, tau: float) -> SelectionPath:
    """Return the path with the margin of its subset as torch computes it.

    Where that does not reach the probability, the next larger subset is the one, and so on.
    """
    confirmed: set[int] = set()
    while (size := path.smallest_size(tau)) is not None and size not in confirmed:
        confirmed.add(size)
        margins = path.margins.copy()
        margins[path.kept_counts == size] = image.margins(path.mask(size)[None], by_torch=True)
        path = replace(path, margins=margins)
    return path


def exact_paths(image: MaskedImage, start: Mask) -> Iterator[SelectionPath]:
    """Yield the exact path as far as it is, after every hidden pixel."""
    margins = image.margins(start[None]).tolist()
    order: list[int] = []
    total = int(start.sum())
    for index, margin in sis.backward_selection(image.margins, start):
        order.append(index)
        margins.append(margin)
        counts = np.arange(total, total - len(order) - 1, -1)
        yield SelectionPath(start, np.array(order, np.int64), counts, np.array(margins), 1)


def _search_by_gradient(image: MaskedImage, start: Mask, step: int) -> SelectionPath:
    targets = torch.tensor([image.target], device=image.classifier.device)
    search = BatchedGradientSearch(
        image.classifier, image.infill, targets, step, start[None], image.count_passes
    )
    return search.run()[0]


def _joined(path: SelectionPath, tail: SelectionPath, last: int) -> SelectionPath:
    """Return a path whose last so many pixels are hidden in another order."""
    before = path.kept_counts > last
    return SelectionPath(
        path.start,
        np.concatenate([path.order[: int(path.start.sum()) - last], tail.order]),
        np.concatenate([path.kept_counts[before], tail.kept_counts]),
        np.concatenate([path.margins[before], tail.margins]),
        tail.step,
    )
