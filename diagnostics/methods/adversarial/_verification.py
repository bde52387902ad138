"""Changed images asked about afresh: as numbers, as saved pictures, and along the way to them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.image import decode, encode_png
from diagnostics.methods.adversarial._criterion import Goal
from diagnostics.methods.adversarial._norms import between, size
from diagnostics.metrics.predictions import rank
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size

Levels: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[np.float32]

TOP = 3
STEPS = 30  # along the way to the changed image and half as far again
MULTIPLES = tuple(round(1.5 * step / STEPS, 4) for step in range(STEPS + 1))
FARTHER = tuple(float(share * 2**power) for power in range(1, 11) for share in (1.0, 1.5))


class Verifier:
    """Asks a classifier about pixels, a few at a time, without gradients.

    Args:
        classifier: The classifier.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self._classifier = classifier
        self._at_once = batch_size(classifier)

    def ask(self, pixels: Tensor) -> Tensor:
        """Return the logits of pixels (n, c, h, w), shape (n, k)."""
        starts = range(0, len(pixels), self._at_once)
        with torch.no_grad():
            parts = [self._classifier.logits(pixels[at : at + self._at_once]) for at in starts]
        return torch.cat(parts)

    def saved(self, pixels: Tensor) -> Tensor:
        """Return the logits of pixels that were rounded to 8 bit, saved as PNG and read again."""
        pictures = [read_again(levels(one)) for one in pixels]
        return self.ask(torch.stack(pictures).to(pixels.device))

    def top(self, logits: Tensor) -> list[dict[str, Any]]:
        """Return the classes that rank first, best first; none where a logit is not finite."""
        ranked = rank(logits.double().cpu().numpy(), self._classifier.spec, TOP)
        told = [asdict(one) for one in ranked]
        return [{"class": one.pop("name"), **one} for one in told]

    def judged(
        self, goal: Goal, pixels: Tensor, changed: Tensor
    ) -> list[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
        """Ask afresh about changed images, and say how large each change is.

        Args:
            goal: Of the images.
            pixels: The images.
            changed: The changed images.

        Returns:
            For each image an entry, whose "found" says whether it still reaches the goal, and the
            arrays "changed", "difference" and "picture".
        """
        now, saved = self.ask(changed), self.saved(changed)
        there, kept = goal.reached(now).tolist(), (goal.margin(saved) < 0).tolist()
        found = []
        for at in range(len(pixels)):
            change, before, after = (
                changed[at] - pixels[at],
                levels(pixels[at]),
                levels(changed[at]),
            )
            moved = before != after
            entry = {
                "found": there[at],
                "why": "",
                "l2": float(size(change[None], "l2")),
                "linf": float(size(change[None], "linf")),
                "now": self.top(now[at]),
                "png_flips": kept[at],
                "png_now": self.top(saved[at]),
                "png_l2": float(np.linalg.norm(after.astype(np.float64) - before) / 255),
                "changed_pixels": int(moved.any(axis=2).sum()),
                "pixels": int(moved.shape[0] * moved.shape[1]),
                "png_from": None,
            }
            arrays: dict[str, NDArray[Any]] = {
                "changed": last(changed[at]),
                "difference": last(change),
                "picture": after,
            }
            found.append((entry, arrays))
        return found

    def along(self, goal: Goal, pixels: Tensor, changed: Tensor) -> tuple[Numbers, float | None]:
        """Return the logits at each of `MULTIPLES` of a change, and where 8-bit pictures flip.

        Args:
            goal: Of the one image.
            pixels: The image, shape (1, c, h, w).
            changed: The changed image, same shape.

        Returns:
            Logits, shape (m, k), and the multiple from which on all pictures of 8 bit reach the
            goal; beyond the line that is the first of some that do, None where none does.
        """
        points = between(pixels, changed, torch.tensor(MULTIPLES, device=changed.device))
        logits, flips = self.ask(points), self._flips(goal, points)
        lasting = [one for at, one in enumerate(MULTIPLES) if all(flips[at:])]
        if not lasting:
            far = between(pixels, changed, torch.tensor(FARTHER, device=changed.device))
            flips = self._flips(goal, far)
            lasting = [one for one, flip in zip(FARTHER, flips, strict=True) if flip]
        line: Numbers = logits.float().cpu().numpy()
        return line, lasting[0] if lasting else None

    def _flips(self, goal: Goal, points: Tensor) -> list[bool]:
        """Say of changes of one image which reach the goal as pictures of 8 bit."""
        each = goal.of(torch.zeros(len(points), dtype=torch.long, device=points.device))
        found: list[bool] = (each.margin(self.ask(points.mul(255).round() / 255)) < 0).tolist()
        return found


def levels(pixels: Tensor) -> Levels:
    """Return pixels (c, h, w) in [0, 1] as they are saved: 8 bit, shape (h, w, c)."""
    rounded: Levels = np.rint(last(pixels) * 255).astype(np.uint8)
    return rounded


def read_again(picture: Levels) -> Tensor:
    """Return a picture that was saved as PNG and read again, as pixels (c, h, w)."""
    flat = picture[..., 0] if picture.shape[-1] == 1 else picture
    values = decode(encode_png(flat)).values
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, 2, 0)))


def last(pixels: Tensor) -> Numbers:
    """Return pixels (c, h, w) as an array with the channels last."""
    moved: Numbers = pixels.detach().movedim(0, 2).float().cpu().numpy()
    return np.ascontiguousarray(moved)
