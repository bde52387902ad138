"""Compositional pattern-producing networks: small networks that paint an image point by point.

A genome holds which units there are and how they are linked; it grows and shrinks by mutation.
Source: Stanley 2007; the rates are those of Nguyen, Yosinski & Clune 2015, arXiv:1412.1897.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from diagnostics.data.image import eight_bit

Values = NDArray[np.float32]
Link = tuple[int, int]  # from one unit to another

INPUTS = 4  # x, y, distance from the centre, and one
SINE, SIGMOID, GAUSSIAN, LINEAR = range(4)
MAX_WEIGHT = 10.0
ADD_LINK, DROP_LINK, CHANGE_LINK = 0.5, 0.3, 0.5
ADD_UNIT, DROP_UNIT, CHANGE_UNIT = 0.5, 0.2, 0.1
MAX_HIDDEN = 40  # units; beyond, painting takes longer than asking the model about the image
ETA = 15.0  # of the polynomial mutation of weights
NAME_LIMIT = 2**62

ACTIVATIONS: Mapping[int, Callable[[Values], Values]] = {
    SINE: np.sin,
    SIGMOID: lambda v: np.tanh(v / 2),
    GAUSSIAN: lambda v: 2 * np.exp(-np.square(np.clip(v, -9, 9))) - 1,
    LINEAR: lambda v: np.clip(v, -1, 1),
}


@dataclass(frozen=True)
class Genome:
    """A network without cycles.

    The inputs are the units 0 to 3, the outputs those that follow; hidden units have a name drawn
    at random when they were added, so that relatives know what they share.

    Args:
        outputs: One for grey; three for hue, lightness and saturation.
        units: Activation of each output and hidden unit.
        links: Weight of each link.
    """

    outputs: int
    units: Mapping[int, int]
    links: Mapping[Link, float]

    @property
    def hidden(self) -> list[int]:
        """Names of the hidden units, in the order in which they were added."""
        return [unit for unit in self.units if unit >= INPUTS + self.outputs]


def minimal_genome(rng: Generator, channels: int) -> Genome:
    """Return a genome without hidden units: every input is linked to every output.

    Args:
        rng: Draws weights and activations.
        channels: Of the image, 1 or 3.
    """
    outputs = range(INPUTS, INPUTS + channels)
    units = {unit: int(rng.integers(4)) for unit in outputs}
    links = {(begin, end): _draw_weight(rng) for end in outputs for begin in range(INPUTS)}
    return _genome(channels, units, links)


def mutate(rng: Generator, genome: Genome) -> Genome:
    """Return a child of one genome, with links and units added, dropped and changed."""
    units, links = dict(genome.units), dict(genome.links)
    if rng.random() < DROP_UNIT and genome.hidden:
        dropped = genome.hidden[rng.integers(len(genome.hidden))]
        units.pop(dropped)
        links = {link: weight for link, weight in links.items() if dropped not in link}
    if rng.random() < ADD_UNIT and links and len(genome.hidden) < MAX_HIDDEN:
        link = list(links)[rng.integers(len(links))]
        added = int(rng.integers(INPUTS + genome.outputs, NAME_LIMIT))
        units[added] = int(rng.integers(4))
        links[link[0], added], links[added, link[1]] = 1.0, links.pop(link)
    if rng.random() < DROP_LINK and len(links) > 1:
        links.pop(list(links)[rng.integers(len(links))])
    if rng.random() < ADD_LINK and (free := free_links(genome.outputs, units, links)):
        links[free[rng.integers(len(free))]] = _draw_weight(rng)
    if rng.random() < CHANGE_LINK and links:
        rate = max(0.1, 1 / len(links))
        links = {
            link: _mutate_weight(rng, weight) if rng.random() < rate else weight
            for link, weight in links.items()
        }
    for unit in units:
        if rng.random() < CHANGE_UNIT:
            units[unit] = int(rng.integers(4))
    return _genome(genome.outputs, units, links)


def cross(rng: Generator, first: Genome, second: Genome) -> Genome:
    """Return a child that has one parent's units and links; the weights of shared links are mixed.

    Args:
        rng: Decides by which parent's weight a shared link goes.
        first: The parent whose form the child has.
        second: The other parent.
    """
    shared = [link for link in first.links if link in second.links]
    swap = rng.random(len(shared)) < 0.5
    mixed = {link: second.links[link] for link, taken in zip(shared, swap, strict=True) if taken}
    return replace(first, links=MappingProxyType({**first.links, **mixed}))


def paint(genome: Genome, height: int, width: int) -> NDArray[np.uint8]:
    """Return the image that a genome paints, shape (height, width, channels).

    The middle of the image is 0, its edges are −1 and 1, of the longer side. A value v is
    painted as |v|: black at 0, white at −1 and 1.
    """
    values: dict[int, Values] = dict(enumerate(_input_values(height, width)))
    incoming: dict[int, list[tuple[int, float]]] = {unit: [] for unit in genome.units}
    for (begin, end), weight in genome.links.items():
        incoming[end].append((begin, weight))
    for unit in _topological_order(genome):
        total = np.zeros((height, width), np.float32)
        for begin, weight in incoming[unit]:
            total += np.float32(weight) * values[begin]
        values[unit] = ACTIVATIONS[genome.units[unit]](total)
    outputs = range(INPUTS, INPUTS + genome.outputs)
    pixels = np.stack([np.abs(values[unit]) for unit in outputs], -1).clip(0, 1)
    return eight_bit(hls_to_rgb(pixels) if genome.outputs == 3 else pixels)


def hls_to_rgb(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return red, green and blue of hue, lightness and saturation, all in [0, 1].

    Args:
        values: Shape (..., 3).
    """
    hue, lightness, saturation = np.moveaxis(values, -1, 0)
    reach = saturation * np.minimum(lightness, 1 - lightness)
    sectors = [(shift + 12 * hue) % 12 for shift in (0, 8, 4)]
    return np.stack(
        [lightness - reach * np.clip(np.minimum(at - 3, 9 - at), -1, 1) for at in sectors], -1
    )


@lru_cache(maxsize=4)
def _input_values(height: int, width: int) -> tuple[Values, ...]:
    """Return what every point of the image gives the inputs."""
    side = max(height, width, 2) - 1
    down = (2 * np.arange(height) - height + 1) / side
    across = (2 * np.arange(width) - width + 1) / side
    y, x = np.meshgrid(down, across, indexing="ij")
    inputs = (x, y, np.hypot(x, y), np.ones_like(x))
    return tuple(values.astype(np.float32) for values in inputs)


def _topological_order(genome: Genome) -> list[int]:
    """Return the units in an order in which each comes after those that it is linked from."""
    waiting = {unit: 0 for unit in genome.units}
    outgoing: dict[int, list[int]] = {}
    for begin, end in genome.links:
        if begin >= INPUTS:
            waiting[end] += 1
            outgoing.setdefault(begin, []).append(end)
    ready = [unit for unit, count in waiting.items() if not count]
    for unit in ready:
        for end in outgoing.get(unit, ()):
            waiting[end] -= 1
            if not waiting[end]:
                ready.append(end)
    return ready


def free_links(outputs: int, units: Mapping[int, int], links: Mapping[Link, float]) -> list[Link]:
    """Return the links that could be added without a cycle."""
    hidden = [unit for unit in units if unit >= INPUTS + outputs]
    reachable: dict[int, set[int]] = {}
    for unit in reversed(_topological_order(_genome(outputs, units, links))):
        ends = [end for begin, end in links if begin == unit]
        reachable[unit] = {unit}.union(*(reachable[end] for end in ends))
    return [
        (begin, end)
        for begin in (*range(INPUTS), *hidden)
        for end in units
        if (begin, end) not in links and begin not in reachable[end]
    ]


def polynomial_steps(u: NDArray[np.floating], eta: float) -> NDArray[np.floating]:
    """Return steps of polynomial mutation, as shares of the range, most of them small.

    Args:
        u: Uniform draws from [0, 1).
        eta: The larger, the smaller the steps; Deb & Goyal 1996.
    """
    low = (2 * u) ** (1 / (eta + 1)) - 1
    high = 1 - (2 * (1 - u)) ** (1 / (eta + 1))
    return np.where(u < 0.5, low, high)


def _mutate_weight(rng: Generator, weight: float) -> float:
    step = 2 * MAX_WEIGHT * float(polynomial_steps(rng.random(1), ETA)[0])
    return float(np.clip(weight + step, -MAX_WEIGHT, MAX_WEIGHT))


def _draw_weight(rng: Generator) -> float:
    return float(rng.uniform(-MAX_WEIGHT, MAX_WEIGHT))


def _genome(outputs: int, units: Mapping[int, int], links: Mapping[Link, float]) -> Genome:
    return Genome(outputs, MappingProxyType(dict(units)), MappingProxyType(dict(links)))
