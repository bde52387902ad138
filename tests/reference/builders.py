"""A small network, and references of random images that it measures."""

from __future__ import annotations

from functools import cache

import torch

from diagnostics.data.folder import UNKNOWN
from diagnostics.models.features import extract_features
from diagnostics.reference.statistics import ReferenceBuilder
from tests.networks_for_tests import FunctionalResidual, classifier

CLASSES, SIDE = 5, 16


@cache
def network():
    torch.manual_seed(1)
    made = FunctionalResidual(classes=CLASSES)
    made.stem.weight.data.normal_()
    return classifier(made, SIDE, channels=3, classes=CLASSES)


@cache
def extracted(count, seed=0):
    """Return what the network gives for random images, their labels, and their pixels."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 3, 1, 1, generator=generator).expand(-1, -1, SIDE, SIDE).clone()
    pixels += 0.2 * torch.rand(pixels.shape, generator=generator)
    labels = torch.randint(UNKNOWN, CLASSES, (count,), generator=generator)
    return extract_features(network(), pixels), labels, pixels


def built(count=120, sizes=None, calibrating=20):
    """Return a reference gathered in batches of these sizes; None takes all in at once."""
    builder = ReferenceBuilder(network())
    for half, number in enumerate((count, calibrating)):
        outputs, labels, pixels = extracted(number, half)
        for rows in torch.arange(number).split(sizes or number):
            builder.add(outputs.select(rows), labels[rows], pixels[rows], half)
    return builder.build({"seed": 3})
