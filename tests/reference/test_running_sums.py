"""The running sums of a reference, against sums over single images."""

from __future__ import annotations

import math

import pytest
import torch

from diagnostics.models.features import Features
from diagnostics.reference.statistics import ReferenceBuilder
from tests.reference.builders import CLASSES, built, extracted, network


def test_moments_equal_direct_computation():
    reference = built()
    outputs, labels, pixels = extracted(120)
    features, layers = outputs.features.double(), outputs.layers.double()
    probabilities = torch.softmax(outputs.logits.double(), 1)
    predicted, sums = outputs.logits.argmax(1), reference.sums
    expected = {
        "count": torch.tensor(120.0),
        "sum": sum(features),
        "gram": sum(torch.outer(one, one) for one in features),
        "labelled_gram": sum(torch.outer(one, one) for one in features[labels >= 0]),
        "class_count": torch.tensor([(labels == c).sum() for c in range(CLASSES)]),
        "class_sum": torch.stack([features[labels == c].sum(0) for c in range(CLASSES)]),
        "predicted_count": torch.tensor([(predicted == c).sum() for c in range(CLASSES)]),
        "predicted_sum": torch.stack(
            [probabilities[predicted == c].sum(0) for c in range(CLASSES)]
        ),
        "layer_sum": sum(layers),
        "layer_gram": sum(torch.outer(one, one) for one in layers),
        "pixel_mean": sum(image.mean((1, 2)) for image in pixels.double()),
        "pixel_square": sum((image**2).mean((1, 2)) for image in pixels.double()),
        "head_weight": network().network.fc.weight,
        "head_bias": network().network.fc.bias,
    }
    assert set(sums) == set(expected)
    for name, value in expected.items():
        tolerance = 1e-5 if name.startswith(("head", "pixel")) else 1e-9
        assert sums[name].numpy() == pytest.approx(value.numpy(), rel=tolerance, abs=tolerance)


def test_layer_statistics_that_are_not_finite_spoil_no_moment():
    outputs, labels, pixels = extracted(120)
    layers = outputs.layers.clone()
    layers[5, 2] = math.inf
    builder = ReferenceBuilder(network())
    spoiled = Features(
        outputs.logits, outputs.features, outputs.batchnorm, layers, outputs.pixel_statistics
    )
    builder.add(spoiled, labels, pixels, 0)
    builder.add(*extracted(20, 1), 1)
    assert all(one.isfinite().all() for one in builder.build({}).sums.values())
