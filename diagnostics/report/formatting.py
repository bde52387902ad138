"""Counted rates and names as tables and charts write them."""

from __future__ import annotations

from diagnostics.metrics.intervals import wilson
from diagnostics.text import shortened


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


def _percent(share: float, near: bool) -> str:
    return f"{100 * share:.1f}" if near else f"{100 * share:.0f}"
