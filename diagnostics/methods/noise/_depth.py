"""Nearest class means at every layer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.context import Batch, Context, Sample
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import SCORES

LEAST, MOST = 2, 20  # labelled images of a class
MOST_CLASSES = 50
MOST_LAYERS = 40
GRID = 4  # cells per side to which a layer's maps are averaged


def labelled_few(context: Context) -> list[Sample]:
    """Return a few labelled images of each class that has two or more, in random order."""
    known = [one for one in context.shuffled(context.in_distribution()) if one.label != UNKNOWN]
    enough = {
        label for label, count in Counter(one.label for one in known).items() if count >= LEAST
    }
    kept = sorted(enough)[:MOST_CLASSES]
    taken: Counter[int] = Counter()
    few = []
    for one in known:
        if one.label in kept and taken[one.label] < MOST:
            taken[one.label] += 1
            few.append(one)
    return few


class Depth:
    """Class means at every layer.

    Args:
        context: Gives the classifier.
    """

    def __init__(self, context: Context) -> None:
        self._classifier = context.classifier
        self._names = _layers(context.classifier)
        self._rows: dict[str, list[Tensor]] = {name: [] for name in self._names}
        self._labels: list[Tensor] = []

    @property
    def classes(self) -> list[int]:
        """Indices of the classes that have a mean."""
        return sorted(set(torch.cat(self._labels).tolist()))

    def add(self, one: Batch) -> None:
        """Take in labelled images."""
        for name, rows in self._vectors(one.pixels).items():
            self._rows[name].append(rows)
        self._labels.append(one.labels)

    def curve(self, pixels: Tensor) -> list[dict[str, Any]]:
        """Return, for each layer, which class means these images are nearest to, as JSON."""
        parts = [self._vectors(part) for part in torch.split(pixels, batch_size(self._classifier))]
        labels = torch.cat(self._labels)
        found = []
        for name in self._names:
            rows = torch.cat(self._rows[name])
            others = torch.cat([part[name] for part in parts])
            spread = rows.std(0, correction=0).clamp_min(1e-9)
            nearest = _nearest(rows / spread, labels, others / spread, self.classes)
            counts = Counter(self.classes[place] for place in nearest.tolist())
            found.append(
                {
                    "layer": name,
                    "shares": {str(one): counts[one] / len(others) for one in self.classes},
                    "own_class": _left_out(rows / spread, labels, self.classes),
                }
            )
        return found

    @torch.no_grad()
    def _vectors(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return a vector per image and layer: maps averaged to a small grid, or the values."""
        spec = self._classifier.spec
        activations = self._classifier.trace(pixels, self._names).activations
        found = {}
        for name in self._names:
            layer, values = spec.layer(name), activations[name].detach()
            maps = as_maps(values, layer, (spec.height, spec.width)) if layer else None
            if maps is not None:
                height, width = (min(GRID, side) for side in maps.shape[2:])
                values = adaptive_avg_pool2d(maps, (height, width))
            found[name] = values.flatten(1).double().cpu()
        return found


def _layers(classifier: TorchClassifier) -> list[str]:
    """Return layers that ran, evenly spread over the depth, the last one among them."""
    spec = classifier.spec
    ran = [one.name for one in spec.layers if one.shape and one.kind not in (SCORES, "attention")]
    if len(ran) <= MOST_LAYERS:
        return ran
    places = torch.linspace(0, len(ran) - 1, MOST_LAYERS).round().int().tolist()
    return [ran[place] for place in places]


def _means(rows: Tensor, labels: Tensor, classes: list[int]) -> Tensor:
    return torch.stack([rows[labels == one].mean(0) for one in classes])


def _nearest(rows: Tensor, labels: Tensor, others: Tensor, classes: list[int]) -> Tensor:
    return torch.cdist(others, _means(rows, labels, classes)).argmin(1)


def _left_out(rows: Tensor, labels: Tensor, classes: list[int]) -> float:
    """Return how often an image is nearest to its own class's mean, itself left out of it."""
    means = _means(rows, labels, classes)
    own = torch.tensor([classes.index(one) for one in labels.tolist()])
    counts = torch.bincount(own)[own][:, None]
    without = (means[own] * counts - rows) / (counts - 1)
    distances = torch.cdist(rows, means)
    distances[torch.arange(len(rows)), own] = (rows - without).norm(dim=1)
    return float((distances.argmin(1) == own).double().mean())
