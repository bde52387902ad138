"""Changed images asked about afresh: as numbers, as saved pictures, and along the change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.image import decode, encode_png
from diagnostics.methods.adversarial._criterion import Criterion
from diagnostics.methods.adversarial._norms import interpolate, size
from diagnostics.metrics.predictions import rank
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.schema.results.adversarial import ChangedImage
from diagnostics.schema.results.inspection import PredictionEntry

Picture: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = NDArray[np.float32]

TOP = 3
STEPS = 30  # from the image to one and a half times the change
MULTIPLES = tuple(round(1.5 * step / STEPS, 4) for step in range(STEPS + 1))
NEAR = tuple(round(0.7 + 0.05 * step, 2) for step in range(25))  # multiples tried for a picture
FAR = tuple(round(1.9 * 1.4**step, 3) for step in range(20))
FINER = 15  # between the last that is not adversarial and the first that is


class Verification(NamedTuple):
    """What is true of a changed image.

    Args:
        is_adversarial: Whether it still is.
        image: Its sizes and what is predicted of it.
        arrays: "changed", "difference" and "picture".
    """

    is_adversarial: bool
    image: ChangedImage
    arrays: dict[str, NDArray[Any]]


class Verifier:
    """Asks a classifier about pixels, a few at a time, without gradients, and by torch alone.

    Args:
        classifier: The classifier.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self._classifier = classifier
        self._batch_size = batch_size(classifier)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of pixels (n, c, h, w), shape (n, k)."""
        with torch.no_grad():
            parts = [
                self._classifier.torch_logits(part)
                for part in torch.split(pixels, self._batch_size)
            ]
        return torch.cat(parts)

    def png_logits(self, pixels: Tensor) -> Tensor:
        """Return the logits of pixels that were rounded to 8 bit, saved as PNG and read again."""
        pictures = [png_round_trip(to_8bit(image)) for image in pixels]
        return self.logits(torch.stack(pictures).to(pixels.device))

    def top(self, logits: Tensor) -> list[PredictionEntry]:
        """Return the classes that rank first, best first; none where a logit is not finite."""
        ranked = rank(logits.double().cpu().numpy(), self._classifier.spec, TOP)
        return [prediction.entry() for prediction in ranked]

    def verify(self, criterion: Criterion, pixels: Tensor, changed: Tensor) -> list[Verification]:
        """Ask afresh about changed images, and measure each change.

        Args:
            criterion: Of the images.
            pixels: The images.
            changed: The changed images.
        """
        logits, png_logits = self.logits(changed), self.png_logits(changed)
        is_adversarial = criterion.is_adversarial(logits).tolist()
        png_is_adversarial = criterion.is_adversarial(png_logits, rounding=False).tolist()
        verified = []
        for row in range(len(pixels)):
            change = changed[row] - pixels[row]
            before, after = to_8bit(pixels[row]), to_8bit(changed[row])
            differs = (before != after).any(axis=2)
            image = ChangedImage(
                l2=float(size(change[None], "l2")),
                linf=float(size(change[None], "linf")),
                top=self.top(logits[row]),
                png_is_adversarial=png_is_adversarial[row],
                png_top=self.top(png_logits[row]),
                png_l2=float(np.linalg.norm(after.astype(np.float64) - before) / 255),
                changed_pixels=int(differs.sum()),
                pixels=differs.size,
            )
            arrays: dict[str, NDArray[Any]] = {
                "changed": channels_last(changed[row]),
                "difference": channels_last(change),
                "picture": after,
            }
            verified.append(Verification(is_adversarial[row], image, arrays))
        return verified

    def along(self, pixels: Tensor, changed: Tensor) -> Values:
        """Return the logits at each of `MULTIPLES` of the change of one image, shape (m, k)."""
        points = interpolate(pixels, changed, torch.tensor(MULTIPLES, device=changed.device))
        logits: Values = self.logits(points).float().cpu().numpy()
        return logits

    def smallest_picture(
        self, criterion: Criterion, pixels: Tensor, changed: Tensor
    ) -> tuple[float, Tensor] | None:
        """Return the smallest multiple of a change whose picture of 8 bit is adversarial.

        Args:
            criterion: Of the one image.
            pixels: The image, shape (1, c, h, w).
            changed: The changed image, same shape.

        Returns:
            The multiple and the picture's values in [0, 1]; None where none of those tried is.
        """

        def pictures(multiples: Sequence[float]) -> tuple[Tensor, list[bool]]:
            steps = torch.tensor(multiples, device=changed.device)
            points = interpolate(pixels, changed, steps).mul(255).round() / 255
            rows = torch.zeros(len(points), dtype=torch.long, device=points.device)
            flags = criterion.subset(rows).is_adversarial(self.logits(points))
            return points, flags.tolist()

        for scanned in (NEAR, FAR):
            _, flags = pictures(scanned)
            if any(flags):
                break
        else:
            return None
        first = flags.index(True)
        low = scanned[first - 1] if first else (0.0 if scanned is NEAR else NEAR[-1])
        finer = np.linspace(low, scanned[first], FINER + 1)[1:].tolist()
        points, flags = pictures(finer)
        best = flags.index(True)
        return finer[best], points[best]


def to_8bit(pixels: Tensor) -> Picture:
    """Return pixels (c, h, w) in [0, 1] as they are saved: 8 bit, shape (h, w, c)."""
    picture: Picture = np.rint(channels_last(pixels) * 255).astype(np.uint8)
    return picture


def png_round_trip(picture: Picture) -> Tensor:
    """Return a picture that was saved as PNG and read again, as pixels (c, h, w)."""
    flat = picture[..., 0] if picture.shape[-1] == 1 else picture
    values = decode(encode_png(flat)).values
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, 2, 0)))


def channels_last(pixels: Tensor) -> Values:
    """Return pixels (c, h, w) as an array with the channels last."""
    moved: Values = pixels.detach().movedim(0, 2).float().cpu().numpy()
    return np.ascontiguousarray(moved)
