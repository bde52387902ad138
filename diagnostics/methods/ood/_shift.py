"""Do the images in hand reach the network as the known-good ones did? Needs no BatchNorm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference
from diagnostics.text import counted

SHIFT, SPREAD = 1.0, 0.35  # below which an image is alike, however alike the known ones are
ENOUGH = 3  # images, below which a mismatch is only possible
NEARER = 0.5  # of its distance that a turned image must fall below to be named
TINY = 1e-8
NAMED = 3
SAID = {"pixels": "in the pixels", "layer": "behind the first layer"}


@dataclass(frozen=True)
class Usual:
    """What known-good images have in common at one place.

    Args:
        mean: Of each channel over all images, shape (c,).
        variance: The same.
    """

    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, statistics: Tensor) -> Usual:
        """Return it of images' channel means and deviations, shape (n, 2 c)."""
        means, deviations = statistics.double().chunk(2, 1)
        mean = means.mean(0)
        return cls(mean, (means**2 + deviations**2).mean(0) - mean**2)

    def off(self, statistics: Tensor) -> Tensor:
        """Return how far images lie from it.

        Args:
            statistics: Each image's channel means and deviations, shape (n, 2 c).

        Returns:
            Shape (n, 2): the largest shift of a channel's mean, in standard deviations, and the
            median |log(variance / known variance)| of the channels.
        """
        means, deviations = statistics.double().chunk(2, 1)
        known = self.variance.clamp_min(0) + TINY
        shift = ((means - self.mean).abs() / known.sqrt()).amax(1)
        spread = ((deviations**2 + TINY) / known).log().abs().median(1).values
        return torch.stack([shift, spread], 1)


def likeness(reference: Reference, names: Sequence[str], seen: Features) -> dict[str, Any]:
    """Compare images with the known-good ones, as JSON.

    An image is unlike them when it lies farther from their common statistics than every image that
    was held out, in the pixels or behind the first layer.

    Args:
        reference: What was measured on the known-good images.
        names: Of the images.
        seen: What the network gave for them.

    Returns:
        "verdict": "alike", "unlike" or "can't tell"; a "sentence"; "n", how many known-good images
        were held out; and of each image the "shift", in standard deviations, and "spread" at each
        place, and whether it is "unlike".
    """
    fit, held_out = reference.fit.outputs, reference.calibration.outputs
    pixels = Usual.of(fit.pixel_statistics)
    measured = {"pixels": (pixels, held_out.pixel_statistics, seen.pixel_statistics)}
    if fit.layers.shape[1]:
        measured["layer"] = Usual.of(fit.layers), held_out.layers, seen.layers
    floor = torch.tensor([SHIFT, SPREAD])
    off, beyond = {}, {}
    for place, (usual, known, given) in measured.items():
        off[place] = usual.off(given)
        farthest = torch.maximum(usual.off(known).amax(0), floor)
        beyond[place] = (off[place] > farthest).any(1)
    unlike = torch.stack(list(beyond.values())).any(0)
    images = [
        {
            "file": name,
            "unlike": bool(unlike[row]),
            **{place: _figures(one[row]) for place, one in off.items()},
        }
        for row, name in enumerate(names)
    ]
    places = [SAID[place] for place, one in beyond.items() if one.sum() * 2 > len(names)]
    turned = _turned(pixels, seen.pixel_statistics[unlike])
    odd = [name for row, name in enumerate(names) if unlike[row]]
    said = _said(odd, len(names), len(reference.calibration.labels), places, turned)
    return {**said, "n": len(reference.calibration.labels), "images": images}


def _figures(off: Tensor) -> dict[str, float | None]:
    shift, spread = (value if isfinite(value) else None for value in off.tolist())
    return {"shift": shift, "spread": spread}


def _said(
    odd: Sequence[str], images: int, known: int, places: Sequence[str], turned: str
) -> Mapping[str, str]:
    """Return verdict and sentence.

    Args:
        odd: Names of the images that are unlike the known ones.
        images: How many were compared.
        known: How many known ones were held out.
        places: Where most images are unlike them.
        turned: What would bring them nearer.
    """
    if not odd:
        sentence = f"As the network receives them, {_all(images)} within what {known} held-out "
        return {"verdict": "alike", "sentence": f"{sentence}known-good images show."}
    named = ", ".join(odd[:NAMED]) + (", …" if len(odd) > NAMED else "")
    where = f" {' and '.join(places)}" if places else ""
    also = f" Turned {turned}, they would lie much nearer." if turned else ""
    sentence = (
        f"{len(odd)} of {counted(images, 'image')} in hand ({named}) "
        f"{'lies' if len(odd) == 1 else 'lie'} farther from the known-good images' mean and spread"
        f"{where} than all {known} held-out ones.{also}"
    )
    if images < ENOUGH or len(odd) * 2 <= images:
        return {
            "verdict": "can't tell",
            "sentence": f"{sentence} So few may simply be strange images.",
        }
    return {
        "verdict": "unlike",
        "sentence": f"{sentence} They may have been prepared otherwise than the folder was.",
    }


def _all(images: int) -> str:
    return "the image in hand lies" if images == 1 else f"all {images} images in hand lie"


def _turned(usual: Usual, shades: Tensor) -> str:
    """Return what would bring most images clearly nearer, or nothing."""
    means, deviations = shades.chunk(2, 1)
    ways = {"to its negative": torch.cat([1 - means, deviations], 1)}
    if means.shape[1] == 3:
        ways["from RGB to BGR"] = torch.cat([means.flip(1), deviations.flip(1)], 1)
    now = usual.off(shades).sum(1)
    for name, turned in ways.items():
        nearer = usual.off(turned).sum(1) < NEARER * now
        if nearer.double().mean() > 0.5:
            return name
    return ""
