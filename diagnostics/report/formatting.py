"""Counted rates and names as tables and charts write them."""

from __future__ import annotations

from diagnostics.metrics.intervals import wilson
from diagnostics.text import shortened


def rate(hits: int, n: int) -> str:
    """Return "18 of 20 (70–97 %)": a count, and the 95 % interval of its rate."""
    return f"{hits} of {n} ({interval(*wilson(hits, n))})"


def interval(low: float, high: float) -> str:
    """Return "70–97 %", with a decimal where whole percent would hide how near 0 or 100 an end is.

    An end that is 0 or 1 itself is no estimate, so it gets none: 2 of 2 is "34–100 %".
    """
    near = any(0 < min(end, 1 - end) < 0.02 for end in (low, high))
    return f"{_percent(low, near)}–{_percent(high, near)} %"


def escaped(text: str, length: int = 24) -> str:
    """Return a name as plotly shows it: text, whatever marks are in it, and not too long."""
    short = shortened(text, length)
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _percent(share: float, near: bool) -> str:
    return f"{100 * share:.1f}" if near and share not in (0, 1) else f"{100 * share:.0f}"
