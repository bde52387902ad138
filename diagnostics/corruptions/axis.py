"""One way of altering an image by a number, and the numbers at which it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from diagnostics.errors import OptionError
from diagnostics.preprocessing.stages import Values

Apply: TypeAlias = Callable[[Values, float, Generator], Values]

DIGITS = 6  # that a step's number keeps


@dataclass(frozen=True)
class Axis:
    """One way of altering an image, by a number.

    Args:
        title: What people read.
        unit: Of the number.
        phrase: A number on it in a sentence, after "at"; "{}" is the number.
        limits: The smallest and the largest number.
        usual: From where to where it goes unless a person says otherwise.
        neutral: The number that leaves every image exactly as it is; None where none does.
        about: What it does, in a sentence.
        apply: Does it.
        geometric: Whether equal steps multiply the number instead of adding to it.
        whole: Whether the number is whole.
        beyond: Whether values may leave [0, 1], so that no picture file can hold them.
        colour: Whether it leaves grey images alone.
    """

    title: str
    unit: str
    phrase: str
    limits: tuple[float, float]
    usual: tuple[float, float]
    neutral: float | None
    about: str
    apply: Apply
    geometric: bool = False
    whole: bool = False
    beyond: bool = False
    colour: bool = False

    def values(self, steps: int, start: float | None, stop: float | None) -> tuple[float, ...]:
        """Return the numbers from start to stop, the neutral one among them where it lies between.

        Args:
            steps: How many, at least 2; whole numbers are not repeated.
            start: None takes the usual one; may be larger than `stop`.
            stop: None takes the usual one.

        Raises:
            OptionError: When an end lies outside the limits, or both are the same.
        """
        first, last = (
            self._checked(usual if given is None else given)
            for given, usual in zip((start, stop), self.usual, strict=True)
        )
        if first == last:
            raise OptionError(f"{self.title} must go from one number to another; got {first:g}.")
        spaced = np.geomspace if self.geometric else np.linspace
        found = [float(f"{one:.{DIGITS}g}") for one in spaced(first, last, steps)]
        found[0], found[-1] = first, last
        if self.whole:
            found = [float(round(one)) for one in found]
        if self.neutral is not None and min(first, last) < self.neutral < max(first, last):
            near = min(range(steps), key=lambda at: abs(found[at] - float(self.neutral or 0)))
            close = abs(found[near] - self.neutral) <= 1e-6 * abs(last - first)
            found[near] = self.neutral if close else found[near]
            found.append(self.neutral)
        return tuple(sorted(set(found), reverse=first > last))

    def holds(self, value: float) -> bool:
        """Say whether a number lies on the axis."""
        return self.limits[0] <= value <= self.limits[1]

    def _checked(self, value: float) -> float:
        low, high = self.limits
        if not self.holds(value):
            raise OptionError(
                f"{self.title} must lie between {low:g} and {high:g} {self.unit}; got {value:g}."
            )
        return value
