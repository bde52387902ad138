"""Evolution of images of every class at once: MAP-Elites, by Mouret & Clune 2015, arXiv:1504.04909.

The most confident image of every class is kept, and each is a parent of images of any class.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.fooling import _cppn as cppn
from diagnostics.methods.fooling._archive import LEVELS, Archive, Rgb, as_pixels, target_indices
from diagnostics.methods.fooling._cppn import Genome, polynomial_steps
from diagnostics.methods.registry import method
from diagnostics.models.features import batch_size
from diagnostics.models.log_odds import margins
from diagnostics.schema.options import Range
from diagnostics.schema.results.fooling import FoolingAnswer
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted

EncodingName: TypeAlias = Literal["direct", "cppn"]
Margins: TypeAlias = NDArray[np.float64]
Values: TypeAlias = NDArray[np.floating[Any]]

RATE, HALVED_EVERY = 0.1, 1000  # of a pixel to mutate, and after how many generations it halves
ETA_MUTATION, ETA_CROSSOVER = 15.0, 10.0
CROSSOVER_RATE, EXCHANGE_RATE = 0.5, 0.5  # of pairs of parents, and of a pair's pixels


@method("Evolution", source="MAP-Elites, Nguyen, Yosinski & Clune 2015, arXiv:1412.1897")
def map_elites(
    context: Context,
    *,
    encoding: EncodingName = "direct",
    targets: str = "",
    generations: Annotated[int, Range(1, 5000)] = 200,
    children: Annotated[int, Range(2, 1000)] = 200,
    seconds: Annotated[int, Range(0, 86400, "s")] = 120,
) -> Outcome[FoolingAnswer]:
    """Pictures that grow by chance and by what the model is surest of; no gradient is needed.

    Every picture competes in all classes, and the surest of each has children, also those of the
    classes that are not meant: a picture on its way to one class may be a step to another.

    Args:
        context: Gives model, seed and, where no classes are named, the class that is meant.
        encoding: direct changes every pixel by itself; cppn changes a small network that paints.
        targets: Indices of the classes that are shown, separated by commas; empty means the class
            that is explained, or all.
        generations: How many at most.
        children: Pictures of a generation.
        seconds: No generation begins later; 0 sets no limit. It decides how far the work gets,
            never what a generation is.

    Returns:
        For each class the most confident image, its probability, and the generation at which it was
        above one half, .99, .999 and .9999.

    Raises:
        InputError: When the model has one class only.
        OptionError: When a class is none of the model's.
    """
    archive = Archive(
        context,
        target_indices(targets, context),
        algorithm=f"evolution, {encoding}",
        unit="generation",
        max_iterations=generations,
    )
    evolve(archive, encoding, generations=generations, children=children, seconds=seconds)
    archive.confirm()
    return archive.outcome(complete=archive.iterations == generations)


@dataclass(frozen=True)
class Individual:
    """An image, shape (h, w, c), and the genome that paints it; None where pixels are the genes."""

    image: Rgb
    genome: Genome | None = None


class Encoding(ABC):
    """How images come from nothing and from one another."""

    @abstractmethod
    def random_individual(self, rng: Generator) -> Individual:
        """Return an individual without parents."""

    @abstractmethod
    def offspring(
        self, rng: Generator, parents: tuple[Individual, Individual], rate: float
    ) -> tuple[Individual, Individual]:
        """Return two children, by crossover and mutation.

        Args:
            rng: Decides everything.
            parents: Two, or the same twice.
            rate: Share of the pixels that are mutated, where they are encoded directly.
        """


class DirectEncoding(Encoding):
    """Every pixel is a gene: the image itself, in 8 bits, is what is crossed and mutated.

    Args:
        shape: Of an image, (h, w, c).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def random_individual(self, rng: Generator) -> Individual:
        """Return uniform noise."""
        return Individual(rng.integers(0, LEVELS + 1, self._shape, dtype=np.uint8))

    def offspring(
        self, rng: Generator, parents: tuple[Individual, Individual], rate: float
    ) -> tuple[Individual, Individual]:
        """Return two children by simulated binary crossover and polynomial mutation."""
        first, second = (parent.image.astype(np.float32) / np.float32(LEVELS) for parent in parents)
        if rng.random() < CROSSOVER_RATE:
            first, second = simulated_binary_crossover(rng, first, second)
        return self._mutate(rng, first, rate), self._mutate(rng, second, rate)

    def _mutate(self, rng: Generator, values: Values, rate: float) -> Individual:
        chosen = rng.random(values.shape, np.float32) < rate
        mutated = values.copy()
        mutated[chosen] += polynomial_steps(rng.random(int(chosen.sum())), ETA_MUTATION)
        return Individual(np.rint(mutated.clip(0, 1) * LEVELS).astype(np.uint8))


class CppnEncoding(Encoding):
    """A small network paints the image, so it is made of shapes, edges and repetitions.

    Args:
        shape: Of an image, (h, w, c).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._height, self._width, self._channels = shape

    def random_individual(self, rng: Generator) -> Individual:
        """Return what a network without hidden units paints."""
        return self._individual(cppn.minimal_genome(rng, self._channels))

    def offspring(
        self, rng: Generator, parents: tuple[Individual, Individual], rate: float
    ) -> tuple[Individual, Individual]:
        """Return two children, each with the form of one parent and weights of both."""
        first, second = (parent.genome for parent in parents)
        assert first is not None
        assert second is not None
        if rng.random() < CROSSOVER_RATE:
            first, second = cppn.cross(rng, first, second), cppn.cross(rng, second, first)
        return self._individual(cppn.mutate(rng, first)), self._individual(cppn.mutate(rng, second))

    def _individual(self, genome: Genome) -> Individual:
        return Individual(cppn.paint(genome, self._height, self._width), genome)


def encoding_of(name: EncodingName, spec: ModelSpec) -> Encoding:
    """Return an encoding of images in the size of the model's input."""
    shape = (spec.height, spec.width, spec.channels)
    return DirectEncoding(shape) if name == "direct" else CppnEncoding(shape)


def simulated_binary_crossover(
    rng: Generator, first: Values, second: Values
) -> tuple[Values, Values]:
    """Return two children whose mean is that of the parents.

    Source: Deb & Agrawal 1995.
    """
    u = rng.random(first.shape, np.float32)
    power = 1 / (ETA_CROSSOVER + 1)
    beta = np.where(u < 0.5, (2 * u) ** power, (2 * (1 - u)) ** -power)
    beta = np.where(rng.random(first.shape, np.float32) < EXCHANGE_RATE, beta, 1)
    middle, half = (first + second) / 2, beta * (first - second) / 2
    return middle + half, middle - half


class EliteMap:
    """The elite of every class: the individual that the model is most confident of so far.

    Args:
        classes: How many there are.
    """

    def __init__(self, classes: int) -> None:
        self.margins: Margins = np.full(classes, -np.inf)
        self.elites: list[Individual | None] = [None] * classes

    @property
    def parents(self) -> list[Individual]:
        """The elites of the classes that have one."""
        return [elite for elite in self.elites if elite is not None]

    def offer(self, generation: Sequence[Individual], margins: Margins) -> list[int]:
        """Let an individual replace the elite of every class that the model is surer of with it.

        Args:
            generation: The individuals.
            margins: log(p / (1 − p)) of every class, shape (n, k); minus infinity for an individual
                whose numbers are not finite.

        Returns:
            The classes that have a new elite.
        """
        best = margins.argmax(0)
        highest = margins[best, np.arange(len(best))]
        better = np.flatnonzero(highest > self.margins)
        for index in better:
            self.margins[index], self.elites[index] = highest[index], generation[best[index]]
        return better.tolist()


def evolve(
    archive: Archive, encoding: EncodingName, *, generations: int, children: int, seconds: int
) -> None:
    """Evolve images, and note every generation.

    Args:
        archive: Takes the images of the target classes.
        encoding: How images come from one another.
        generations: How many at most, after the first images.
        children: Of a generation, and how many individuals there are at first.
        seconds: No generation begins later; 0 sets no limit.
    """
    spec = archive.context.classifier.spec
    genetics, elite_map = encoding_of(encoding, spec), EliteMap(len(spec.class_names))
    rng, start = np.random.default_rng(archive.context.seed), time.monotonic()
    columns = {index: column for column, index in enumerate(archive.targets)}
    for number in range(generations + 1):
        if number and seconds and time.monotonic() - start >= seconds:
            archive.notes.append(
                f"The time was up after {counted(number - 1, 'generation')} of {generations}."
            )
            break
        if parents := elite_map.parents:
            rate = RATE * 0.5 ** (number // HALVED_EVERY)
            generation = _next_generation(genetics, rng, parents, children, rate)
        else:
            generation = [genetics.random_individual(rng) for _ in range(children)]
        for index in elite_map.offer(generation, _evaluate(archive, generation)):
            elite = elite_map.elites[index]
            if index in columns and elite is not None:
                archive.offer(number, columns[index], elite_map.margins[index], elite.image)
        archive.trace(number, range(len(columns)), archive.margins)
        archive.report(f"Generation {number} of {generations}", number / generations)


def _next_generation(
    genetics: Encoding, rng: Generator, parents: Sequence[Individual], count: int, rate: float
) -> list[Individual]:
    """Return the children of a generation; parents are drawn evenly from the elites."""
    pairs = rng.integers(len(parents), size=(-(-count // 2), 2))
    twins = [
        genetics.offspring(rng, (parents[first], parents[second]), rate) for first, second in pairs
    ]
    return [child for pair in twins for child in pair][:count]


@torch.no_grad()
def _evaluate(archive: Archive, generation: Sequence[Individual]) -> Margins:
    """Return every individual's margins, shape (n, k)."""
    classifier = archive.context.classifier
    pixels = as_pixels([individual.image for individual in generation], archive.context)
    parts = torch.split(pixels, batch_size(classifier))
    logits = torch.cat([classifier.logits(part) for part in parts])
    every = margins(logits, independent=classifier.spec.output.independent)
    archive.evaluations += len(generation)
    archive.not_finite += int(torch.isneginf(every).all(1).sum())
    evaluated: Margins = every.cpu().numpy()
    return evaluated
