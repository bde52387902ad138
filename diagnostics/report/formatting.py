"""Counted rates and names as charts write them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.intervals import wilson
from diagnostics.text import shortened

Values = NDArray[np.float64]
MOST_DECADES = 30  # beyond, a probability is drawn at the end of the axis
TICKS = 9  # on an axis, at most
EDGE = 0.1


def rate(hits: int, n: int) -> str:
    """Return "18 of 20 (70–97 %)": a count, and the 95 % interval of its rate."""
    return f"{hits} of {n} ({interval(*wilson(hits, n))})"


def interval(low: float, high: float) -> str:
    """Return "70–97 %", with a decimal where whole percent would hide the ends."""
    near = min(low, 1 - high) < 0.01 and (low, high) != (0.0, 1.0)
    return f"{_percent(low, near)}–{_percent(high, near)} %"


def escaped(text: str, length: int = 24) -> str:
    """Return a name as plotly shows it: text, whatever marks are in it, and not too long."""
    short = shortened(text, length)
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def stretched(probability: Values, distance: Values) -> Values:
    """Return log10(p / (1 − p)), which tells 99 % from 99.99 % as well as 1 % from 10 %.

    Args:
        probability: 0 to 1.
        distance: 1 - probability, exact.
    """
    tiny = 10.0**-MOST_DECADES
    odds: Values = np.log10(np.maximum(probability, tiny)) - np.log10(np.maximum(distance, tiny))
    return odds


def stretched_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Return where probabilities are written on a stretched axis, and how.

    Args:
        low: Left end of what is shown.
        high: Right end.
    """
    far = [10.0**-decades for decades in range(4, MOST_DECADES + 1)]
    distances = [0.5, 0.01, 0.1, 0.9, 0.001, *far, 0.99, 0.999, 0.25, 0.75, 0.05, 0.2]
    kept: list[tuple[float, str]] = []
    for distance in distances:
        at = float(stretched(np.array([1 - distance]), np.array([distance]))[0])
        if low - EDGE <= at <= high + EDGE and all(
            abs(at - other) >= (high - low) / TICKS for other, _ in kept
        ):
            kept.append((at, _tick(distance)))
    return [at for at, _ in sorted(kept)], [name for _, name in sorted(kept)]


def _tick(distance: float) -> str:
    if distance >= 1e-3:
        return f"{100 * (1 - distance):.4g} %"
    return f"1 − 1e-{round(-np.log10(distance))}"


def _percent(share: float, near: bool) -> str:
    return f"{100 * share:.1f}" if near else f"{100 * share:.0f}"
