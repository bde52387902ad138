"""Small networks with known answers, and the specs that go with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diagnostics.classifier import TorchClassifier
from diagnostics.opening import place, probed
from diagnostics.preprocessing import Preprocessing
from diagnostics.spec import ModelSpec, Output


class FunctionalResidual(nn.Module):
    """A convolution, a functional ReLU, a residual sum, and a head after global averaging."""

    def __init__(self, channels: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, classes)
        self.unused = nn.Linear(2, 2)

    def forward(self, values: Tensor) -> Tensor:
        values = self.act(self.norm(self.stem(values)))
        values = torch.relu(values + self.body(values))
        return self.fc(values.mean((2, 3)))


class Gap(nn.Module):
    """A convolution whose maps are averaged and weighed: Grad-CAM then equals CAM / (h w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.fc = nn.Linear(6, 4, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        return self.fc(self.conv(values).mean((2, 3)))


def linear(pixels: int = 16, classes: int = 4, channels: int = 1) -> nn.Sequential:
    """A linear classifier of a square image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * pixels, classes))


def classifier(
    network: nn.Module,
    height: int,
    channels: int = 1,
    classes: int = 4,
    preprocessing: Preprocessing | None = None,
    dtype: torch.dtype = torch.float32,
) -> TorchClassifier:
    """Wrap a network whose input is square."""
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    settings = preprocessing or Preprocessing(
        colour=channels == 3, fit="none", height=height, width=height, mean=zeros, std=ones
    )
    spec = ModelSpec(
        name="test",
        format="module",
        architecture="test",
        sha256="0" * 64,
        parameters=0,
        height=height,
        width=height,
        channels=channels,
        class_names=tuple(f"class {index}" for index in range(classes)),
        output=Output.LOGITS,
        preprocessing=settings,
    )
    network = place(network).to(dtype)
    return TorchClassifier(network, probed(network, spec), settings)
