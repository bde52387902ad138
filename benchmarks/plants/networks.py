"""The networks of the third world: none is built as one of the first two worlds is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two convolutions with BatchNorm, and the way around them."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.within = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.around = nn.Sequential(
            nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return the rectified sum of both ways."""
        summed: Tensor = self.within(values) + self.around(values)
        return functional.relu(summed)


def pooled_residual(classes: int, *, channels: int = 3, width: int = 16) -> nn.Module:
    """Return residual blocks and the average of all places."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Block(width, 2 * width, 2),
        Block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


class Inverted(nn.Module):
    """Wide depthwise windows, LayerNorm, and a GELU perceptron at each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.within = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return the values with what was seen around them added."""
        seen = self.within(self.norm(self.depthwise(values).permute(0, 2, 3, 1)))
        added: Tensor = values + seen.permute(0, 3, 1, 2)
        return added


class Wide(nn.Module):
    """A small ConvNeXt: two stages of blocks, an average, LayerNorm and a head."""

    def __init__(self, classes: int, *, channels: int = 3, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 4, 4)
        self.early = Inverted(width)
        self.down = nn.Conv2d(width, 2 * width, 2, 2)
        self.late = nn.Sequential(Inverted(2 * width), Inverted(2 * width))
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits."""
        values = self.late(self.down(self.early(self.stem(values))))
        logits: Tensor = self.head(self.norm(values.mean((2, 3))))
        return logits


class ClassToken(nn.Module):
    """A small vision transformer whose answer is read off a token of its own."""

    def __init__(self, classes: int, *, side: int, patch: int = 6, width: int = 48) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 1 + (side // patch) ** 2, width))
        layer = nn.TransformerEncoderLayer(
            width, 3, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits."""
        patches = self.stem(values).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(patches), -1, -1), patches], 1) + self.places
        logits: Tensor = self.head(self.norm(self.layers(tokens)[:, 0]))
        return logits


def stacked(
    classes: int,
    *,
    channels: int,
    side: int,
    activation: Callable[[], nn.Module],
    pool: Callable[[int], nn.Module],
    width: int = 12,
) -> nn.Module:
    """Return two wide convolutions, each pooled, and two dense layers; no norm."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, padding=2),
        activation(),
        pool(2),
        nn.Conv2d(width, 2 * width, 5, padding=2),
        activation(),
        pool(2),
        nn.Flatten(),
        nn.Linear(2 * width * (side // 4) ** 2, 64),
        activation(),
        nn.Linear(64, classes),
    )


def perceptron(classes: int, *, pixels: int, width: int = 128) -> nn.Module:
    """Return two hidden layers that keep their own scale."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, width),
        nn.SELU(),
        nn.Linear(width, width),
        nn.SELU(),
        nn.Linear(width, classes),
    )
