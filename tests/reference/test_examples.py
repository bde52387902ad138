"""Which images a reference carries, against a slow choice among all of them at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import Decoded
from diagnostics.models.features import Features, concatenate
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.reference.statistics import ReferenceBuilder
from tests.reference.builders import CLASSES, SIDE, built, extracted, network


def slow_choice(labels):
    """Return places of images: round by round one of each class, in the order in which they come.

    A class gives eight at most; images without a label give as many as there is room for.
    """
    waiting = {label: [i for i, own in enumerate(labels) if own == label] for label in set(labels)}
    found = []
    for turn in range(len(labels)):
        firsts = [
            own[turn]
            for label, own in waiting.items()
            if turn < len(own) and (turn < 8 or label == UNKNOWN)
        ]
        found += sorted(firsts)
    return found[:64]


def numbered(count):
    """Return outputs and pixels of which every image's first numbers say its place."""
    places = torch.arange(count)
    logits = torch.zeros(count, CLASSES)
    logits[:, 0] = places
    features = torch.zeros(count, 8)
    features[:, 1] = places
    pixels = torch.zeros(count, 3, SIDE, SIDE)
    pixels[:, 0, 0, 0], pixels[:, 1, 0, 0] = places % 256 / 255, places // 256 / 255
    outputs = extracted(2)[0]
    return Features(
        logits,
        features,
        torch.zeros(count),
        torch.zeros(count, outputs.layers.shape[1]),
        torch.zeros(count, 6),
    ), pixels


def dealt(labels, size, outputs, pixels):
    """Return the examples of images that are dealt in turn to both halves, so many at once."""
    builder = ReferenceBuilder(network())
    for rows in torch.arange(len(labels)).split(size):
        for half in (0, 1):
            own = rows[rows % 2 == half]
            builder.add(outputs.select(own), labels[own], pixels[own], half)
    return builder.build({}).examples


@pytest.mark.parametrize("size", [2, 10, 64, 400])
@pytest.mark.parametrize(
    ("classes", "unlabelled"),
    [(2, 0.0), (2, 0.5), (5, 0.0), (5, 0.1), (40, 0.0), (300, 0.2), (1, 1)],
)
def test_the_examples_are_those_of_a_slow_choice_among_all_images(size, classes, unlabelled):
    generator = np.random.default_rng(classes)
    weights = generator.dirichlet(np.ones(classes))
    labels = torch.tensor(generator.choice(classes, 400, p=weights))
    labels[torch.tensor(generator.random(400) < unlabelled)] = UNKNOWN
    outputs, pixels = numbered(400)
    logits = torch.zeros(400, max(classes, CLASSES))
    logits[:, 0] = outputs.logits[:, 0]
    outputs = Features(logits, *list(vars(outputs).values())[1:])
    found, expected = dealt(labels, size, outputs, pixels), slow_choice(labels.tolist())
    assert found.logits[:, 0].tolist() == expected
    assert found.features[:, 1].tolist() == expected
    levels = found.pixels[:, :2, 0, 0].int()
    assert (levels[:, 0] + 256 * levels[:, 1]).tolist() == expected
    assert torch.equal(found.labels, labels[expected])


def test_eight_images_a_class_are_carried_and_both_halves_give_some():
    outputs, pixels = numbered(400)
    found = dealt(torch.arange(400) // 2 % 4, 400, outputs, pixels)
    assert found.labels.bincount().tolist() == [8] * 4
    places = found.logits[:, 0].long()
    assert (places % 2).bincount().tolist() == [16, 16]


def test_images_whose_outputs_are_not_finite_are_never_carried():
    outputs, pixels = numbered(60)
    outputs.logits[4, 1], outputs.features[7, 0] = math.nan, math.inf
    found = dealt(torch.full((60,), UNKNOWN), 20, outputs, pixels)
    assert sorted(found.logits[:, 0].tolist()) == [i for i in range(60) if i not in (4, 7)]


def test_the_pixels_of_every_image_of_8_bit_come_back_exactly():
    image = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)
    pixels = torch.from_numpy(Pipeline(network().preprocessing).run(Decoded(image)))
    assert len(pixels.unique()) == 256
    outputs, labels, _ = extracted(20)
    builder = ReferenceBuilder(network())
    for half in (0, 1):
        builder.add(outputs, labels, pixels.expand(20, -1, -1, -1), half)
    values = builder.build({}).examples.values
    assert values.dtype == torch.float32
    assert torch.equal(values, pixels.expand(len(values), -1, -1, -1))


def test_the_numbers_beside_an_example_are_its_own():
    """Of images that are no 8 bit, the outputs are those of the image before it was rounded."""
    examples = built().examples
    assert examples.pixels.shape[1:] == (3, SIDE, SIDE)
    given = [extracted(120), extracted(20, 1)]
    outputs = concatenate([one[0] for one in given])
    labels, pixels = (torch.cat([one[part] for one in given]) for part in (1, 2))
    for row in range(len(examples.labels)):
        own = torch.nonzero((outputs.logits == examples.logits[row]).all(1))[0, 0]
        assert torch.equal(examples.features[row], outputs.features[own])
        assert examples.labels[row] == labels[own]
        nearest = (examples.values[row] - pixels[own].clamp(0, 1)).abs().max()
        assert nearest <= 0.5 / 255 + 1e-6
