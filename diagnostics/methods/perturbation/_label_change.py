"""Asking a network whether changes of one image change its answer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from diagnostics.errors import OptionError
from diagnostics.methods.context import Context, ReportProgress
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.schema.request import File

MAX_BATCH = 32  # small images that go through a small network at once: more leave the cache
NO = -1  # label of a network with one output that says no


class LabelChange:
    """The label that a network gives an image, and whether changed images get another.

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
        self.batch_size = min(batch_size(classifier), MAX_BATCH)
        self.forward_passes = self.not_finite = 0
        logits = self.logits(pixels)
        self._label = int(_labels(logits)[0])
        self.predicted = max(self._label, 0)
        self.image_margin = float(self.margin(logits)[0])
        self.name = names[self.predicted] if self._label != NO else f"not {names[0]}"
        self.error = self._error(logits)

    def expect(self, passes: int) -> None:
        """Say about how many images it will be asked about."""
        self._classifier.expect(passes)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of images, shape (n, k)."""
        self.forward_passes += len(pixels)
        parts = torch.split(pixels, self.batch_size)
        return torch.cat([self._classifier.logits(part) for part in parts])

    def changes(self, pixels: Tensor) -> Tensor:
        """Return whether each of some images changes the answer, shape (n,)."""
        return self.changes_and_margins(pixels)[0]

    def changes_and_margins(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return whether each image changes the answer, and its margin, see `margin`."""
        logits = self.logits(pixels)
        finite = logits.isfinite().all(1)
        self.not_finite += len(logits) - int(finite.sum())
        labels = _labels(logits)
        changed = labels != self._label if self._target is None else labels == self._target
        return changed & finite, self.margin(logits)

    def margin(self, logits: Tensor) -> Tensor:
        """Return how far each answer is from being another, shape (n,); below 0 it is another."""
        if logits.shape[1] == 1:
            return logits[:, 0] * (-1 if self._label == NO else 1)
        label = self.predicted if self._target is None else self._target
        others = logits.clone()
        others[:, label] = -torch.inf
        ahead = logits[:, label] - others.amax(1)
        return ahead if self._target is None else -ahead

    def _error(self, logits: Tensor) -> str | None:
        """Say why nothing can be asked about the image; None where it can be."""
        if not logits.isfinite().all():
            return "The answer to this image is not finite, so no change of it can be seen."
        if self._target is not None and self._label == self._target:
            return f"This image is called {self.name} already, so nothing has to change."
        return None


def images(context: Context) -> Iterator[tuple[File, Tensor | None, ReportProgress]]:
    """Yield every image's file, its pixels, None if it is unreadable, and what reports progress."""
    count = len(context.files)
    for index, (file, sample) in enumerate(zip(context.files, context.samples(), strict=True)):

        def report(doing: str, share: float, index: int = index) -> None:
            context.progress(doing, (index + share) / count)

        batch = next(context.batches([sample]), None)
        yield file, None if batch is None else batch.pixels, report


def batch_sizes(count: int, limit: int) -> Iterator[int]:
    """Yield the sizes of batches of so many images in all, each at most so large."""
    for start in range(0, count, limit):
        yield min(limit, count - start)


def _labels(logits: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return torch.where(logits[:, 0] > 0, 0, NO)
    return logits.argmax(1)
