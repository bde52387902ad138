"""Do the images in hand reach the network as the reference's did? Needs no BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference
from diagnostics.schema.results.ood import DistributionShift, Shift, ShiftedImage, ShiftVerdict
from diagnostics.text import counted

MIN_SHIFT, MIN_SPREAD = 1.0, 0.35  # below which an image is alike, however alike the others are
MIN_IMAGES = 3  # below which a mismatch is only possible
NEARER = 0.5  # of its distance that an image must fall below once changed, for the change to count
EPSILON = 1e-8
MAX_NAMED = 3


@dataclass(frozen=True)
class CommonStatistics:
    """What many images have in common, in their pixels or behind a layer.

    Args:
        mean: Of each channel over all images, shape (c,).
        variance: The same.
    """

    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, statistics: Tensor) -> CommonStatistics:
        """Return it of images' channel means and deviations, shape (n, 2 c)."""
        means, deviations = statistics.double().chunk(2, 1)
        mean = means.mean(0)
        return cls(mean, (means**2 + deviations**2).mean(0) - mean**2)

    def distances(self, statistics: Tensor) -> Tensor:
        """Return how far images lie from it.

        Args:
            statistics: Each image's channel means and deviations, shape (n, 2 c).

        Returns:
            Shape (n, 2): the largest shift of a channel's mean, in standard deviations, and the
            median |log(variance / common variance)| of the channels.
        """
        means, deviations = statistics.double().chunk(2, 1)
        variance = self.variance.clamp_min(0) + EPSILON
        shift = ((means - self.mean).abs() / variance.sqrt()).amax(1)
        spread = ((deviations**2 + EPSILON) / variance).log().abs().median(1).values
        return torch.stack([shift, spread], 1)


def distribution_shift(
    reference: Reference, names: Sequence[str], outputs: Features
) -> DistributionShift:
    """Compare images with the reference's.

    An image is unlike them when it lies farther from their common statistics than every image that
    was held out, in the pixels or behind the first layer.

    Args:
        reference: What the model gives for in-distribution images.
        names: Of the images.
        outputs: What the network gave for them.
    """
    fit, calibration = reference.fit.outputs, reference.calibration.outputs
    common_pixels = CommonStatistics.of(fit.pixel_statistics)
    pixels = common_pixels.distances(outputs.pixel_statistics)
    held_out = common_pixels.distances(calibration.pixel_statistics)
    pixels_unlike = _farther(pixels, held_out)
    layer, layer_unlike = None, torch.zeros_like(pixels_unlike)
    if fit.layers.shape[1]:
        common_layer = CommonStatistics.of(fit.layers)
        layer = common_layer.distances(outputs.layers)
        layer_unlike = _farther(layer, common_layer.distances(calibration.layers))
    unlike = pixels_unlike | layer_unlike
    images = []
    for row, name in enumerate(names):
        image = ShiftedImage(file=name, unlike=bool(unlike[row]), pixels=_shift(pixels[row]))
        if layer is not None:
            image["layer"] = _shift(layer[row])
        images.append(image)
    parts = {"in the pixels": pixels_unlike, "behind the first layer": layer_unlike}
    where = [words for words, rows in parts.items() if rows.sum() * 2 > len(names)]
    change = _change_towards(common_pixels, outputs.pixel_statistics[unlike])
    unlike_names = [image["file"] for image in images if image["unlike"]]
    count = len(reference.calibration.labels)
    verdict, sentence = _verdict(unlike_names, len(names), count, where, change)
    return DistributionShift(verdict=verdict, sentence=sentence, n=count, images=images)


def _farther(distances: Tensor, held_out: Tensor) -> Tensor:
    """Return which images lie farther than every one that was held out."""
    floor = torch.tensor([MIN_SHIFT, MIN_SPREAD])
    return (distances > torch.maximum(held_out.amax(0), floor)).any(1)


def _shift(distances: Tensor) -> Shift:
    shift, spread = (value if isfinite(value) else None for value in distances.tolist())
    return Shift(shift=shift, spread=spread)


def _verdict(
    unlike: Sequence[str], images: int, held_out: int, where: Sequence[str], change: str
) -> tuple[ShiftVerdict, str]:
    """Return verdict and sentence.

    Args:
        unlike: Names of the images that are unlike the reference's.
        images: How many were compared.
        held_out: With how many.
        where: What differs of most images.
        change: What would bring them nearer.
    """
    if not unlike:
        sentence = f"As the network receives them, {_all(images)} within what {held_out} held-out "
        return "alike", f"{sentence}known-good images show."
    named = ", ".join(unlike[:MAX_NAMED]) + (", …" if len(unlike) > MAX_NAMED else "")
    in_parts = f" {' and '.join(where)}" if where else ""
    remedy = f" Turned {change}, they would lie much nearer." if change else ""
    sentence = (
        f"{len(unlike)} of {counted(images, 'image')} in hand ({named}) "
        f"{'lies' if len(unlike) == 1 else 'lie'} farther from the known-good images' mean and "
        f"spread{in_parts} than all {held_out} held-out ones.{remedy}"
    )
    if images < MIN_IMAGES or len(unlike) * 2 <= images:
        return "can't tell", f"{sentence} So few may simply be strange images."
    return "unlike", f"{sentence} They may have been prepared otherwise than the folder was."


def _all(images: int) -> str:
    return "the image in hand lies" if images == 1 else f"all {images} images in hand lie"


def _change_towards(common: CommonStatistics, statistics: Tensor) -> str:
    """Return what would bring most images clearly nearer in their pixels, or nothing."""
    means, deviations = statistics.chunk(2, 1)
    changes = {"to its negative": torch.cat([1 - means, deviations], 1)}
    if means.shape[1] == 3:
        changes["from RGB to BGR"] = torch.cat([means.flip(1), deviations.flip(1)], 1)
    before = common.distances(statistics).sum(1)
    for name, changed in changes.items():
        nearer = common.distances(changed).sum(1) < NEARER * before
        if nearer.double().mean() > 0.5:
            return name
    return ""
