"""The map of elites, and how images are crossed and mutated."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.methods.fooling import _cppn as cppn
from diagnostics.methods.fooling.map_elites import (
    CppnEncoding,
    DirectEncoding,
    EliteMap,
    Individual,
    simulated_binary_crossover,
)

SHAPE = (6, 5, 1)


def individual(value):
    return Individual(np.full(SHAPE, value, np.uint8))


def test_a_child_replaces_the_elite_of_every_class_that_is_surer_of_it():
    elite_map = EliteMap(3)
    first, second = individual(1), individual(2)
    assert elite_map.offer([first], np.array([[0.0, 1.0, 2.0]])) == [0, 1, 2]
    assert elite_map.offer([second], np.array([[0.5, 1.0, 3.0]])) == [0, 2]
    assert elite_map.elites == [second, first, second]
    assert elite_map.margins.tolist() == [0.5, 1.0, 3.0]


def test_a_generation_at_once_leaves_what_one_child_after_the_other_leaves():
    random = np.random.default_rng(0)
    elite_map, slow, kept = EliteMap(7), [-np.inf] * 7, [None] * 7
    for _ in range(5):
        children = [individual(value) for value in range(9)]
        margins = random.integers(-9, 9, (9, 7)).astype(float)  # with ties
        margins[random.integers(9)] = -np.inf
        before = elite_map.margins.copy()
        elite_map.offer(children, margins)
        for one, row in zip(children, margins, strict=True):
            for index in range(7):
                if row[index] > slow[index]:
                    slow[index], kept[index] = row[index], one
        assert elite_map.margins.tolist() == slow
        assert all(mine is other for mine, other in zip(elite_map.elites, kept, strict=True))
        assert (elite_map.margins >= before).all()


def test_what_is_not_finite_never_enters():
    elite_map = EliteMap(2)
    assert elite_map.offer([individual(0)], np.full((1, 2), -np.inf)) == []
    assert elite_map.parents == []


def test_crossover_keeps_the_mean_of_every_pixel_and_exchanges_half_of_them():
    random = np.random.default_rng(3)
    one, other = random.random((2, 200, 100))
    a, b = simulated_binary_crossover(random, one, other)
    np.testing.assert_allclose((a + b) / 2, (one + other) / 2)
    same = np.isclose(a, one)
    assert same.mean() == pytest.approx(0.5, abs=0.02)
    beta = ((a - b) / (one - other))[~same]
    assert (beta < 1).mean() == pytest.approx(0.5, abs=0.02)  # as often nearer as farther
    assert (beta < 0.9).mean() == pytest.approx(0.5 * 0.9**11, abs=0.02)
    np.testing.assert_allclose(simulated_binary_crossover(random, one, one)[0], one)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_so_many_pixels_are_mutated(rate):
    encoding, parent = DirectEncoding((80, 80, 3)), Individual(np.full((80, 80, 3), 128, np.uint8))
    for born in encoding.offspring(np.random.default_rng(1), (parent, parent), rate):
        changed = (born.image != 128).mean()
        still = 1 - (1 - 0.5 / 255) ** 16  # moved by less than half a grey level
        assert changed == pytest.approx(rate * (1 - still), abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_painted_children_are_what_their_genomes_paint(channels):
    encoding, random = CppnEncoding((6, 5, channels)), np.random.default_rng(1)
    one, other = encoding.random_individual(random), encoding.random_individual(random)
    for born in encoding.offspring(random, (one, other), 0.1):
        assert (born.image == cppn.paint(born.genome, 6, 5)).all()
        assert born.image.shape == (6, 5, channels)
