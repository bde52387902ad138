"""Small networks with known answers, and the specs that go with them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import (
    DenseNet,
    EfficientNet,
    MobileNetV3,
    ShuffleNetV2,
    SwinTransformer,
    VisionTransformer,
)
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig

from diagnostics.loaders.open import to_device
from diagnostics.loaders.probe import probe
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import ModelSpec, Output


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


class Attends(nn.Module):
    """Patches of 4 px and a class token, one attention layer in three ways of writing it, a head.

    Args:
        way: "module" is `nn.MultiheadAttention`, "fused" the fused function, "softmax" by hand.
        channels: Of the image.
        classes: How many.
        reads: What the head reads: the "class" token, or the "mean" of the patches.
    """

    HEADS, WIDTH = 2, 8

    def __init__(self, way: str, channels: int = 1, classes: int = 4, reads: str = "class") -> None:
        super().__init__()
        self.way, self.reads = way, reads
        self.patches = nn.Conv2d(channels, self.WIDTH, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, self.WIDTH))
        self.norm1 = nn.LayerNorm(self.WIDTH)
        self.attn = _Attention(way, self.HEADS, self.WIDTH)
        self.head = nn.Linear(self.WIDTH, classes)

    def forward(self, values: Tensor) -> Tensor:
        tokens = self.patches(values).flatten(2).mT
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = tokens + self.attn(self.norm1(tokens))
        return self.head(tokens[:, 0] if self.reads == "class" else tokens[:, 1:].mean(1))


class _Attention(nn.Module):
    def __init__(self, way: str, heads: int, width: int) -> None:
        super().__init__()
        self.way, self.heads = way, heads
        self.whole = nn.MultiheadAttention(width, heads, batch_first=True)
        self.softmax = nn.Softmax(-1)

    def split(self, tokens: Tensor) -> list[Tensor]:
        """Return queries, keys and values, shape (n, heads, tokens, width of a head)."""
        mixed = nn.functional.linear(tokens, self.whole.in_proj_weight, self.whole.in_proj_bias)
        return [
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in mixed.chunk(3, dim=2)
        ]

    def forward(self, tokens: Tensor) -> Tensor:
        if self.way == "module":
            return self.whole(tokens, tokens, tokens, need_weights=False)[0]
        queries, keys, values = self.split(tokens)
        if self.way == "fused":
            mixed = nn.functional.scaled_dot_product_attention(queries, keys, values)
        else:
            scores = queries @ keys.mT / queries.shape[-1] ** 0.5
            mixed = self.softmax(scores) @ values
        return self.whole.out_proj(mixed.transpose(1, 2).flatten(2))


def mlp(pixels: int = 64, classes: int = 4, channels: int = 1) -> nn.Sequential:
    """A dense network of three layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * pixels, 10), nn.ReLU(), nn.Linear(10, classes)
    )


def swin(channels: int = 3, classes: int = 4) -> nn.Module:
    """A very small Swin transformer of torchvision for 16 × 16 px: windows of 2 × 2 tokens."""
    network = SwinTransformer([2, 2], 12, [2, 2], [2, 4], [2, 2], num_classes=classes)
    network.features[0][0] = nn.Conv2d(channels, 12, 2, 2)
    return network


def vit(channels: int = 3, classes: int = 4) -> nn.Module:
    """A very small vision transformer of torchvision for 16 × 16 px: 4 × 4 patches."""
    network = VisionTransformer(16, 4, 2, 2, 8, 16, num_classes=classes)
    network.conv_proj = nn.Conv2d(channels, 8, 4, 4)
    nn.init.normal_(network.heads.head.weight)
    return network


def mobilenet() -> nn.Module:
    """A MobileNetV3 of torchvision with few blocks: with and without squeezing, ReLU and swish."""
    blocks = [
        InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1),
        InvertedResidualConfig(16, 3, 48, 24, False, "RE", 2, 1, 1),
        InvertedResidualConfig(24, 5, 72, 24, True, "HS", 1, 1, 1),
    ]
    return MobileNetV3(blocks, 64, num_classes=7)


def efficientnet() -> nn.Module:
    """An EfficientNet of torchvision with few blocks, one of which is added to its input."""
    blocks = [MBConvConfig(1, 3, 1, 32, 16, 1, 1, 1), MBConvConfig(6, 5, 2, 16, 24, 2, 1, 1)]
    return EfficientNet(blocks, 0.2, num_classes=7)


def linear(pixels: int = 16, classes: int = 4, channels: int = 1) -> nn.Sequential:
    """A linear classifier of a square image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * pixels, classes))


def seeded(network: nn.Module, seed: int = 0, std: float = 0.5) -> nn.Module:
    """The network with parameters from a normal distribution; random numbers go on from there."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std)
    return network


# Networks that are exported to other formats: how to make one, and what images it takes.
EXPORTED = {
    "residual": (lambda: FunctionalResidual(classes=4), (3, 16, 16)),
    "one channel": (LettersConv, (1, 28, 28)),
    "dense": (lambda: mlp(256, channels=3), (3, 16, 16)),
    "vit": (vit, (3, 16, 16)),
    "swin": (swin, (3, 16, 16)),
    "mobilenet": (mobilenet, (3, 64, 64)),
    "efficientnet": (efficientnet, (3, 64, 64)),
    "shufflenet": (
        lambda: ShuffleNetV2([2, 1, 1], [8, 16, 32, 64, 64], num_classes=7),
        (3, 64, 64),
    ),
    "densenet": (lambda: DenseNet(8, (2, 2), 16, num_classes=7), (3, 64, 64)),
}


QUICK = ("residual", "one channel", "dense", "vit")
EXPORTED_PARAMS = [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in EXPORTED
]


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
    network = to_device(network).to(dtype)
    return TorchClassifier(network, probe(network, spec), settings)
