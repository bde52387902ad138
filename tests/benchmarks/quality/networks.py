"""The three networks that scores are judged on, with images that they know and do not know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data import samples
from diagnostics.loaders.open import open_live, open_model
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, concatenate, extract_features
from diagnostics.reference.statistics import Reference, ReferenceBuilder
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource
from scripts import letters, train_fashion
from scripts.train_letters import HELD_OUT, SEED
from tests.benchmarks import strangers

LETTERS = "letters_conv"
NAMES = (LETTERS, "fashion_cnn", "fashion_vit")
REFERENCE, TESTED, STRANGE = 2000, 1000, 500


@dataclass(frozen=True)
class Case:
    """A network, the images it was measured on, and images it has never seen.

    Args:
        classifier: The network.
        images: For the reference, shape (n, 28, 28).
        labels: Of these images.
        tested: Others of the same kind.
        others: Images of no class, by kind.
    """

    classifier: TorchClassifier
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    tested: NDArray[np.float32]
    others: dict[str, NDArray[np.float32]]


def case(name: str, seed: int = 0) -> Case:
    """Return a network with its images; those of Fashion-MNIST are trained if they are missing."""
    images, labels = _known(name)
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], labels[order]
    count = min(REFERENCE, 2 * len(images) // 3)
    tested = images[count : count + TESTED]
    others = strangers.everything(min(STRANGE, len(tested)), tested, seed=seed)
    if name == LETTERS:
        others.pop("letters")
    return Case(_classifier(name), images[:count], labels[:count], tested, others)


def measured(one: Case, count: int) -> Reference:
    """Return a reference on the first images of a case, dealt in turn to the two halves."""
    seen, labels = seen_of(one, one.images[:count]), torch.from_numpy(one.labels[:count])
    pixels = torch.from_numpy(one.images[:count])[:, None]
    return built(one, seen, labels, pixels, torch.arange(count))


def built(
    one: Case, seen: Features, labels: torch.Tensor, pixels: torch.Tensor, rows: torch.Tensor
) -> Reference:
    """Return a reference on some of the images that a network saw."""
    gathering = ReferenceBuilder(one.classifier)
    for half in (0, 1):
        own = rows[half::2]
        gathering.add(seen.select(own), labels[own], pixels[own], half)
    return gathering.build({})


def seen_of(one: Case, images: NDArray[np.float32]) -> Features:
    """Return what a network gives for images of shape (n, 28, 28)."""
    pixels = torch.from_numpy(np.ascontiguousarray(images))[:, None]
    return concatenate(
        [extract_features(one.classifier, part) for part in torch.split(pixels, 256)]
    )


def _known(name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if name == LETTERS:
        _, held = letters.split(letters.faces(), "text", HELD_OUT["text"], SEED)
        glyphs = np.concatenate([face.glyphs for face in held])
        return np.rint(glyphs * 255) / np.float32(255), np.tile(np.arange(26), len(held))
    images, labels = train_fashion.pixels("test")
    return images.astype(np.float32) / 255, labels.astype(np.int64)


def _classifier(name: str) -> TorchClassifier:
    if name == LETTERS:
        return open_model(ModelSource(samples.model_files()[name]), ()).classifier()
    settings = Preprocessing(
        colour=False,
        fit="none",
        height=28,
        width=28,
        mean=(train_fashion.MEAN,),
        std=(train_fashion.STD,),
    )
    source = ModelSource(File("", "0" * 64, name))
    return open_live(source, train_fashion.load(name), settings).classifier()
