"""Results: a TypedDict for every method's answer, one file per topic.

A method fills it, the wire carries it as JSON, report reads it, and the type checker reads both
ends. What several topics share stands here.
"""

from __future__ import annotations

from typing import TypeAlias, TypedDict

Interval: TypeAlias = tuple[float, float] | list[float]  # lower and upper end; a list after JSON


class Count(TypedDict):
    """How many of n.

    `interval` is Wilson's 95 % interval of the rate, 0 to 1.
    """

    hits: int
    n: int
    interval: Interval


class Rate(TypedDict):
    """How many of n, as a share, with the ends of Wilson's 95 % interval.

    `value`, `low` and `high` are 0 to 1; `value` is None where n is 0.
    """

    hits: int
    n: int
    value: float | None
    low: float
    high: float


class Estimate(TypedDict):
    """A number and the ends of its 95 % band."""

    value: float
    low: float
    high: float
