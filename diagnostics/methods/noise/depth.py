"""At which layer does noise turn into a class?"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import InputError
from diagnostics.methods.context import Batch, Context, Outcome, Sample
from diagnostics.methods.noise.panel import Panel
from diagnostics.methods.registry import method
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import SCORES
from diagnostics.schema.options import Range
from diagnostics.schema.results.noise import DepthAnswer, LayerShares

MIN_PER_CLASS, MAX_PER_CLASS = 2, 20  # labelled images
MAX_CLASSES = 50
MAX_LAYERS = 40
GRID = 4  # cells per side to which a layer's maps are averaged


@method("Depth", source="Nearest class mean at each layer, Alain & Bengio 2016, arXiv:1610.01644")
def depth(
    context: Context, *, family: str = "uniform", draws: Annotated[int, Range(8, 256)] = 32
) -> Outcome[DepthAnswer]:
    """Which class's mean the noise is nearest to, layer by layer.

    Args:
        context: Gives a folder with labels.
        family: Id of the family of noise.
        draws: How many images of noise.

    Returns:
        For each layer the share of the noise that is nearest to each class's mean, and how often
        a labelled image left out of its mean is nearest to its own class: where that is near
        chance, the layer does not tell classes apart and its shares say little.

    Raises:
        InputError: When fewer than two classes have two labelled images.
    """
    samples = _few_of_each_class(context)
    if len({sample.label for sample in samples}) < 2:
        raise InputError(
            f"This needs a folder with {MIN_PER_CLASS} labelled images or more of two classes at "
            "least: one folder for each class, named as the class."
        )
    class_means = ClassMeans(context.classifier)
    for batch in context.batches(samples, "Measuring the classes"):
        class_means.add(batch)
    panel = Panel(context, samples)
    if family not in panel.families:
        raise InputError(
            f"There is no noise {family!r} here; there are {', '.join(panel.families)}."
        )
    noise = torch.stack(
        [torch.from_numpy(panel.draw(family, number)).movedim(2, 0) for number in range(draws)]
    )
    names = context.classifier.spec.class_names
    return Outcome(
        DepthAnswer(
            family=family,
            draws=draws,
            n=len(samples),
            classes={str(index): names[index] for index in class_means.classes},
            layers=class_means.nearest(noise.to(context.classifier.device)),
            notes=context.remarks(),
        )
    )


def _few_of_each_class(context: Context) -> list[Sample]:
    """Return a few labelled images of each class that has two or more, in random order."""
    samples = context.shuffled(context.in_distribution())
    counts = Counter(sample.label for sample in samples if sample.label != UNKNOWN)
    classes = sorted(label for label, count in counts.items() if count >= MIN_PER_CLASS)
    room = dict.fromkeys(classes[:MAX_CLASSES], MAX_PER_CLASS)
    few = []
    for sample in samples:
        if room.get(sample.label, 0) > 0:
            room[sample.label] -= 1
            few.append(sample)
    return few


class ClassMeans:
    """Means of labelled images' activations, by class, at layers spread over the depth.

    Args:
        classifier: The classifier.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self._classifier = classifier
        self._layers = _spread_layers(classifier)
        self._vectors: dict[str, list[Tensor]] = {name: [] for name in self._layers}
        self._labels: list[Tensor] = []

    @property
    def classes(self) -> list[int]:
        """Indices of the classes that have a mean."""
        return sorted(set(torch.cat(self._labels).tolist()))

    def add(self, batch: Batch) -> None:
        """Take in labelled images."""
        for name, vectors in self._vectors_of(batch.pixels).items():
            self._vectors[name].append(vectors)
        self._labels.append(batch.labels)

    def nearest(self, pixels: Tensor) -> list[LayerShares]:
        """Return, for each layer, which class means these images are nearest to."""
        batches = torch.split(pixels, batch_size(self._classifier))
        parts = [self._vectors_of(batch) for batch in batches]
        labels, classes = torch.cat(self._labels), self.classes
        layers = []
        for name in self._layers:
            vectors = torch.cat(self._vectors[name])
            others = torch.cat([part[name] for part in parts])
            spread = vectors.std(0, correction=0).clamp_min(1e-9)
            means = _means(vectors / spread, labels, classes)
            nearest = torch.cdist(others / spread, means).argmin(1)
            counts = Counter(classes[index] for index in nearest.tolist())
            layers.append(
                LayerShares(
                    layer=name,
                    shares={str(index): counts[index] / len(others) for index in classes},
                    accuracy=_leave_one_out_accuracy(vectors / spread, labels, classes),
                )
            )
        return layers

    @torch.no_grad()
    def _vectors_of(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return a vector per image and layer: maps averaged to a small grid, or the values."""
        spec = self._classifier.spec
        activations = self._classifier.trace(pixels, self._layers).activations
        vectors = {}
        for name in self._layers:
            layer, values = spec.layer(name), activations[name].detach()
            maps = as_maps(values, layer, (spec.height, spec.width)) if layer else None
            if maps is not None:
                height, width = (min(GRID, side) for side in maps.shape[2:])
                values = adaptive_avg_pool2d(maps, (height, width))
            vectors[name] = values.flatten(1).double().cpu()
        return vectors


def _spread_layers(classifier: TorchClassifier) -> list[str]:
    """Return layers that ran, evenly spread over the depth, the last one among them."""
    names = [
        layer.name
        for layer in classifier.spec.layers
        if layer.shape and layer.kind not in (SCORES, "attention")
    ]
    if len(names) <= MAX_LAYERS:
        return names
    indices = torch.linspace(0, len(names) - 1, MAX_LAYERS).round().int().tolist()
    return [names[index] for index in indices]


def _means(vectors: Tensor, labels: Tensor, classes: list[int]) -> Tensor:
    return torch.stack([vectors[labels == index].mean(0) for index in classes])


def _leave_one_out_accuracy(vectors: Tensor, labels: Tensor, classes: list[int]) -> float:
    """Return how often an image is nearest to its class's mean, itself left out of that mean."""
    means = _means(vectors, labels, classes)
    truth = torch.tensor([classes.index(label) for label in labels.tolist()])
    counts = torch.bincount(truth)[truth][:, None]
    without = (means[truth] * counts - vectors) / (counts - 1)
    distances = torch.cdist(vectors, means)
    distances[torch.arange(len(vectors)), truth] = (vectors - without).norm(dim=1)
    return float((distances.argmin(1) == truth).double().mean())
