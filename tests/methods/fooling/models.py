"""A model for which the most confident image is known."""

from __future__ import annotations

import torch

from tests.networks_for_tests import classifier, linear


def two_classes(seed=0, pixels=16, scale=0.6):
    """Return a linear softmax of two classes, and the largest margin of each on the box."""
    torch.manual_seed(seed)
    network = linear(pixels, 2)
    with torch.no_grad():
        network[1].weight.copy_(scale * torch.randn(2, pixels))
    model = classifier(network, int(pixels**0.5), classes=2)
    weight, bias = network[1].weight.double(), network[1].bias.double()
    w, b = weight[0] - weight[1], float(bias[0] - bias[1])
    return model, (float(w.clamp_min(0).sum()) + b, float((-w).clamp_min(0).sum()) - b)
