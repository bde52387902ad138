"""What a model says of images that show nothing, family by family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data import noise
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Sample
from diagnostics.metrics.intervals import bootstrap, wilson
from diagnostics.metrics.predictions import probabilities
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.pipeline import channels_first
from diagnostics.schema.spec import ModelSpec

SOURCES = 16  # of the person's images that are shuffled and phase-scrambled
REAL = 256
SINK_SHARE, SINK_TIMES = 0.5, 5
GREY_MEAN, GREY_STD = 0.5, 0.25
RESAMPLES = 200


def sorted_out(context: Context, made: str) -> tuple[list[Sample], list[Sample]]:
    """Return the real images to compare with, and the noise that a person made.

    Args:
        context: Gives the folder, or the images in hand where there is none.
        made: Hashes of images in hand that are noise, separated by commas.
    """
    own = set(made.split(","))
    pairs = list(zip(context.samples(), context.files, strict=True))
    theirs = [one for one, file in pairs if file.sha256 in own]
    if context.has_in_distribution:
        return context.shuffled(context.in_distribution())[:REAL], theirs
    return [one for one, file in pairs if file.sha256 not in own], theirs


class Panel:
    """Draws noise in the network's size.

    Args:
        context: Gives images to shuffle, and mean and standard deviation of the known ones.
        pictures: The person's images that are no noise.
    """

    def __init__(self, context: Context, pictures: Sequence[Sample]) -> None:
        self._study = context
        parts = [one.pixels for one in context.batches(pictures[:SOURCES])] if pictures else []
        pixels = torch.cat(parts).cpu().numpy() if parts else np.zeros((0, 1, 1, 1), np.float32)
        self._images = [np.moveaxis(one, 0, 2) for one in pixels]
        self._mean, self._std = _shades(context, pixels)

    @property
    def families(self) -> dict[str, noise.Family]:
        """The families that can be drawn here."""
        return {
            name: family
            for name, family in noise.FAMILIES.items()
            if self._images or not family.needs_images
        }

    def draw(self, family: str, number: int) -> NDArray[np.float32]:
        """Return one draw, shape (h, w, c), whole 255ths in [0, 1]."""
        spec = self._study.classifier.spec
        return noise.draw(
            family,
            number,
            height=spec.height,
            width=spec.width,
            channels=spec.channels,
            seed=self._study.seed,
            images=self._images,
            mean=self._mean,
            std=self._std,
        )

    def levels(self, count: int) -> list[int]:
        """Return the grey level of each of the first blank images, 0 to 255."""
        count = min(count, noise.FAMILIES["constant"].distinct or count)
        return [int(np.rint(self.draw("constant", one).flat[0] * 255)) for one in range(count)]

    def answers(self, family: str, count: int) -> Tensor:
        """Return the logits of a family's first draws that differ, shape (count or fewer, k)."""
        classifier, found = self._study.classifier, []
        count = min(count, noise.FAMILIES[family].distinct or count)
        step = batch_size(classifier)
        for start in range(0, count, step):
            drawn = [self.draw(family, one) for one in range(start, min(start + step, count))]
            pixels = torch.from_numpy(np.stack([channels_first(one) for one in drawn]))
            with torch.no_grad():
                found.append(classifier.logits(pixels.to(classifier.device)).cpu())
        return torch.cat(found)


def summary(logits: Tensor, spec: ModelSpec, seed: int) -> dict[str, Any]:
    """Return what was said of images of one kind, as JSON.

    Args:
        logits: Shape (n, k).
        spec: Gives the classes' names.
        seed: Seed of the band's resampling.

    Returns:
        "n"; each image's "number" in the order of the logits, "confidence", its "one_minus_p" from
        one and "said" class; "not_finite", how many have none of these; the mean confidence with a
        95 % band; the "sink", the class said most, with its share and 95 % interval; the "entropy"
        of the answers, 0 (always the same) to 1 (all classes alike).
    """
    kept = logits.isfinite().all(1)
    finite = logits[kept].double().numpy()
    if not len(finite):
        return {"n": 0, "not_finite": len(logits)}
    independent = spec.output.independent
    pairs = [probabilities(row, independent=independent) for row in finite]
    said = finite.argmax(1)
    confidence = np.array([p[one] for (p, _), one in zip(pairs, said, strict=True)])
    distance = np.array([d[one] for (_, d), one in zip(pairs, said, strict=True)])
    low, high = bootstrap(lambda rows: confidence[rows].mean(), len(finite), seed=seed)
    counts = np.bincount(said, minlength=finite.shape[1])
    first = int(counts.argmax())
    share_low, share_high = wilson(int(counts[first]), len(finite))
    return {
        "n": len(finite),
        "not_finite": len(logits) - len(finite),
        "number": kept.nonzero().flatten().tolist(),
        "confidence": confidence.tolist(),
        "one_minus_p": distance.tolist(),
        "said": said.tolist(),
        "mean_confidence": {
            "value": float(confidence.mean()),
            "low": float(low),
            "high": float(high),
        },
        "sink": {
            "class": spec.class_names[first],
            "index": first,
            "share": float(counts[first] / len(finite)),
            "low": share_low,
            "high": share_high,
            "is_sink": bool(counts[first] / len(finite) > _sink_level(finite.shape[1])),
        },
        "entropy": _entropy(counts),
    }


def _sink_level(classes: int) -> float:
    """Return the share of noise from which on a class counts as a sink."""
    return min(max(SINK_SHARE, SINK_TIMES / classes), 1 - 1e-9)


def _entropy(counts: NDArray[Any]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(max(len(counts), 2))) + 0.0


def _shades(context: Context, pixels: NDArray[Any]) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation per channel of the known images, or of a mid grey."""
    channels = context.classifier.spec.channels
    if context.reference is not None:
        moments = context.reference.sums
        mean = (moments["pixel_mean"] / moments["count"]).numpy()
        square = (moments["pixel_square"] / moments["count"]).numpy()
        return mean.tolist(), np.sqrt(np.maximum(square - mean**2, 0)).tolist()
    if len(pixels):
        return pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).tolist()
    return [GREY_MEAN] * channels, [GREY_STD] * channels


def chosen_draws(text: str, most: int) -> list[int]:
    """Read "3,5,9".

    Raises:
        InputError: When it is no such list, or longer than `most`.
    """
    numbers = [one for one in text.split(",") if one.isascii() and one.isdigit()]
    if not numbers or len(numbers) != len(text.split(",")) or len(numbers) > most:
        raise InputError(f"Expected 1 to {most} numbers of draws such as 3,5,9; got {text[:40]!r}.")
    return [int(one) for one in numbers]
