"""What a plant is: a network or an image with a cause that is known, because it was put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import decode
from diagnostics.methods.context import Sample
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from tests.benchmarks.preprocessing.plants import Folder
from tests.benchmarks.preprocessing.worlds import png

Box = tuple[int, int, int, int]
Picture = NDArray[np.uint8]
JUSTIFIED = ("none.justified", "none.unsure")


class UnprovenError(AssertionError):
    """A plant whose own intervention does not do what it is said to do."""


@dataclass(frozen=True)
class Plant:
    """A network, what its user has, and the cause that is in it.

    Args:
        name: Of the plant, with its ground.
        classifier: The network, with the preprocessing that its user has set.
        known: Good images with labels.
        probes: The images asked about; their labels are what they show, `UNKNOWN` where that is
            no class.
        truth: Ids of causes that are right; the first is what was planted.
        prove: Raises `UnprovenError` unless the planted intervention moves the figure that it
            should; returns the figures as a sentence.
        box: Left, top, right and bottom of the cue in px; None where it has no place.
        twin: The classifier without the cause; None where there is none.
        kind: "plant", or "healthy" or "innocent" where nothing was planted.
    """

    name: str
    classifier: TorchClassifier
    known: list[Sample]
    probes: list[Sample]
    truth: tuple[str, ...]
    prove: Callable[[], str]
    box: Box | None = None
    twin: TorchClassifier | None = None
    kind: str = "plant"

    def context(self) -> Probed:
        """Return what `why` is given: no label of a probe is in it."""
        return Probed(self.classifier, self.known, self.probes)


class Probed(Folder):
    """A context whose folder and images in hand are lists."""

    def __init__(
        self, classifier: TorchClassifier, known: list[Sample], probes: list[Sample]
    ) -> None:
        super().__init__(classifier, known)
        self._probes = [replace(probe, label=UNKNOWN) for probe in probes]

    def samples(self) -> list[Sample]:
        """Return the probes, without labels."""
        return self._probes


def demand(holds: bool, sentence: str) -> str:
    """Return a sentence with the figures of a proof.

    Raises:
        UnprovenError: When it does not hold.
    """
    if not holds:
        raise UnprovenError(sentence)
    return sentence


def files(pictures: list[Picture], labels: NDArray[np.int64] | list[int]) -> list[Sample]:
    """Return pictures as labelled files, named after what they show and not after their place."""
    return [
        Sample(f"{row:04d}.png", int(label), png(np.ascontiguousarray(picture)))
        for row, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    ]


def pixels_of(samples: list[Sample], settings: Preprocessing) -> Tensor:
    """Return the pixels of files, shape (n, c, h, w)."""
    pipeline = Pipeline(settings)
    return torch.from_numpy(np.stack([pipeline.run(decode(one.read())) for one in samples]))


def probabilities(classifier: TorchClassifier, samples: list[Sample]) -> NDArray[np.float64]:
    """Return what a classifier says of files, shape (n, classes)."""
    with torch.no_grad():
        logits = classifier.logits(pixels_of(samples, classifier.preprocessing))
    return logits.double().softmax(1).numpy()


def labels_of(samples: list[Sample]) -> NDArray[np.int64]:
    """Return the labels of files."""
    return np.array([sample.label for sample in samples])


def accuracy(classifier: TorchClassifier, samples: list[Sample]) -> float:
    """Return which share of labelled files is answered right."""
    return float((probabilities(classifier, samples).argmax(1) == labels_of(samples)).mean())


def listed(values: NDArray[np.float64] | list[float]) -> str:
    """Return probabilities for a sentence."""
    return " ".join(f"{value:.2f}" for value in values)
