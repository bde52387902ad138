"""Networks that never saw some classes of their kind: those classes are the near strangers.

The rule of `combined` was chosen while looking at the networks with `chosen_on`; what it reaches on
the others, on which nothing was chosen, is the figure to believe. All are trained here, within a
minute or two each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from diagnostics.loaders.open import open_live
from diagnostics.models.sample_networks import DigitsConv, LettersDense
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource
from scripts import letters, train_fashion
from scripts.fashion_networks import FashionCNN
from tests.benchmarks import strangers
from tests.benchmarks.quality.networks import REFERENCE, STRANGE, TESTED, Case

NEAR = "left out"  # the kind of stranger
MAX_TRAINED = 16_000
SAME_KIND = {"mnist": ["mnist"], "digits": ["mnist"], "letters": ["letters"], "fashion": []}
Data: TypeAlias = Literal["mnist", "digits", "fashion", "letters"]
Labelled: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class LeftOut:
    """A network and what it is not shown.

    Args:
        data: Which images.
        build: Takes `num_classes`.
        classes: Left out of training.
        epochs: Of training.
        chosen_on: Whether the rule of `combined` was chosen while looking at it.
    """

    data: Data
    build: type[nn.Module]
    classes: tuple[int, ...]
    epochs: int
    chosen_on: bool = False


NETWORKS = {
    "mnist_conv without 8, 9": LeftOut("mnist", DigitsConv, (8, 9), 8, chosen_on=True),
    "fashion_cnn without bag, boot": LeftOut("fashion", FashionCNN, (8, 9), 5, chosen_on=True),
    "letters_dense without c, m, x": LeftOut("letters", LettersDense, (2, 12, 23), 12, True),
    "mnist_cnn without 3, 5": LeftOut("mnist", FashionCNN, (3, 5), 6),
    "digits_conv without 1, 7": LeftOut("digits", DigitsConv, (1, 7), 15),
    "fashion_dense without shirt, sandal": LeftOut("fashion", LettersDense, (5, 6), 6),
}


def case(name: str, seed: int = 0) -> Case:
    """Return a network with images of the classes it knows, and strangers near and far."""
    one = NETWORKS[name]
    train, held = _data(one.data)
    known = [label for label in sorted(set(train[1].tolist())) if label not in one.classes]
    trained, (images, labels) = _of(train, known), _of(held, known)
    mean, std = float(trained[0].mean()), float(trained[0].std())
    settings = Preprocessing(
        colour=False, fit="none", height=28, width=28, mean=(mean,), std=(std,)
    )
    source = ModelSource(File("", "0" * 64, name))
    classifier = open_live(source, _network(name, trained, mean, std), settings).classifier()
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], labels[order]
    count = min(REFERENCE, 2 * len(images) // 3)
    tested = images[count : count + TESTED]
    strange, _ = _of(held, one.classes)
    near = np.random.default_rng(seed).permutation(strange)[:STRANGE]
    others = strangers.everything(min(STRANGE, len(tested)), tested, seed=seed)
    for kind in SAME_KIND[one.data]:
        others.pop(kind)
    return Case(classifier, images[:count], labels[:count], tested, {NEAR: near, **others})


def _network(name: str, trained: Labelled, mean: float, std: float) -> nn.Module:
    """Return a network ready to answer, trained now where it was not before."""
    one, path = NETWORKS[name], train_fashion.FOLDER / f"{name}.safetensors"
    images, labels = trained
    classes = int(labels.max()) + 1
    network = one.build(num_classes=classes)
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval().requires_grad_(False)
    torch.manual_seed(0)
    network = one.build(num_classes=classes).train()
    chosen = np.random.default_rng(0).permutation(len(images))[:MAX_TRAINED]
    values = (torch.from_numpy(images[chosen])[:, None] - mean) / std
    train_fashion.fit(network, values, torch.from_numpy(labels[chosen]), one.epochs, peak=2e-3)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return network.eval().requires_grad_(False)


def _data(name: Data) -> tuple[Labelled, Labelled]:
    """Return images to train on and others, shape (n, 28, 28) in [0, 1], with their labels."""
    if name == "fashion":
        return _fashion("train"), _fashion("test")
    if name == "letters":
        found = letters.faces()
        text = letters.split(found, "text", 0.3, 0)
        decorative = letters.split(found, "decorative", 0.3, 0)
        return _letters(text[0] + decorative[0]), _letters(text[1] + decorative[1])
    images, labels = strangers.labelled_mnist() if name == "mnist" else _digits()
    order = np.random.default_rng(0).permutation(len(images))
    first, rest = np.split(order, [len(order) * 3 // 5])
    return (images[first], labels[first]), (images[rest], labels[rest])


def _fashion(split: Literal["train", "test"]) -> Labelled:
    images, labels = train_fashion.pixels(split)
    return images.astype(np.float32) / 255, labels.astype(np.int64)


def _letters(faces: list[letters.Face]) -> Labelled:
    glyphs = np.concatenate([face.glyphs for face in faces])
    return np.rint(glyphs * 255) / np.float32(255), np.tile(np.arange(26), len(faces))


def _digits() -> Labelled:
    """Return scikit-learn's 8 × 8 digits, each pixel three times as wide, with a border of two."""
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    large = small.reshape(-1, 8, 8).repeat(3, 1).repeat(3, 2) / 16
    padded = np.pad(large, ((0, 0), (2, 2), (2, 2)))
    return np.rint(padded * 255).astype(np.float32) / np.float32(255), labels.astype(np.int64)


def _of(data: Labelled, classes: tuple[int, ...] | list[int]) -> Labelled:
    """Return the images of some classes; their labels count from 0 in that order."""
    images, labels = data
    rows = np.isin(labels, classes)
    place = {label: index for index, label in enumerate(classes)}
    return images[rows], np.array([place[label] for label in labels[rows].tolist()], np.int64)
