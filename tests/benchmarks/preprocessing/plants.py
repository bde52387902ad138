"""Errors planted in a healthy network or its preprocessing, and what the check must say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import decode
from diagnostics.methods.context import Context, Sample
from diagnostics.models.batchnorm import batchnorm_layers
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from diagnostics.schema.spec import preprocessing_from
from tests.benchmarks.preprocessing.worlds import World, png

VISIBLE = 0.10  # of accuracy that a planted error costs, or it is no error
RESTORED = 0.05  # of accuracy within which the suggested way is right
BIASED = 0.6  # of the healthy accuracy that a biased head keeps
BLUR_PX = 2.0


class Folder(Context):
    """A context whose folder is a list of images; without labels they are those in hand."""

    def __init__(self, classifier: TorchClassifier, images: list[Sample]) -> None:
        super().__init__(classifier)
        self._images = images

    @property
    def has_in_distribution(self) -> bool:
        return True

    def in_distribution(self) -> list[Sample]:
        return self._images


@dataclass(frozen=True)
class Case:
    """A network with an error planted, or without.

    Args:
        classifier: The network, with the settings that a person has set.
        images: With labels.
        healthy: Accuracy of the same network on the same images without the error.
        planted: With it.
    """

    classifier: TorchClassifier
    images: list[Sample]
    healthy: float
    planted: float


def accuracy(classifier: TorchClassifier, images: list[Sample]) -> float:
    """Return which share of labelled images is answered right."""
    pipeline = Pipeline(classifier.preprocessing)
    pixels = np.stack([pipeline.run(decode(one.read(), one.name)) for one in images])
    with torch.no_grad():
        predicted = classifier.logits(torch.from_numpy(pixels)).argmax(1).numpy()
    return float((predicted == np.array([one.label for one in images])).mean())


def with_settings(classifier: TorchClassifier, settings: Preprocessing) -> TorchClassifier:
    """Return a classifier whose file says nothing else than what is set."""
    spec = replace(classifier.spec, preprocessing=settings)
    return TorchClassifier(classifier.network, spec, settings)


def changed(
    change: Callable[[Preprocessing], Preprocessing | None],
) -> Callable[[World, list[Sample]], tuple[TorchClassifier, list[Sample]] | None]:
    """Return a plant that sets another preprocessing."""

    def plant(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]] | None:
        settings = change(world.classifier.preprocessing)
        if settings is None or settings == world.classifier.preprocessing:
            return None
        return with_settings(world.classifier, settings), images

    return plant


def plain(settings: Preprocessing, top: int = 1) -> Preprocessing:
    """Return settings without mean and std."""
    count = len(settings.mean)
    return replace(settings, mean=(0.0,) * count, std=(1.0,) * count, value_range=top)


def exchanged(settings: Preprocessing) -> Preprocessing | None:
    if min(settings.mean) <= 0 or settings.mean == settings.std:
        return None
    return replace(settings, mean=settings.std, std=settings.mean)


def twice(settings: Preprocessing) -> Preprocessing:
    mean = tuple(255 * value for value in settings.mean)
    return replace(settings, mean=mean, std=tuple(255 * value for value in settings.std))


def coloured(
    change: Callable[[Preprocessing], Preprocessing],
) -> Callable[..., Preprocessing | None]:
    return lambda settings: change(settings) if settings.colour else None


def rebuilt(classifier: TorchClassifier, change: Callable[[nn.Module], None]) -> TorchClassifier:
    network = deepcopy(classifier.network)
    with torch.no_grad():
        change(network)
    return TorchClassifier(network, classifier.spec, classifier.preprocessing)


def names_shifted(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    classes = len(world.classifier.spec.class_names)
    return world.classifier, [replace(one, label=(one.label + 1) % classes) for one in images]


def names_mixed(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    order = np.random.default_rng(3).permutation(len(world.classifier.spec.class_names))
    return world.classifier, [replace(one, label=int(order[one.label])) for one in images]


def random_weights(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    def change(network: nn.Module) -> None:
        torch.manual_seed(len(images))
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    return rebuilt(world.classifier, change), images


def last(network: nn.Module) -> nn.Linear:
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def constant(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    return rebuilt(world.classifier, lambda network: last(network).weight.zero_()), images


def _biased(network: nn.Module, index: int, size: float) -> None:
    last(network).bias[index] += size


def head_bias(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    healthy, index = accuracy(world.classifier, images), len(images) % 5
    size = 1.0
    while True:
        biased = rebuilt(world.classifier, partial(_biased, index=index, size=size))
        if accuracy(biased, images) <= BIASED * healthy or size > 1e4:
            return biased, images
        size *= 1.25


def batchnorm_ruined(kind: str) -> Callable[..., tuple[TorchClassifier, list[Sample]] | None]:
    """Return a plant that makes BatchNorm remember something else."""

    def change(network: nn.Module) -> None:
        generator = torch.Generator().manual_seed(5)
        for layer in batchnorm_layers(network):
            if kind == "forgotten":
                layer.mean.zero_()
                layer.variance.fill_(1)
            else:
                noise = torch.randn(2, len(layer.mean), generator=generator)
                layer.variance.mul_((1.2 * noise[0]).exp())
                layer.mean.add_(noise[1] * layer.variance.sqrt())

    def plant(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]] | None:
        if not batchnorm_layers(world.classifier.network):
            return None
        return rebuilt(world.classifier, change), images

    return plant


def images_blurred(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    """Blur the files themselves: no preprocessing is wrong."""
    from PIL import Image, ImageFilter

    def blurred(one: Sample) -> Sample:
        values = np.rint(decode(one.read(), one.name).values * 255).astype(np.uint8)
        picture = Image.fromarray(values.squeeze()).filter(ImageFilter.GaussianBlur(1))
        return replace(one, read=png(np.asarray(picture)))

    return world.classifier, [blurred(one) for one in images]


def healthy(world: World, images: list[Sample]) -> tuple[TorchClassifier, list[Sample]]:
    return world.classifier, images


PREPROCESSING = {
    "mean and std exchanged": changed(exchanged),
    "not normalised": changed(plain),
    "raw 0..255": changed(lambda settings: plain(settings, 255)),
    "divided by 255 twice": changed(twice),
    "inverted": changed(lambda settings: replace(settings, invert=True)),
    "blurred by 2 px": changed(lambda settings: replace(settings, blur=BLUR_PX)),
    "steep contrast": changed(lambda settings: replace(settings, contrast=30.0)),
    "stretched instead of cropped": changed(coloured(lambda one: replace(one, fit="stretch"))),
    "letterboxed instead of cropped": changed(coloured(lambda one: replace(one, fit="letterbox"))),
    "BGR": changed(coloured(lambda one: replace(one, bgr=True))),
    "turned to grey": changed(coloured(lambda one: replace(one, grey=True))),
}
ELSEWHERE = {
    "names shifted": (names_shifted, ("names",)),
    "names mixed": (names_mixed, ("names",)),
    "random weights": (random_weights, ("chance", "constant", "batchnorm")),
    "constant": (constant, ("constant",)),
    "head bias": (head_bias, ("offset",)),
    "BatchNorm ruined": (batchnorm_ruined("noise"), ("batchnorm",)),
    "BatchNorm forgotten": (batchnorm_ruined("forgotten"), ("batchnorm",)),
}
CONTROLS = {"healthy": healthy, "files blurred": images_blurred}


def draws(world: World, size: int, count: int) -> Iterator[list[Sample]]:
    """Yield folders of images of a world."""
    for draw in range(count):
        order = np.random.default_rng([draw, size]).permutation(len(world.images))[:size]
        yield [world.images[row] for row in order]


def case(world: World, name: str, images: list[Sample]) -> Case | None:
    """Return a case; None where the world cannot have it, or it costs too little to be an error."""
    plant = CONTROLS.get(name) or PREPROCESSING.get(name) or ELSEWHERE[name][0]
    planted = plant(world, images)
    if planted is None:
        return None
    before, after = accuracy(world.classifier, images), accuracy(*planted)
    if name not in CONTROLS and before - after < VISIBLE:
        return None
    return Case(*planted, before, after)


def unlabelled(images: list[Sample]) -> list[Sample]:
    """Return the images without their labels."""
    return [replace(one, label=UNKNOWN) for one in images]


def judged(name: str, one: Case, check: PreprocessingCheck) -> str:
    """Return "named", "accused" where a right preprocessing is called wrong, or the verdict."""
    if name in PREPROCESSING:
        if check["verdict"] != "wrong":
            return check["verdict"]
        suggested = next(row for row in check["candidates"] if row["suggested"])
        settings = preprocessing_from(suggested["preprocessing"])
        found = accuracy(with_settings(one.classifier, settings), one.images)
        return "named" if found >= one.healthy - RESTORED else "another way"
    if check["verdict"] == "wrong":
        return "accused"
    if name in ELSEWHERE and check["cause"] in ELSEWHERE[name][1]:
        return "named"
    return check["verdict"]
