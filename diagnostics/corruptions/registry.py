"""The registry of corruptions: what each does to an image, in which unit, and how far."""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from diagnostics.errors import OptionError
from diagnostics.preprocessing.stages import Values
from diagnostics.text import number

PACKAGE = "diagnostics.corruptions"
DIGITS = 6  # that the number of a step keeps

Function: TypeAlias = Callable[[Values, float, Generator], Values]
Step: TypeAlias = tuple[str, float]  # a corruption's name, and the number at which it is applied


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt an image, by a number.

    Args:
        name: The same everywhere.
        title: What people read.
        summary: What it does, in a sentence.
        unit: Of the number.
        phrase: The number in a sentence, after "at"; "{}" is the number.
        limits: The smallest and the largest number.
        default_range: From where to where it goes unless a person says otherwise.
        identity: The number that leaves every image exactly as it is; None where none does.
        function: Takes values of shape (h, w, c) in [0, 1], the number, and where its random draws
            come from; returns values of the same shape, and leaves those it took alone.
        geometric: Whether equal steps multiply the number instead of adding to it.
        integer: Whether the number is an integer.
        out_of_range: Whether values may leave [0, 1], so that no picture file can hold them.
        colour_only: Whether it leaves grey images alone.
        severities: Constants of a benchmark, of which the number selects one, counted from 1;
            empty where the number itself goes to the function.
    """

    name: str
    title: str
    summary: str
    unit: str
    phrase: str
    limits: tuple[float, float]
    default_range: tuple[float, float]
    identity: float | None
    function: Function
    geometric: bool = False
    integer: bool = False
    out_of_range: bool = False
    colour_only: bool = False
    severities: tuple[float, ...] = ()

    def apply(self, values: Values, value: float, random: Generator) -> Values:
        """Return an image of shape (h, w, c) in [0, 1] corrupted at a number."""
        value = self.on_axis(value)
        if value == self.identity:
            return values
        if self.severities:
            value = self.severities[int(value) - 1]
        return np.ascontiguousarray(self.function(values, value, random), np.float32)

    def values(self, steps: int, start: float | None, stop: float | None) -> tuple[float, ...]:
        """Return the numbers from start to stop, the identity among them where it lies between.

        Args:
            steps: How many, at least 2; integers are not repeated.
            start: None takes that of the default range; may be larger than `stop`.
            stop: None takes that of the default range.

        Raises:
            OptionError: When an end lies outside the limits, or both are the same.
        """
        first, last = (
            self._within_limits(default if end is None else end)
            for end, default in zip((start, stop), self.default_range, strict=True)
        )
        if first == last:
            raise OptionError(f"{self.title} must go from one number to another; got {first:g}.")
        spaced = np.geomspace if self.geometric else np.linspace
        values = [float(f"{value:.{DIGITS}g}") for value in spaced(first, last, steps)]
        values[0], values[-1] = first, last
        values = [self.on_axis(value) for value in values]
        if self.identity is not None and min(first, last) < self.identity < max(first, last):
            tolerance = 1e-6 * abs(last - first)
            values = [value for value in values if abs(value - self.identity) > tolerance]
            values.append(self.identity)
        return tuple(sorted(set(values), reverse=first > last))

    def on_axis(self, value: float) -> float:
        """Return the number at which it is applied: the nearest integer where it takes integers."""
        return float(round(value)) if self.integer else value

    def contains(self, value: float) -> bool:
        """Say whether a number lies within the limits."""
        return self.limits[0] <= value <= self.limits[1]

    def at(self, value: float) -> str:
        """Return a number as it stands in a sentence after "at", such as "slope 12.5"."""
        return self.phrase.format(number(value))

    def _within_limits(self, value: float) -> float:
        low, high = self.limits
        if not self.contains(value):
            raise OptionError(
                f"{self.title} must lie between {low:g} and {high:g} {self.unit}; got {value:g}."
            )
        return value


_REGISTRY: dict[str, Corruption] = {}


def register(corruption: Corruption) -> None:
    """Add a corruption to those that can be chosen.

    Raises:
        ValueError: When its name is taken.
    """
    if corruption.name in _REGISTRY:
        raise ValueError(f"Two corruptions are called {corruption.name!r}.")
    _REGISTRY[corruption.name] = corruption


def corruption(
    title: str,
    summary: str,
    *,
    unit: str,
    phrase: str,
    limits: tuple[float, float],
    default_range: tuple[float, float],
    identity: float | None,
    geometric: bool = False,
    integer: bool = False,
    out_of_range: bool = False,
    colour_only: bool = False,
) -> Callable[[Function], Function]:
    """Register a function as the corruption of its name; the arguments are those of `Corruption`.

    Raises:
        ValueError: When the name is taken.
    """

    def registered(function: Function) -> Function:
        register(
            Corruption(
                name=function.__name__,
                title=title,
                summary=summary,
                unit=unit,
                phrase=phrase,
                limits=limits,
                default_range=default_range,
                identity=identity,
                function=function,
                geometric=geometric,
                integer=integer,
                out_of_range=out_of_range,
                colour_only=colour_only,
            )
        )
        return function

    return registered


@cache
def corruptions() -> Mapping[str, Corruption]:
    """Return every corruption by its name, those of benchmarks last."""
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__, f"{PACKAGE}."):
        importlib.import_module(module.name)
    ordered = sorted(_REGISTRY.values(), key=lambda entry: bool(entry.severities))
    return MappingProxyType({entry.name: entry for entry in ordered})


def names() -> tuple[str, ...]:
    """Return the name of every corruption, in the order in which they are offered."""
    return tuple(corruptions())


def find(name: str) -> Corruption:
    """Return the corruption of this name.

    Raises:
        OptionError: When there is none; the text lists those there are.
    """
    if name not in corruptions():
        raise OptionError(f"There is no corruption {name!r}; there are {', '.join(names())}.")
    return corruptions()[name]


def corrupt(values: Values, steps: Sequence[Step], seed: int) -> Values:
    """Return an image corrupted, one corruption after the other.

    Random draws depend on the seed, the corruption and the image before any, not on the number, so
    all numbers of a corruption share them.

    Args:
        values: Shape (h, w, c), in [0, 1].
        steps: Corruptions with their numbers; the identity leaves the values as they are.
        seed: At least 0.

    Returns:
        The same shape, float32; in [0, 1] unless a corruption goes out of range.
    """
    image = zlib.crc32(np.ascontiguousarray(values).tobytes())
    for name, value in steps:
        random = np.random.default_rng([seed, zlib.crc32(name.encode()), image])
        values = find(name).apply(values, value, random)
    return values
