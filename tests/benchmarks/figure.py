"""One figure, with all that it takes to read it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diagnostics.metrics.intervals import wilson

FASTER = "x faster"


@dataclass(frozen=True)
class Figure:
    """What was measured, of how many, how far it spread, and what it should be.

    Args:
        what: What was measured; no other figure of its part has the same words.
        value: The figure; the median where it was taken in rounds.
        unit: "x" and "x faster" are ratios within one run; "%", "s", "MiB" or none.
        limit: What it should keep to, at most, or at least where it is `at_least`; None asks for
            nothing.
        n: Of how many.
        of: Of how many what: rounds, images, maps.
        low: Least of the rounds, or where the 95 % interval of a rate begins; None where there is
            no spread.
        high: Most of the rounds, or where the interval ends.
        at_least: Whether the limit is one from below.
        engine: What passed the images, and how many at once.
        threads: With how many threads; None where processes choose by themselves.
        remark: What should be read with it.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None
    n: int = 1
    of: str = "rounds"
    low: float | None = None
    high: float | None = None
    at_least: bool = False
    engine: str = ""
    threads: int | None = None
    remark: str = ""

    @property
    def kept(self) -> bool:
        """Whether it keeps to its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def spread(self) -> str:
        """How far it spread, in words, and of how many it is."""
        if self.low is None or self.high is None:
            return f"{self.n} {self.of}"
        return f"{number(self.low)}–{number(self.high)}, {self.n} {self.of}"

    @property
    def bound(self) -> str:
        """The limit in words; empty where there is none."""
        if self.limit is None:
            return ""
        return f"{'at least' if self.at_least else 'at most'} {number(self.limit)}"

    @property
    def conditions(self) -> str:
        """Engine, threads and remark in words."""
        threads = f"{self.threads} threads" if self.threads else ""
        return "; ".join(part for part in (self.engine, threads, self.remark) if part)

    def __str__(self) -> str:
        mark = "    " if self.limit is None else "ok  " if self.kept else "OVER"
        conditions = f" [{self.conditions}]" if self.conditions else ""
        value = f"{number(self.value)} {self.unit}"
        return f"{mark} {value:14} ({self.spread}) {self.bound:13} {self.what}{conditions}"


def median(what: str, values: Sequence[float], unit: str, **rest: Any) -> Figure:
    """Return the figure of some rounds: their median and range."""
    return Figure(
        what,
        statistics.median(values),
        unit,
        n=len(values),
        low=min(values),
        high=max(values),
        **rest,
    )


def share(what: str, hits: int, n: int, of: str, **rest: Any) -> Figure:
    """Return a rate in per cent, with the 95 % interval of Wilson."""
    low, high = wilson(hits, n)
    return Figure(what, 100 * hits / n, "%", n=n, of=of, low=100 * low, high=100 * high, **rest)


def number(value: float) -> str:
    """Return a number with three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
