"""Calibration errors without the bias of few images: debiased, with intervals and chance bands.

A calibration error counted in bins is too high: chance alone moves accuracy away from confidence.
So labels are drawn anew from a law that has a share of the counted gaps, and the share is sought at
which what was counted is the median, the 97.5 % and the 2.5 % quantile of what the draws count. The
true error of these laws is known; at a share of 0 the law is calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.metrics.calibration import Floats, bin_indices, checked
from diagnostics.metrics.classification import labelled
from diagnostics.metrics.intervals import wilson
from diagnostics.schema.results.calibration import CalibrationError

DRAWS = 400
TAILS = (0.025, 0.975)
STEPS = 10  # of bisection
MAX_SHARE = 1024.0
AT_ONCE = 2**21  # random numbers held at the same time


@dataclass(frozen=True)
class Consistency:
    """What calibrated answers of the same confidences show by chance.

    Args:
        gap: The ends of mean confidence − accuracy at the level asked for.
        accuracy_low: Shape (bins,), lower end of each bin's accuracy in the middle 95 % of draws;
            NaN in an empty bin.
        accuracy_high: Shape (bins,), upper end.
    """

    gap: tuple[float, float]
    accuracy_low: Floats
    accuracy_high: Floats


def debiased_ece(
    confidence: ArrayLike,
    correct: ArrayLike,
    bins: int = 15,
    *,
    adaptive: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> CalibrationError:
    """Return the calibration error of the top answers without the bias of few images.

    The upper end is at least as far as the interval of mean confidence − accuracy reaches, because
    the true error is no smaller than that gap: a hundred right answers out of a hundred do not show
    that the next hundred will be right.

    Args:
        confidence: Shape (n,), probability of the predicted class, 0 to 1.
        correct: Shape (n,), whether that class was the true one.
        bins: Of equal width.
        adaptive: Cut into bins that hold equally many images instead.
        draws: Of the labels, for each share of the gaps.
        seed: Seed of the draws.

    Source:
        Bröcker & Smith 2007, "Increasing the Reliability of Reliability Diagrams" (the draws at a
        share of 0); the interval inverts the test of every share.
    """
    p, hits = checked(confidence, correct, bins)
    order = np.argsort(p, kind="stable")
    law = _TopAnswers(p[order], hits[order], bins, adaptive=adaptive, draws=draws, seed=seed)
    return _reaching(_debiased(law), _far_gap(p, hits))


def debiased_classwise_ece(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 15,
    *,
    draws: int = DRAWS // 2,
    seed: int = 0,
) -> CalibrationError:
    """Return the classwise calibration error without the bias of few images.

    Args:
        probabilities: Shape (n, k), rows sum to 1.
        labels: Shape (n,), the true classes.
        bins: Of equal width.
        draws: As for `debiased_ece`.
        seed: Seed of the draws.
    """
    p, y = labelled(probabilities, labels)
    far = _far_gap(p.max(axis=1), (p.argmax(axis=1) == y).astype(np.float64))
    # Where top answers have bins of their own, what they lack lies in the other classes as well.
    return _reaching(_debiased(_AllAnswers(p, y, bins, draws, seed)), 2 * far / p.shape[1])


def consistency(
    confidence: ArrayLike, bins: int = 15, *, gap_level: float, draws: int = DRAWS, seed: int = 0
) -> Consistency:
    """Return what calibrated answers of these confidences show by chance.

    Args:
        confidence: Shape (n,), probability of the predicted class.
        bins: Of equal width.
        gap_level: The share of draws whose gap lies within the ends.
        draws: How often right and wrong are drawn anew, right with the image's own confidence.
        seed: Seed of the draws.

    Source:
        Bröcker & Smith 2007, "Increasing the Reliability of Reliability Diagrams" (consistency
        resampling).
    """
    p = np.sort(np.asarray(confidence, np.float64))
    law = _TopAnswers(p, p, bins, adaptive=False, draws=draws, seed=seed)
    hits, sizes = law.hits(0.0), law.sizes
    gaps = p.mean() - hits.sum(axis=1) / len(p)
    low, high = np.quantile(gaps, [(1 - gap_level) / 2, (1 + gap_level) / 2])
    ends = np.full((2, bins), np.nan)
    ends[:, sizes > 0] = np.quantile(hits[:, sizes > 0] / sizes[sizes > 0], TAILS, axis=0)
    return Consistency((float(low), float(high)), ends[0], ends[1])


class _Law(Protocol):
    """Labels drawn so that a share of the counted gaps is true."""

    counted: float

    def error(self, share: float) -> float:
        """Return the true error at a share of the gaps."""

    def draws(self, share: float) -> Floats:
        """Return what is counted of every draw, shape (draws,); the same seed for every share."""


def _debiased(law: _Law) -> CalibrationError:
    chance = law.draws(0.0)

    def share_where_counted_is(quantile: float) -> float:
        if np.quantile(chance, quantile) >= law.counted:
            return 0.0
        low, high = 0.0, 1.0
        while high < MAX_SHARE and np.quantile(law.draws(high), quantile) < law.counted:
            low, high = high, 2 * high
        for _ in range(STEPS):
            middle = (low + high) / 2
            below = np.quantile(law.draws(middle), quantile) < law.counted
            low, high = (middle, high) if below else (low, middle)
        return high

    lower, upper = TAILS
    low, value, high = (
        law.error(share) if share else 0.0
        for share in map(share_where_counted_is, (upper, 0.5, lower))
    )
    chance_low, chance_high = np.quantile(chance, TAILS).tolist()
    return CalibrationError(
        counted=law.counted,
        value=value,
        low=min(low, value),
        high=max(high, value),
        chance_low=chance_low,
        chance_high=chance_high,
    )


def _reaching(error: CalibrationError, far: float) -> CalibrationError:
    """Return the error with an upper end no nearer than `far`."""
    return {**error, "high": max(error["high"], far)}


def _far_gap(p: Floats, hits: Floats) -> float:
    """Return how far mean confidence can be from the true accuracy, by Wilson's interval."""
    ends = wilson(int(hits.sum()), len(hits))
    return float(max(abs(p.mean() - end) for end in ends))


class _TopAnswers:
    """The law of whether top answers are right, over images sorted by confidence.

    Images of exactly the same confidence that a cell's end parts count as equally right, so their
    order plays no part.
    """

    def __init__(
        self, p: Floats, hits: Floats, bins: int, *, adaptive: bool, draws: int, seed: int
    ) -> None:
        n = len(p)
        inner = np.searchsorted(p, np.arange(1, bins) / bins)
        if adaptive:
            filled = min(bins, n)
            inner = np.arange(1, filled) * (n // filled) + np.minimum(
                np.arange(1, filled), n % filled
            )
        ends = np.concatenate([[0], inner, [n]])
        starts = np.append(np.flatnonzero(np.diff(p, prepend=-1.0)), n)
        group = np.searchsorted(starts, ends, side="right") - 1
        self._first, self._next = starts[group], starts[np.minimum(group + 1, len(starts) - 1)]
        width = np.maximum(self._next - self._first, 1)
        self._part = (ends - self._first) / width
        self._p, self._draws, self._seed = p, draws, seed
        self.sizes = np.diff(ends)
        self._sure = self._in_cells(p[None])[0]
        own = self._in_cells(hits[None])[0]
        self._gap = np.repeat((own - self._sure) / np.maximum(self.sizes, 1), self.sizes)
        self.counted = self._error(own)

    def error(self, share: float) -> float:
        return self._error(self._in_cells(self._rates(share)[None])[0])

    def draws(self, share: float) -> Floats:
        errors: Floats = np.abs(self.hits(share) - self._sure).sum(axis=1) / len(self._p)
        return errors

    def hits(self, share: float) -> Floats:
        """Return how many images of each cell are right in each draw, shape (draws, cells)."""
        rates, random = self._rates(share), np.random.default_rng(self._seed)
        step = max(AT_ONCE // len(rates), 1)
        counts = [min(step, self._draws - start) for start in range(0, self._draws, step)]
        return np.concatenate(
            [self._in_cells(random.random((count, len(rates))) < rates) for count in counts]
        )

    def _rates(self, share: float) -> Floats:
        return np.clip(self._p + share * self._gap, 0, 1)

    def _in_cells(self, values: NDArray[np.float64] | NDArray[np.bool_]) -> Floats:
        """Return sums over the cells, shape (rows, cells)."""
        sums = np.zeros((len(values), values.shape[1] + 1))
        np.cumsum(values, axis=1, out=sums[:, 1:])
        first = sums[:, self._first]
        at_ends = first + self._part * (sums[:, self._next] - first)
        return np.diff(at_ends, axis=1)

    def _error(self, cells: Floats) -> float:
        return float(np.abs(cells - self._sure).sum() / len(self._p))


class _AllAnswers:
    """The law of the true class, by the gap of each class in each bin of its probability."""

    def __init__(
        self, p: Floats, labels: NDArray[np.intp], bins: int, draws: int, seed: int
    ) -> None:
        k = p.shape[1]
        self._p, self._draws, self._seed, self._count = p, draws, seed, bins * k
        self._cells = np.arange(k) * bins + bin_indices(p, bins)
        self._sure = self._in_cells(p)
        own = self._of_labels(labels)
        sizes = np.bincount(self._cells.ravel(), minlength=self._count)
        self._gap = (own - self._sure) / np.maximum(sizes, 1)
        self.counted = self._error(own)

    def error(self, share: float) -> float:
        return self._error(self._in_cells(self._rates(share)))

    def draws(self, share: float) -> Floats:
        n = len(self._p)
        up_to = self._rates(share).cumsum(axis=1)
        up_to = up_to / up_to[:, -1:] + np.arange(n)[:, None]  # all rows one rising row
        random = np.random.default_rng(self._seed)
        last = self._p.shape[1] - 1
        errors = np.empty(self._draws)
        for draw in range(self._draws):
            found = np.searchsorted(up_to.ravel(), random.random(n) + np.arange(n), side="right")
            labels = np.minimum(found - np.arange(n) * (last + 1), last)
            errors[draw] = self._error(self._of_labels(labels))
        return errors

    def _rates(self, share: float) -> Floats:
        if share == 0:
            return self._p
        rates = np.maximum(self._p + share * self._gap[self._cells], 0)
        total = rates.sum(axis=1, keepdims=True)
        return np.where(total > 0, rates / np.where(total > 0, total, 1), self._p)

    def _in_cells(self, values: Floats) -> Floats:
        counts = np.bincount(self._cells.ravel(), values.ravel(), minlength=self._count)
        return counts.astype(np.float64)

    def _of_labels(self, labels: NDArray[np.intp]) -> Floats:
        cells = self._cells[np.arange(len(labels)), labels]
        return np.bincount(cells, minlength=self._count).astype(np.float64)

    def _error(self, cells: Floats) -> float:
        return float(np.abs(cells - self._sure).sum() / self._p.size)
