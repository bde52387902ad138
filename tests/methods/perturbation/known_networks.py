"""Networks whose answer to random changes is known, and images for them."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import nn

from tests.networks_for_tests import mlp

GREY = 128 / 255


class Flat(nn.Module):
    """Two classes with a flat boundary at a distance from the grey image.

    Args:
        side: Of the image in px.
        distance: L2, in units of the value range.
        normal: Weights across the boundary, shape (side * side,); random ones if None.
    """

    def __init__(self, side, distance, normal=None):
        super().__init__()
        if normal is None:
            normal = torch.randn(side * side, generator=torch.Generator().manual_seed(3))
        self.normal = nn.Parameter(normal)
        self.offset = distance * float(self.normal.detach().norm())

    def forward(self, values):
        beyond = (values - GREY).flatten(1) @ self.normal - self.offset
        return torch.stack([-beyond, beyond], 1)


class LogitsFrom(nn.Module):
    """A network that computes its logits from flat images with a function."""

    def __init__(self, logits):
        super().__init__()
        self.unused = nn.Linear(1, 1)
        self.logits = logits

    def forward(self, values):
        return self.logits(values.flatten(1))


def two_classes(margin):
    return torch.stack([margin, -margin], 1)


CONSTANT = LogitsFrom(lambda flat: two_classes(torch.ones(len(flat))))


def only_image(outcome):
    """Return the entry of the one image of an answer, which must be JSON."""
    json.dumps(outcome.scores, allow_nan=False)
    (image,) = outcome.scores["images"]
    return image


def random_image():
    return np.random.default_rng(0).integers(0, 256, (6, 6), np.uint8)


def random_mlp():
    torch.manual_seed(5)
    return mlp(36)
