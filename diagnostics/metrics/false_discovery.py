"""Many tests at once: which are true findings, when a share of those named may be false."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diagnostics.errors import InputError
from diagnostics.schema.results.ood import Discoveries

ROUNDING = 1e-12  # (k / n) * n is not always k


def benjamini_hochberg(p_values: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Return which hypotheses are rejected, so that few of those rejected are true.

    On average at most `rate` of the rejected ones are true (the false discovery rate). With
    conformal p-values that share their calibration images this still holds: they depend
    positively on each other (Bates et al. 2023, arXiv:2104.08279, theorem 2).

    Args:
        p_values: One for each hypothesis, 0 to 1.
        rate: Above 0 and below 1.

    Returns:
        Of the same shape: the k smallest, for the largest k whose k-th smallest is at most
        rate * k / n.

    Raises:
        InputError: When a value lies outside its range.

    Source:
        Benjamini & Hochberg 1995, "Controlling the false discovery rate", section 3.1.
    """
    if not 0 < rate < 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise InputError(
            f"The rate must lie between 0 and 1 and p-values in [0, 1]; got {rate} and "
            f"{p_values.tolist()}."
        )
    n = len(p_values)
    ordered = np.sort(p_values)
    kept = np.flatnonzero(ordered * n <= rate * np.arange(1, n + 1) * (1 + ROUNDING))
    limit = ordered[kept[-1]] if len(kept) else -math.inf
    rejected: NDArray[np.bool_] = p_values <= limit
    return rejected


def discoveries(
    names: Sequence[str], p_values: Sequence[float | None], calibrating: int, rate: float
) -> Discoveries:
    """Return which of several images are strange together, see `benjamini_hochberg`.

    Args:
        names: Of the images.
        p_values: Of each, counted among the calibration images; None where it has none.
        calibrating: How many calibration images there are.
        rate: Above 0 and below 1.
    """
    known = [(name, p) for name, p in zip(names, p_values, strict=True) if p is not None]
    rejected = benjamini_hochberg(np.array([p for _, p in known], np.float64), rate)
    smallest = len(known) / (calibrating + 1) / rate  # of n p-values, in steps of the procedure
    return Discoveries(
        rate=rate,
        n=len(known),
        least=max(1, math.ceil(smallest * (1 - ROUNDING))),
        files=[name for (name, _), is_strange in zip(known, rejected, strict=True) if is_strange],
    )
