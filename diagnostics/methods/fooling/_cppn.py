"""Compositional pattern-producing networks: small networks that paint a picture point by point.

A genome says which units there are and how they are linked; it grows and shrinks by mutation.
Source: Stanley 2007; the rates are those of Nguyen, Yosinski & Clune 2015, arXiv:1412.1897.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Values = NDArray[np.float32]
Link = tuple[int, int]  # from one unit to another

INPUTS = 4  # x, y, distance from the centre, and one
SINE, SIGMOID, GAUSSIAN, LINEAR = range(4)
WIDEST = 10.0  # weight
ADD_LINK, DROP_LINK, CHANGE_LINK = 0.5, 0.3, 0.5
ADD_UNIT, DROP_UNIT, CHANGE_UNIT = 0.5, 0.2, 0.1
MOST_UNITS = 40  # hidden ones; beyond, painting takes longer than asking about the picture
ETA = 15.0  # of the polynomial mutation of weights
NAMES = 2**62

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
        return [one for one in self.units if one >= INPUTS + self.outputs]


def first(random: Random, channels: int) -> Genome:
    """Return a genome without hidden units: every input is linked to every output.

    Args:
        random: Draws weights and activations.
        channels: Of the picture, 1 or 3.
    """
    ends = range(INPUTS, INPUTS + channels)
    units = {one: int(random.integers(4)) for one in ends}
    links = {(one, end): _weight(random) for end in ends for one in range(INPUTS)}
    return _genome(channels, units, links)


def mutated(random: Random, genome: Genome) -> Genome:
    """Return a child of one genome, with links and units added, dropped and changed."""
    units, links = dict(genome.units), dict(genome.links)
    if random.random() < DROP_UNIT and genome.hidden:
        gone = genome.hidden[random.integers(len(genome.hidden))]
        units.pop(gone)
        links = {link: weight for link, weight in links.items() if gone not in link}
    if random.random() < ADD_UNIT and links and len(genome.hidden) < MOST_UNITS:
        link = list(links)[random.integers(len(links))]
        fresh = int(random.integers(INPUTS + genome.outputs, NAMES))
        units[fresh] = int(random.integers(4))
        links[link[0], fresh], links[fresh, link[1]] = 1.0, links.pop(link)
    if random.random() < DROP_LINK and len(links) > 1:
        links.pop(list(links)[random.integers(len(links))])
    if random.random() < ADD_LINK and (free := _free(genome.outputs, units, links)):
        links[free[random.integers(len(free))]] = _weight(random)
    if random.random() < CHANGE_LINK and links:
        rate = max(0.1, 1 / len(links))
        links = {
            link: _changed(random, weight) if random.random() < rate else weight
            for link, weight in links.items()
        }
    for unit in units:
        if random.random() < CHANGE_UNIT:
            units[unit] = int(random.integers(4))
    return _genome(genome.outputs, units, links)


def crossed(random: Random, one: Genome, other: Genome) -> Genome:
    """Return a child that has one parent's units and links; the weights of shared links are mixed.

    Args:
        random: Decides by which parent's weight a shared link goes.
        one: The parent whose form the child has.
        other: The other parent.
    """
    shared = [link for link in one.links if link in other.links]
    taken = random.random(len(shared)) < 0.5
    mixed = {link: other.links[link] for link, take in zip(shared, taken, strict=True) if take}
    return replace(one, links=MappingProxyType({**one.links, **mixed}))


def painted(genome: Genome, height: int, width: int) -> NDArray[np.uint8]:
    """Return the picture that a genome paints, shape (height, width, channels).

    The middle of the picture is 0, its edges are −1 and 1, of the longer side. A value v is
    painted as |v|: black at 0, white at −1 and 1.
    """
    values: dict[int, Values] = dict(enumerate(_points(height, width)))
    into: dict[int, list[tuple[int, float]]] = {unit: [] for unit in genome.units}
    for (begin, end), weight in genome.links.items():
        into[end].append((begin, weight))
    for unit in _ordered(genome):
        total = np.zeros((height, width), np.float32)
        for begin, weight in into[unit]:
            total += np.float32(weight) * values[begin]
        values[unit] = ACTIVATIONS[genome.units[unit]](total)
    ends = range(INPUTS, INPUTS + genome.outputs)
    shown = np.stack([np.abs(values[end]) for end in ends], -1).clip(0, 1)
    shown = coloured(shown) if genome.outputs == 3 else shown
    picture: NDArray[np.uint8] = np.rint(shown * 255).astype(np.uint8)
    return picture


def coloured(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return red, green and blue of hue, lightness and saturation, all in [0, 1].

    Args:
        values: Shape (..., 3).
    """
    hue, lightness, saturation = np.moveaxis(values, -1, 0)
    reach = saturation * np.minimum(lightness, 1 - lightness)
    turn = [(shift + 12 * hue) % 12 for shift in (0, 8, 4)]
    return np.stack(
        [lightness - reach * np.clip(np.minimum(at - 3, 9 - at), -1, 1) for at in turn], -1
    )


@lru_cache(maxsize=4)
def _points(height: int, width: int) -> tuple[Values, ...]:
    """Return what every point of the picture gives the inputs."""
    side = max(height, width, 2) - 1
    down = (2 * np.arange(height) - height + 1) / side
    across = (2 * np.arange(width) - width + 1) / side
    y, x = np.meshgrid(down, across, indexing="ij")
    given = (x, y, np.hypot(x, y), np.ones_like(x))
    return tuple(one.astype(np.float32) for one in given)


def _ordered(genome: Genome) -> list[int]:
    """Return the units in an order in which each comes after those that it is linked from."""
    waiting = {unit: 0 for unit in genome.units}
    follow: dict[int, list[int]] = {}
    for begin, end in genome.links:
        if begin >= INPUTS:
            waiting[end] += 1
            follow.setdefault(begin, []).append(end)
    ready = [unit for unit, count in waiting.items() if not count]
    for unit in ready:
        for end in follow.get(unit, ()):
            waiting[end] -= 1
            if not waiting[end]:
                ready.append(end)
    return ready


def _free(outputs: int, units: Mapping[int, int], links: Mapping[Link, float]) -> list[Link]:
    """Return the links that could be added without a cycle."""
    hidden = [one for one in units if one >= INPUTS + outputs]
    after: dict[int, set[int]] = {}
    for unit in reversed(_ordered(_genome(outputs, units, links))):
        ends = [end for begin, end in links if begin == unit]
        after[unit] = {unit}.union(*(after[end] for end in ends))
    return [
        (begin, end)
        for begin in (*range(INPUTS), *hidden)
        for end in units
        if (begin, end) not in links and begin not in after[end]
    ]


def _changed(random: Random, weight: float) -> float:
    """Return a weight after polynomial mutation."""
    moved = weight + 2 * WIDEST * float(polynomial(random.random(1), ETA)[0])
    return float(np.clip(moved, -WIDEST, WIDEST))


def polynomial(u: NDArray[np.floating], eta: float) -> NDArray[np.floating]:
    """Return steps of polynomial mutation, as shares of the range, most of them small.

    Args:
        u: Even draws from [0, 1).
        eta: The larger, the smaller the steps; Deb & Goyal 1996.
    """
    low = (2 * u) ** (1 / (eta + 1)) - 1
    high = 1 - (2 * (1 - u)) ** (1 / (eta + 1))
    return np.where(u < 0.5, low, high)


def _weight(random: Random) -> float:
    return float(random.uniform(-WIDEST, WIDEST))


def _genome(outputs: int, units: Mapping[int, int], links: Mapping[Link, float]) -> Genome:
    return Genome(outputs, MappingProxyType(dict(units)), MappingProxyType(dict(links)))
