"""Networks that paint: what they paint, and what mutation and crossover make of them."""

from __future__ import annotations

import colorsys
import math
from graphlib import TopologicalSorter

import numpy as np
import pytest

from diagnostics.methods.fooling._cppn import (
    GAUSSIAN,
    INPUTS,
    LINEAR,
    MAX_HIDDEN,
    MAX_WEIGHT,
    SIGMOID,
    SINE,
    Genome,
    cross,
    free_links,
    hls_to_rgb,
    minimal_genome,
    mutate,
    paint,
    polynomial_steps,
)

FORMULAS = {
    SINE: math.sin,
    SIGMOID: lambda v: 2 / (1 + math.exp(-v)) - 1,
    GAUSSIAN: lambda v: 2 * math.exp(-min(v * v, 81)) - 1,
    LINEAR: lambda v: max(-1.0, min(1.0, v)),
}


def slow_values(genome, x, y):
    """Return the outputs at a point, each unit asking those before it."""
    inputs = (x, y, math.hypot(x, y), 1.0)

    def value(unit):
        if unit < INPUTS:
            return inputs[unit]
        total = sum(w * value(begin) for (begin, end), w in genome.links.items() if end == unit)
        return FORMULAS[genome.units[unit]](total)

    outputs = range(INPUTS, INPUTS + genome.outputs)
    return [min(abs(value(output)), 1.0) for output in outputs]


def grown(seed, channels, times):
    random = np.random.default_rng(seed)
    genome = minimal_genome(random, channels)
    for _ in range(times):
        genome = mutate(random, genome)
    return genome


def order(genome):
    graph = {unit: set() for unit in genome.units}
    for begin, end in genome.links:
        graph[end].add(begin)
    return list(TopologicalSorter(graph).static_order())  # raises at a cycle


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("times", [0, 12])
def test_an_image_is_what_the_network_gives_at_every_point(channels, times):
    genome = grown(4, channels, times)
    image = paint(genome, 5, 7)
    assert image.shape == (5, 7, channels)
    for row in range(5):
        for column in range(7):
            y, x = (2 * row - 4) / 6, (2 * column - 6) / 6
            colour = slow_values(genome, x, y)
            if channels == 3:
                colour = colorsys.hls_to_rgb(*colour)
            expected = np.array(colour) * 255
            assert np.abs(image[row, column] - expected).max() < 0.75  # half, and float32


def test_colours_are_those_of_the_standard_library():
    values = np.random.default_rng(0).random((50, 3))
    expected = [colorsys.hls_to_rgb(*colour) for colour in values]
    np.testing.assert_allclose(hls_to_rgb(values), expected, atol=1e-12)


def test_a_link_from_across_alone_paints_a_symmetric_ramp():
    genome = Genome(1, {INPUTS: LINEAR}, {(0, INPUTS): 1.0})
    image = paint(genome, 3, 5)[..., 0]
    assert (image == [255, 128, 0, 128, 255]).all()
    assert paint(genome, 1, 1).tolist() == [[[0]]]


def test_mutation_keeps_a_genome_whole_and_grows_it():
    random = np.random.default_rng(1)
    genome = minimal_genome(random, 3)
    assert not genome.hidden
    most = 0
    for _ in range(300):
        before = dict(genome.units), dict(genome.links)
        child = mutate(random, genome)
        assert (dict(genome.units), dict(genome.links)) == before
        genome = child
        order(genome)
        assert len(genome.hidden) <= MAX_HIDDEN
        assert all(abs(weight) <= MAX_WEIGHT for weight in genome.links.values())
        assert all(
            (begin < INPUTS or begin in genome.units) and end in genome.units
            for begin, end in genome.links
        )
        most = max(most, len(genome.hidden))
    assert most > 20
    assert paint(genome, 4, 4).shape == (4, 4, 3)


def test_a_link_that_may_be_added_never_closes_a_cycle():
    genome = grown(7, 1, 25)
    links = free_links(genome.outputs, genome.units, genome.links)
    assert links
    for link in links:
        order(Genome(1, genome.units, {**genome.links, link: 1.0}))
    hidden = genome.hidden
    taken = {*links, *genome.links}
    for begin in hidden:
        for end in genome.units:
            if (begin, end) not in taken:
                with pytest.raises(ValueError, match="cycle"):
                    order(Genome(1, genome.units, {**genome.links, (begin, end): 1.0}))


def test_a_child_has_one_parents_form_and_weights_of_both():
    random = np.random.default_rng(2)
    first = grown(5, 1, 10)
    second = mutate(random, Genome(1, first.units, {link: 0.5 for link in first.links}))
    child = cross(random, first, second)
    assert child.units == first.units
    assert child.links.keys() == first.links.keys()
    from_second = {link for link in first.links if child.links[link] != first.links[link]}
    assert 0 < len(from_second) < len(first.links)
    assert all(child.links[link] == second.links[link] for link in from_second)


def test_steps_of_polynomial_mutation_are_as_large_as_its_formula_says():
    steps = polynomial_steps(np.random.default_rng(0).random(100_000), 15.0)
    assert np.abs(steps).max() <= 1
    assert steps.mean() == pytest.approx(0, abs=0.001)
    for size in (0.02, 0.05, 0.1):
        expected = 1 - (1 - size) ** 16
        assert (np.abs(steps) < size).mean() == pytest.approx(expected, abs=0.006)
