"""MAP-Elites: the surest picture of every class, each a parent of pictures of any class.

Source: Mouret & Clune 2015, arXiv:1504.04909, as Nguyen, Yosinski & Clune 2015 use it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.methods.fooling import _cppn as cppn
from diagnostics.methods.fooling._archive import LEVELS, Record, Rgb, pixels_of
from diagnostics.methods.fooling._cppn import Genome, Random, polynomial
from diagnostics.models.features import batch_size
from diagnostics.models.log_odds import margins
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted

Encoding: TypeAlias = Literal["direct", "cppn"]
Margins: TypeAlias = NDArray[np.float64]
Reals: TypeAlias = NDArray[np.floating[Any]]

RATE, HALVED_EVERY = 0.1, 1000  # of a pixel to mutate, and after how many generations it halves
ETA_MUTATION, ETA_CROSSOVER = 15.0, 10.0
CROSSED, EXCHANGED = 0.5, 0.5  # share of the pairs, and of a pair's pixels


@dataclass(frozen=True)
class Child:
    """A picture, shape (h, w, c), and what it grew from; where it is encoded directly, itself."""

    picture: Rgb
    genome: Genome | None = None


class Growing(Protocol):
    """How pictures come from nothing and from one another."""

    def first(self, random: Random) -> Child:
        """Return a picture without parents."""

    def pair(self, random: Random, one: Child, other: Child, rate: float) -> tuple[Child, Child]:
        """Return two children of two parents.

        Args:
            random: Decides everything.
            one: A parent.
            other: The other, or the same.
            rate: Share of the pixels that are mutated, where they are encoded directly.
        """


class Direct:
    """Every pixel is a gene: the picture itself, in 8 bits, is what is crossed and mutated.

    Args:
        shape: Of a picture, (h, w, c).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def first(self, random: Random) -> Child:
        """Return even noise."""
        return Child(random.integers(0, LEVELS + 1, self._shape, dtype=np.uint8))

    def pair(self, random: Random, one: Child, other: Child, rate: float) -> tuple[Child, Child]:
        """Return two children by simulated binary crossover and polynomial mutation."""
        a, b = self._values(one), self._values(other)
        if random.random() < CROSSED:
            a, b = crossover(random, a, b)
        return self._mutated(random, a, rate), self._mutated(random, b, rate)

    def _values(self, child: Child) -> Reals:
        return child.picture.astype(np.float32) / np.float32(LEVELS)

    def _mutated(self, random: Random, values: Reals, rate: float) -> Child:
        chosen = random.random(values.shape, np.float32) < rate
        moved = values[chosen] + polynomial(random.random(int(chosen.sum())), ETA_MUTATION)
        mutated = values.copy()
        mutated[chosen] = moved
        return Child(np.rint(mutated.clip(0, 1) * LEVELS).astype(np.uint8))


class Painted:
    """A small network paints the picture, so it is made of shapes, edges and repetitions.

    Args:
        shape: Of a picture, (h, w, c).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._height, self._width, self._channels = shape

    def first(self, random: Random) -> Child:
        """Return what a network without hidden units paints."""
        return self._child(cppn.first(random, self._channels))

    def pair(self, random: Random, one: Child, other: Child, rate: float) -> tuple[Child, Child]:
        """Return two children, each with the form of one parent and weights of both."""
        a, b = one.genome, other.genome
        assert a is not None
        assert b is not None
        if random.random() < CROSSED:
            a, b = cppn.crossed(random, a, b), cppn.crossed(random, b, a)
        return self._child(cppn.mutated(random, a)), self._child(cppn.mutated(random, b))

    def _child(self, genome: Genome) -> Child:
        return Child(cppn.painted(genome, self._height, self._width), genome)


def growing(encoding: Encoding, spec: ModelSpec) -> Growing:
    """Return how pictures of an encoding grow, in the size of the model's input."""
    shape = (spec.height, spec.width, spec.channels)
    return Direct(shape) if encoding == "direct" else Painted(shape)


def crossover(random: Random, one: Reals, other: Reals) -> tuple[Reals, Reals]:
    """Return two children by simulated binary crossover: their mean is that of the parents.

    Source: Deb & Agrawal 1995.
    """
    u = random.random(one.shape, np.float32)
    power = 1 / (ETA_CROSSOVER + 1)
    beta = np.where(u < 0.5, (2 * u) ** power, (2 * (1 - u)) ** -power)
    beta = np.where(random.random(one.shape, np.float32) < EXCHANGED, beta, 1)
    middle, half = (one + other) / 2, beta * (one - other) / 2
    return middle + half, middle - half


class Archive:
    """The surest child of every class so far.

    Args:
        classes: How many there are.
    """

    def __init__(self, classes: int) -> None:
        self.margins: Margins = np.full(classes, -np.inf)
        self.elites: list[Child | None] = [None] * classes

    @property
    def parents(self) -> list[Child]:
        """The elites of the classes that have one."""
        return [one for one in self.elites if one is not None]

    def offer(self, children: Sequence[Child], margins: Margins) -> list[int]:
        """Let a child take the place of the elite of every class that it is surer of.

        Args:
            children: Of one generation.
            margins: log(p / (1 − p)) of every class, shape (n, k); minus infinity for a child whose
                numbers are not finite.

        Returns:
            The classes that have a new elite.
        """
        best = margins.argmax(0)
        most = margins[best, np.arange(len(best))]
        better = np.flatnonzero(most > self.margins)
        for index in better:
            self.margins[index], self.elites[index] = most[index], children[best[index]]
        return better.tolist()


def evolve(
    record: Record, encoding: Encoding, *, generations: int, children: int, seconds: int
) -> None:
    """Evolve pictures, and note every generation.

    Args:
        record: Takes what is found.
        encoding: How pictures grow.
        generations: How many at most, after the first pictures.
        children: Of a generation, and how many there are at first.
        seconds: No generation begins later; 0 sets no limit.
    """
    context = record.context
    spec = context.classifier.spec
    grow, random = growing(encoding, spec), np.random.default_rng(context.seed)
    archive, began = Archive(len(spec.class_names)), time.monotonic()
    places = {index: place for place, index in enumerate(record.classes)}
    for generation in range(generations + 1):
        if generation and seconds and time.monotonic() - began >= seconds:
            record.notes.append(
                f"The time was up after {counted(generation - 1, 'generation')} of {generations}."
            )
            break
        parents = archive.parents
        rate = RATE * 0.5 ** (generation // HALVED_EVERY)
        if parents:
            born = _born(grow, random, parents, children, rate)
        else:
            born = [grow.first(random) for _ in range(children)]
        for index in archive.offer(born, _measured(record, born)):
            elite = archive.elites[index]
            if index in places and elite is not None:
                record.offer(generation, places[index], archive.margins[index], elite.picture)
        record.trace(generation, range(len(places)), record.margins)
        record.tell(f"Generation {generation} of {generations}", generation / generations)


def _born(
    grow: Growing, random: Random, parents: Sequence[Child], count: int, rate: float
) -> list[Child]:
    """Return the children of a generation; parents are drawn evenly from the archive."""
    drawn = random.integers(len(parents), size=(-(-count // 2), 2))
    pairs = [grow.pair(random, parents[one], parents[other], rate) for one, other in drawn]
    return [child for pair in pairs for child in pair][:count]


@torch.no_grad()
def _measured(record: Record, born: Sequence[Child]) -> Margins:
    """Return every child's margins, shape (n, k)."""
    classifier = record.context.classifier
    pixels = pixels_of([child.picture for child in born], record.context)
    parts = torch.split(pixels, batch_size(classifier))
    logits = torch.cat([classifier.logits(part) for part in parts])
    found = margins(logits, independent=classifier.spec.output.independent)
    record.evaluations += len(born)
    record.not_finite += int(torch.isneginf(found).all(1).sum())
    measured: Margins = found.cpu().numpy()
    return measured
