"""Sufficient input subsets, exactly: which few values alone keep a score above a threshold.

Carter, Mueller, Jain and Gifford 2019, "What made you do this?", arXiv:1810.03805. Everything here
sees only a scorer of masks; a mask is True where the value is shown and False where it is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]
Score: TypeAlias = Callable[[Mask], NDArray[Any]]

AT_ONCE = 1024  # masks that are scored together


@dataclass(frozen=True)
class Removal:
    """In which order values were hidden, and the score after each.

    Args:
        places: Flat index of each value in its mask, the first hidden first; shape (v,).
        values: Score after it was hidden, shape (v,).
    """

    places: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Subset:
    """One sufficient subset.

    Args:
        places: Flat indices in the mask, what was hidden last first.
        removal: The order in which everything was hidden that was shown at first.
    """

    places: tuple[int, ...]
    removal: Removal


def over(
    f: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any], hidden: NDArray[Any]
) -> Score:
    """Return the scorer of masks that goes with a scorer of inputs.

    Args:
        f: Takes inputs of shape (n, ...), gives n scores.
        values: One input.
        hidden: What stands where a value is hidden; of the input's shape, or one that fits it.
    """
    return lambda masks: f(np.where(masks, values, hidden))


def back_selecting(
    score: Score, shown: Mask, at_once: int = AT_ONCE
) -> Iterator[tuple[int, float]]:
    """Hide one value after the other, each time the one whose loss costs the score least.

    Among equals the first in row-major order is hidden. This asks for v (v + 1) / 2 scores.

    Args:
        score: Takes masks of shape (n, ...), gives n scores.
        shown: What is shown at first; any shape.
        at_once: How many masks are scored together.

    Yields:
        Flat index of what was hidden, and the score after it.
    """
    mask = np.array(shown, bool)
    flat = mask.reshape(-1)
    while (left := np.flatnonzero(flat)).size:
        values = np.concatenate(
            [
                np.asarray(score(_without(mask, left[start : start + at_once])), np.float64)
                for start in range(0, left.size, at_once)
            ]
        )
        # What is not a number is no reason to hide a value.
        best = int(np.argmax(np.where(np.isnan(values), -np.inf, values)))
        flat[left[best]] = False
        yield int(left[best]), float(values[best])


def back_select(score: Score, shown: Mask, at_once: int = AT_ONCE) -> Removal:
    """Return the order in which `back_selecting` hides everything."""
    return removal(list(back_selecting(score, shown, at_once)))


def removal(steps: Sequence[tuple[int, float]]) -> Removal:
    """Return steps of `back_selecting` as one order."""
    return Removal(
        np.array([place for place, _ in steps], np.int64),
        np.array([value for _, value in steps], np.float64),
    )


def find_sis(found: Removal, threshold: float) -> tuple[int, ...]:
    """Return the smallest end of an order that reaches the threshold, what was hidden last first.

    It is taken from the last hidden on, up to the first value after whose hiding the score still
    reached the threshold; that one is left out. All values are returned where none is such, and
    none where the score reaches the threshold with everything hidden.

    Raises:
        ValueError: When nothing was hidden.
    """
    if not found.places.size:
        raise ValueError("Nothing was hidden, so there is no subset of it.")
    taken: list[int] = []
    for place, value in zip(found.places[::-1], found.values[::-1], strict=True):
        if value >= threshold:
            break
        taken.append(int(place))
    return tuple(taken)


def collection(
    score: Score, shown: Mask, threshold: float, at_once: int = AT_ONCE, most: int | None = None
) -> list[Subset]:
    """Return disjoint sufficient subsets: each is found in what those before it left.

    Args:
        score: Takes masks of shape (n, ...), gives n scores.
        shown: What may be part of a subset.
        threshold: What a subset reaches by itself.
        at_once: How many masks are scored together.
        most: How many subsets at most; None ends where what is left stays below the threshold.

    Returns:
        No subset where even all values together stay below the threshold; one empty subset where
        nothing need be shown to reach it.
    """
    left = np.array(shown, bool)
    found: list[Subset] = []
    while (most is None or len(found) < most) and left.any():
        if not float(score(left[None])[0]) >= threshold:
            break
        order = back_select(score, left, at_once)
        found.append(Subset(find_sis(order, threshold), order))
        if not found[-1].places:
            break
        left.reshape(-1)[list(found[-1].places)] = False
    return found


def smallest(
    kept: NDArray[np.integer[Any]], values: NDArray[np.floating[Any]], threshold: float
) -> int | None:
    """Return how few values still reach a threshold; None where no point of the path does.

    Args:
        kept: How many values were shown at each point of a path.
        values: Score at each point.
        threshold: To be reached.
    """
    reached = np.asarray(kept)[np.asarray(values) >= threshold]
    return int(reached.min()) if reached.size else None


def _without(mask: Mask, places: NDArray[np.int64]) -> Mask:
    """Return the mask once for each place, that place hidden."""
    masks = np.repeat(mask[None], len(places), axis=0)
    masks.reshape(len(places), -1)[np.arange(len(places)), places] = False
    return masks
