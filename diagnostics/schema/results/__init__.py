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
