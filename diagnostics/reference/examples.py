"""Images that a reference carries: a few of each class, as the network receives them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.models.features import Features
from diagnostics.reference.running_sums import require

MAX_EXAMPLES = 64
MAX_PER_CLASS = 8
LEVELS = 255


@dataclass(frozen=True)
class Examples:
    """Images, and what the network gave for them: first one of each class, then a second one.

    Args:
        pixels: Levels of 0 to 255 at input size, uint8, shape (m, c, h, w).
        labels: Index of each image's class, `UNKNOWN` where it has none, shape (m,).
        logits: Shape (m, k), float32.
        features: What the last layer received, shape (m, d), float32.
    """

    pixels: Tensor
    labels: Tensor
    logits: Tensor
    features: Tensor

    @property
    def values(self) -> Tensor:
        """The pixels in [0, 1], float32: exactly those of any image of 8 bit."""
        return self.pixels.float().div(LEVELS)

    def select(self, rows: Tensor) -> Examples:
        """Return the same of some of the images."""
        return Examples(*(part[rows] for part in vars(self).values()))


class ExampleBuilder:
    """Chooses examples among images that come batch by batch, and holds no others."""

    def __init__(self) -> None:
        self._order = torch.zeros(0, dtype=torch.int64)
        self._kept: Examples | None = None

    def add(self, outputs: Features, labels: Tensor, pixels: Tensor, order: Tensor) -> None:
        """Take in images.

        Args:
            outputs: What the network gave for them.
            labels: Index of each image's class, or `UNKNOWN`; shape (n,).
            pixels: Shape (n, c, h, w) in [0, 1].
            order: Each image's place among all images of all batches, shape (n,).
        """
        known = labels[:0] if self._kept is None else self._kept.labels
        rows = _chosen(torch.cat([known, labels]), torch.cat([self._order, order]))
        old, new = rows[rows < len(known)], rows[rows >= len(known)] - len(known)
        levels = (pixels[new.to(pixels.device)] * LEVELS).round().clamp(0, LEVELS)
        features = outputs.features[new].float()
        added = Examples(levels.to("cpu", torch.uint8), labels[new], outputs.logits[new], features)
        self._order = torch.cat([self._order[old], order[new]])
        self._kept = added if self._kept is None else _joined(self._kept.select(old), added)

    def build(self) -> Examples | None:
        """Return the examples; None where no image came."""
        kept = self._kept
        return None if kept is None else kept.select(_chosen(kept.labels, self._order))


def check_examples(tensors: Mapping[str, Tensor], classes: int, features: int) -> Examples:
    """Return the examples that a file brought, held to what `ExampleBuilder` gives.

    Raises:
        ValueError: When one is of another shape, type or range.
        KeyError: When something is missing.
    """
    examples = Examples(*(tensors[name] for name in Examples.__dataclass_fields__))
    pixels, labels, count = examples.pixels, examples.labels, len(examples.pixels)
    require(pixels.dtype == torch.uint8 and pixels.ndim == 4 and 0 < count <= MAX_EXAMPLES)
    require(labels.dtype == torch.int64 and labels.shape == (count,))
    require(bool(((labels >= UNKNOWN) & (labels < classes)).all()))
    for numbers, width in ((examples.logits, classes), (examples.features, features)):
        require(numbers.dtype == torch.float32 and numbers.shape == (count, width))
        require(bool(numbers.isfinite().all()))
    return examples


def _chosen(labels: Tensor, order: Tensor) -> Tensor:
    """Return which images are kept: the first of each class, the second ones, and so on.

    Images without a label are a class of their own, and fill the room that is left. To choose
    among chosen images and new ones gives what choosing among all gives.
    """
    counts: Counter[int] = Counter()
    ranked = []
    for row in order.argsort().tolist():
        label = int(labels[row])
        if label == UNKNOWN or counts[label] < MAX_PER_CLASS:
            ranked.append((counts[label], int(order[row]), row))
        counts[label] += 1
    rows = [row for _, _, row in sorted(ranked)[:MAX_EXAMPLES]]
    return torch.tensor(rows, dtype=torch.int64)


def _joined(first: Examples, second: Examples) -> Examples:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Examples(*(torch.cat(pair) for pair in pairs))
