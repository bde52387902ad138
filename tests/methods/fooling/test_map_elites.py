"""The archive of elites and how pictures are crossed and mutated."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.methods.fooling._elites import Archive, Child, Direct, Painted, cppn, crossover

SHAPE = (6, 5, 1)


def child(value):
    return Child(np.full(SHAPE, value, np.uint8))


def test_a_child_replaces_the_elite_of_every_class_that_is_surer_of_it():
    archive = Archive(3)
    first, second = child(1), child(2)
    assert archive.offer([first], np.array([[0.0, 1.0, 2.0]])) == [0, 1, 2]
    assert archive.offer([second], np.array([[0.5, 1.0, 3.0]])) == [0, 2]
    assert archive.elites == [second, first, second]
    assert archive.margins.tolist() == [0.5, 1.0, 3.0]


def test_a_generation_at_once_leaves_what_one_child_after_the_other_leaves():
    random = np.random.default_rng(0)
    archive, slow, kept = Archive(7), [-np.inf] * 7, [None] * 7
    for _ in range(5):
        children = [child(value) for value in range(9)]
        margins = random.integers(-9, 9, (9, 7)).astype(float)  # with ties
        margins[random.integers(9)] = -np.inf
        before = archive.margins.copy()
        archive.offer(children, margins)
        for one, row in zip(children, margins, strict=True):
            for index in range(7):
                if row[index] > slow[index]:
                    slow[index], kept[index] = row[index], one
        assert archive.margins.tolist() == slow
        assert all(mine is other for mine, other in zip(archive.elites, kept, strict=True))
        assert (archive.margins >= before).all()


def test_what_is_not_finite_never_enters():
    archive = Archive(2)
    assert archive.offer([child(0)], np.full((1, 2), -np.inf)) == []
    assert archive.parents == []


def test_crossover_keeps_the_mean_of_every_pixel_and_exchanges_half_of_them():
    random = np.random.default_rng(3)
    one, other = random.random((2, 200, 100))
    a, b = crossover(random, one, other)
    np.testing.assert_allclose((a + b) / 2, (one + other) / 2)
    same = np.isclose(a, one)
    assert same.mean() == pytest.approx(0.5, abs=0.02)
    beta = ((a - b) / (one - other))[~same]
    assert (beta < 1).mean() == pytest.approx(0.5, abs=0.02)  # as often nearer as farther
    assert (beta < 0.9).mean() == pytest.approx(0.5 * 0.9**11, abs=0.02)
    np.testing.assert_allclose(crossover(random, one, one)[0], one)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_so_many_pixels_are_mutated(rate):
    grow, parent = Direct((80, 80, 3)), Child(np.full((80, 80, 3), 128, np.uint8))
    for born in grow.pair(np.random.default_rng(1), parent, parent, rate):
        changed = (born.picture != 128).mean()
        still = 1 - (1 - 0.5 / 255) ** 16  # moved by less than half a grey level
        assert changed == pytest.approx(rate * (1 - still), abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_painted_children_are_what_their_genomes_paint(channels):
    grow, random = Painted((6, 5, channels)), np.random.default_rng(1)
    one, other = grow.first(random), grow.first(random)
    for born in grow.pair(random, one, other, 0.1):
        assert (born.picture == cppn.painted(born.genome, 6, 5)).all()
        assert born.picture.shape == (6, 5, channels)
