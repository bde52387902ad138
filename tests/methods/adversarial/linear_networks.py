"""Linear classifiers, whose boundaries are known, and images for them."""

from __future__ import annotations

import torch
from torch import nn

from diagnostics.methods.adversarial._criterion import Criterion
from tests.networks_for_tests import classifier


def linear(classes=4, side=8, scale=1.0, seed=0):
    """Return a linear classifier in float64."""
    torch.manual_seed(seed)
    layer = nn.Linear(side * side, classes)
    with torch.no_grad():
        layer.weight.normal_().mul_(scale)
        layer.bias.normal_().mul_(scale)
    return classifier(nn.Sequential(nn.Flatten(), layer), side, 1, classes, dtype=torch.float64)


def weight_and_bias(model):
    layer = model.network[1]
    return layer.weight.detach().double(), layer.bias.detach().double()


def images(count, side=8, seed=1, low=0.3, high=0.7):
    random = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, 1, side, side, generator=random).double()


def criterion_of(model, pixels, target=None):
    with torch.no_grad():
        return Criterion(model, model.logits(pixels).argmax(1), target)


def closed_form(model, pixels, norm):
    """Return the distance to the nearest boundary of a linear classifier, without a box."""
    weight, bias = weight_and_bias(model)
    logits = pixels.flatten(1) @ weight.T + bias
    order = 2 if norm == "l2" else 1
    distances = []
    for row, label in zip(logits, logits.argmax(1).tolist(), strict=True):
        others = [k for k in range(len(bias)) if k != label]
        distances.append(
            min(
                float((row[label] - row[k]) / (weight[label] - weight[k]).norm(order))
                for k in others
            )
        )
    return torch.tensor(distances, dtype=torch.float64)
