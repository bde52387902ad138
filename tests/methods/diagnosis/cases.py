"""Linear networks whose answers can be written down, with images of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.methods.context import Context, Sample
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from tests.benchmarks.preprocessing.worlds import classifier_of, png

SIDE = 16
GREY = Preprocessing(colour=False, fit="stretch", height=SIDE, width=SIDE, mean=(0.0,), std=(1.0,))


class Asked(Context):
    """A context whose folder and images are lists."""

    def __init__(
        self, classifier: TorchClassifier, good: Sequence[Sample], images: Sequence[Sample]
    ) -> None:
        super().__init__(classifier)
        self._good, self._images = list(good), list(images)

    @property
    def has_in_distribution(self) -> bool:
        return bool(self._good)

    def in_distribution(self) -> list[Sample]:
        return self._good

    def samples(self) -> list[Sample]:
        return self._images


def linear(weight: Tensor, bias: Tensor | None = None) -> TorchClassifier:
    """Return a classifier whose logits are weight · pixels + bias; weight has shape (k, pixels)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return classifier_of("linear", nn.Sequential(nn.Flatten(), layer), GREY)


def quarters(classes: int = 4, gain: float = 0.5) -> Tensor:
    """Return the weights of a network whose classes are bright blocks of the image, one each."""
    weight = torch.zeros(classes, SIDE, SIDE)
    for index in range(classes):
        top, left = divmod(index, 4)
        weight[index, 4 * top + 4 : 4 * top + 8, 4 * left : 4 * left + 4] = gain
    return weight.flatten(1)


def images(
    classes: int, count: int, seed: int = 0, noise: float = 0.08
) -> tuple[list[np.ndarray], list[int]]:
    """Return dim images with the block of their class bright, as levels of 0 to 255."""
    random = np.random.default_rng(seed)
    pictures, labels = [], []
    for row in range(count):
        index = row % classes
        picture = random.normal(0.15, noise, (SIDE, SIDE))
        top, left = divmod(index, 4)
        picture[4 * top + 4 : 4 * top + 8, 4 * left : 4 * left + 4] += 0.5
        pictures.append(np.rint(picture.clip(0, 1) * 255).astype(np.uint8))
        labels.append(index)
    return pictures, labels


def samples(pictures: Sequence[np.ndarray], labels: Sequence[int]) -> list[Sample]:
    """Return pictures as labelled files."""
    return [
        Sample(f"{row}.png", label, png(picture))
        for row, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    ]


def unlabelled(sample: Sample, name: str = "") -> Sample:
    """Return a file without its label."""
    return replace(sample, label=-1, name=name or sample.name)
