"""Planted errors on the networks that the thresholds of the preprocessing check were chosen on."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.figure import Figure
from tests.benchmarks.preprocessing import worlds
from tests.benchmarks.rates.preprocessing import measured


def figures() -> Iterator[Figure]:
    """Yield the same as for the other networks."""
    yield from measured(tuple(worlds.CHOSEN_ON))
