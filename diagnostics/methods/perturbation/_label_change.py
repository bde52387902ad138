"""Asking a network whether changes of one image change its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from diagnostics.errors import OptionError
from diagnostics.methods.context import Context
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.schema.request import File

CACHED = 32  # small images that go through a small network at once: more leave the cache
NO = -1  # what a network with one output says when it says no


class Asks(Protocol):
    """Says of changed images which ones change the answer."""

    def ask(self, pixels: Tensor) -> Tensor:
        """Return whether each of some images changes the answer, shape (n,)."""


class Flips:
    """What a network says of an image, and whether it says so of changed ones.

    An answer that is not finite changes nothing; it is counted.

    Args:
        classifier: The classifier asked.
        pixels: The image, shape (1, c, h, w), values in [0, 1].
        target: Only this class counts as a changed answer; None counts every other one.

    Raises:
        OptionError: When there is no such class.
    """

    def __init__(
        self, classifier: TorchClassifier, pixels: Tensor, target: int | None = None
    ) -> None:
        names = classifier.spec.class_names
        if target is not None and not 0 <= target < len(names):
            raise OptionError(f"There is no class {target} here; there are {len(names)}.")
        self._classifier, self.pixels, self._target = classifier, pixels, target
        self._at_once = min(batch_size(classifier), CACHED)
        self.asked = self.not_finite = 0
        logits = self.logits(pixels)
        self.finite = bool(logits.isfinite().all())
        self.label = int(_labels(logits)[0])
        self.said = max(self.label, 0)
        self.whole = float(self.margin(logits)[0])
        self.name = names[self.said] if self.label != NO else f"not {names[0]}"

    @property
    def already(self) -> bool:
        """Whether the image is called what it should become."""
        return self._target is not None and self.label == self._target

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of images, shape (n, k)."""
        self.asked += len(pixels)
        parts = torch.split(pixels, self._at_once)
        return torch.cat([self._classifier.logits(part) for part in parts])

    def ask(self, pixels: Tensor) -> Tensor:
        """Return whether each of some images changes the answer, shape (n,)."""
        return self.weighed(pixels)[0]

    def weighed(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return whether each image changes the answer, and its margin, see `margin`."""
        logits = self.logits(pixels)
        finite = logits.isfinite().all(1)
        self.not_finite += len(logits) - int(finite.sum())
        labels = _labels(logits)
        changed = labels != self.label if self._target is None else labels == self._target
        return changed & finite, self.margin(logits)

    def margin(self, logits: Tensor) -> Tensor:
        """Return how far each answer is from being another, shape (n,); below 0 it is another."""
        if logits.shape[1] == 1:
            return logits[:, 0] * (-1 if self.label == NO else 1)
        one = self.said if self._target is None else self._target
        others = logits.clone()
        others[:, one] = -torch.inf
        ahead = logits[:, one] - others.amax(1)
        return ahead if self._target is None else -ahead


def each(context: Context) -> Iterator[tuple[int, File, Tensor | None]]:
    """Yield the place of every image in hand, its file and its pixels, None if it is unreadable."""
    for place, (file, picture) in enumerate(zip(context.files, context.samples(), strict=True)):
        made = next(context.batches([picture]), None)
        yield place, file, None if made is None else made.pixels


def why_not(flips: Flips) -> str:
    """Say why nothing can be asked about an image; empty where it can be."""
    if not flips.finite:
        return "The answer to this image is not finite, so no change of it can be seen."
    if flips.already:
        return f"This image is called {flips.name} already, so nothing has to change."
    return ""


def _labels(logits: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return torch.where(logits[:, 0] > 0, 0, NO)
    return logits.argmax(1)
