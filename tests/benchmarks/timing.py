"""Taking times in turn, so that what else the machine does slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.figure import FASTER, Figure, median

Run = Callable[[], object]

SECONDS = 4.0  # of all rounds of one comparison, once there are as few as may be
FEWEST, MOST = 3, 15


def in_turn(*runs: Run, seconds: float = SECONDS, fewest: int = FEWEST) -> list[list[float]]:
    """Return the seconds of each run, one for each round; as many rounds as the time allows.

    Args:
        runs: What is timed, in this order in every round; each went once before.
        seconds: After which no further round begins.
        fewest: How many rounds there are at least.
    """
    taken: list[list[float]] = [[] for _ in runs]
    started = time.perf_counter()
    while len(taken[0]) < fewest or time.perf_counter() - started < seconds:
        for run, times in zip(runs, taken, strict=True):
            times.append(seconds_of(run))
        if len(taken[0]) == MOST:
            break
    return taken


def seconds_of(run: Run) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def beside(what: str, ours: Sequence[float], bare: Sequence[float], **rest: Any) -> Figure:
    """Return how many times as long ours takes, round by round."""
    return median(what, [our / other for our, other in zip(ours, bare, strict=True)], "x", **rest)


def faster(what: str, ours: Sequence[float], peer: Sequence[float], **rest: Any) -> Figure:
    """Return how many times as long the peer takes, round by round."""
    ratios = [other / our for our, other in zip(ours, peer, strict=True)]
    return median(what, ratios, FASTER, at_least=True, **rest)


def quickest(runs: Sequence[Run], finalists: int = 3, rounds: int = 2) -> int:
    """Return the number of the quickest of some runs.

    All run once, and the quickest of these a few times more in turn.
    """
    first = [seconds_of(run) for run in runs]
    best = sorted(range(len(runs)), key=first.__getitem__)[:finalists]
    taken = [[seconds_of(runs[number]) for number in best] for _ in range(rounds)]
    least = [min(column) for column in zip(*taken, strict=True)]
    return best[least.index(min(least))]
