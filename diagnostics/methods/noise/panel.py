"""Draws noise in a network's size, and sums up what a model predicts for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data import noise
from diagnostics.methods.context import Context, Sample
from diagnostics.metrics.intervals import bootstrap, clustered
from diagnostics.metrics.predictions import probabilities
from diagnostics.models.features import batch_size, head_weights
from diagnostics.preprocessing.pipeline import channels_first
from diagnostics.schema.results import Estimate
from diagnostics.schema.results.noise import MajorityClass, NoiseSummary
from diagnostics.schema.spec import ModelSpec, Need

MAX_SOURCES = 64  # of the person's images, which are shuffled and phase-scrambled
MAX_REAL = 256
GREY_MEAN, GREY_STD = 0.5, 0.25


def split_samples(context: Context, user_noise: str) -> tuple[list[Sample], list[Sample]]:
    """Return the real images to compare with, and the noise that a person made.

    Args:
        context: Gives the folder, or the images in hand where there is none.
        user_noise: Hashes of images in hand that are noise, separated by commas.
    """
    hashes = set(user_noise.split(","))
    pairs = list(zip(context.samples(), context.files, strict=True))
    users = [sample for sample, file in pairs if file.sha256 in hashes]
    if context.has_in_distribution:
        return context.shuffled(context.in_distribution())[:MAX_REAL], users
    return [sample for sample, file in pairs if file.sha256 not in hashes], users


class Panel:
    """Draws noise in the network's size.

    Args:
        context: Gives the mean and standard deviation of in-distribution images.
        samples: The person's images that are no noise, to shuffle and scramble.
    """

    def __init__(self, context: Context, samples: Sequence[Sample]) -> None:
        self._classifier, self._seed = context.classifier, context.seed
        batches = [batch.pixels for batch in context.batches(samples[:MAX_SOURCES])]
        pixels = np.zeros((0, 1, 1, 1), np.float32)
        if batches:
            pixels = torch.cat(batches).cpu().numpy()
        self._images = [np.moveaxis(image, 0, 2) for image in pixels]
        self._mean, self._std = _channel_statistics(context, pixels)

    @property
    def families(self) -> dict[str, noise.Family]:
        """The families that can be drawn here."""
        return {
            name: family
            for name, family in noise.FAMILIES.items()
            if self._images or not family.needs_images
        }

    def sources(self, family: str) -> int:
        """Return from how many images the draws are made, one after the other; 0 for none."""
        return len(self._images) if noise.FAMILIES[family].needs_images else 0

    def draw(self, family: str, number: int) -> NDArray[np.float32]:
        """Return one draw, shape (h, w, c), whole 255ths in [0, 1]."""
        spec = self._classifier.spec
        return noise.draw(
            family,
            number,
            height=spec.height,
            width=spec.width,
            channels=spec.channels,
            seed=self._seed,
            images=self._images,
            mean=self._mean,
            std=self._std,
        )

    def head_bias(self) -> NDArray[np.float64] | None:
        """Return the last layer's bias, shape (k,); None where that layer cannot be told."""
        if Need.HEAD not in self._classifier.spec.offers:
            return None
        draws = [channels_first(self.draw("uniform", number)) for number in range(2)]
        pixels = torch.from_numpy(np.stack(draws)).to(self._classifier.device)
        bias: NDArray[np.float64] = head_weights(self._classifier, pixels)["head_bias"].numpy()
        return bias

    def levels(self, count: int) -> list[int]:
        """Return the grey level of each of the first blank images, 0 to 255."""
        count = min(count, noise.FAMILIES["constant"].distinct or count)
        draws = (self.draw("constant", number) for number in range(count))
        return [int(np.rint(draw.flat[0] * 255)) for draw in draws]

    def logits(self, family: str, count: int) -> Tensor:
        """Return the logits of a family's first draws that differ, shape (count or fewer, k)."""
        count = min(count, noise.FAMILIES[family].distinct or count)
        step, parts = batch_size(self._classifier), []
        for start in range(0, count, step):
            numbers = range(start, min(start + step, count))
            draws = [channels_first(self.draw(family, number)) for number in numbers]
            pixels = torch.from_numpy(np.stack(draws)).to(self._classifier.device)
            with torch.no_grad():
                parts.append(self._classifier.logits(pixels).cpu())
        return torch.cat(parts)


def summary(logits: Tensor, spec: ModelSpec, seed: int, sources: int = 0) -> NoiseSummary:
    """Return what was predicted for images of one kind.

    Draws of one source image are not independent of each other: intervals count the sources.

    Args:
        logits: Shape (n, k).
        spec: Gives the classes' names.
        seed: Seed of the band's resampling.
        sources: From how many images the draws were made, one after the other; 0 for none.
    """
    is_finite = logits.isfinite().all(1)
    finite = logits[is_finite].double().numpy()
    n = len(finite)
    if not n:
        return NoiseSummary(n=0, not_finite=len(logits))
    predicted = finite.argmax(1)
    both = np.array([probabilities(row, independent=spec.output.independent) for row in finite])
    confidence, one_minus_p = both[np.arange(n), :, predicted].T
    number = is_finite.nonzero().flatten().numpy()
    _, source = np.unique(number % (sources or len(logits)), return_inverse=True)
    sums, sizes = np.bincount(source, confidence), np.bincount(source)
    low, high = bootstrap(
        lambda drawn: sums[drawn].sum() / sizes[drawn].sum(), len(sizes), seed=seed
    )
    counts = np.bincount(predicted, minlength=finite.shape[1])
    index = int(counts.argmax())
    ends = clustered(predicted == index, source)
    return NoiseSummary(
        n=n,
        not_finite=len(logits) - n,
        number=number.tolist(),
        confidence=confidence.tolist(),
        one_minus_p=one_minus_p.tolist(),
        predicted=predicted.tolist(),
        mean_confidence=Estimate(value=float(confidence.mean()), low=float(low), high=float(high)),
        majority_class=MajorityClass(
            name=spec.class_names[index],
            index=index,
            share=float(counts[index] / n),
            low=ends[0],
            high=ends[1],
        ),
        entropy=normalised_entropy(counts),
    )


def normalised_entropy(counts: NDArray[Any]) -> float:
    """Return the entropy of counts, shape (k,), over that of equal counts: 0 to 1."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(max(len(counts), 2))) + 0.0


def _channel_statistics(
    context: Context, pixels: NDArray[Any]
) -> tuple[Sequence[float], Sequence[float]]:
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
