"""Means and standard deviations that published models want, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from diagnostics.schema.preprocessing import Preprocessing, Top


@dataclass(frozen=True)
class Preset:
    """A known way of scaling values.

    Args:
        mean: Per channel, or one number for all.
        std: Per channel, or one number for all.
        source: Where the numbers come from.
        value_range: Largest value fed before mean and std.
        bgr: Whether the channels are fed as blue, green, red.
        side_px: The longest side of images that the numbers are of; None where they are of any.
        of_grey: Whether networks of one grey channel use them too.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str
    value_range: Top = 1
    bgr: bool = False
    side_px: int | None = None
    of_grey: bool = True

    def suits(self, settings: Preprocessing) -> bool:
        """Say whether a network of this size and these channels was plausibly trained so."""
        fits = self.side_px is None or max(settings.height, settings.width) <= self.side_px
        return fits and (settings.colour or self.of_grey)

    def applied_to(self, settings: Preprocessing) -> Preprocessing:
        """Return the settings with this scaling; a single channel takes the channels' mean."""
        channels = 3 if settings.colour else 1
        return replace(
            settings,
            mean=_spread(self.mean, channels),
            std=_spread(self.std, channels),
            value_range=self.value_range,
            bgr=self.bgr and settings.colour,
        )


SMALL_PX = 64  # of a network for data sets of 28 and 32 px


def _spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels


PRESETS = {
    "imagenet": Preset(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "torchvision's ImageNet models"
    ),
    "half": Preset((0.5,), (0.5,), "Inception and many timm models: values in -1..1"),
    "clip": Preset(
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
        "OpenAI CLIP",
        of_grey=False,
    ),
    "cifar10": Preset(
        (0.4914, 0.4822, 0.4465),
        (0.2470, 0.2435, 0.2616),
        "CIFAR-10's training images",
        side_px=SMALL_PX,
        of_grey=False,
    ),
    "cifar100": Preset(
        (0.5071, 0.4865, 0.4409),
        (0.2673, 0.2564, 0.2762),
        "CIFAR-100's training images",
        side_px=SMALL_PX,
        of_grey=False,
    ),
    "mnist": Preset((0.1307,), (0.3081,), "MNIST's training images", side_px=SMALL_PX),
    "fashion-mnist": Preset(
        (0.2860,), (0.3530,), "Fashion-MNIST's training images", side_px=SMALL_PX
    ),
    "svhn": Preset(
        (0.4377, 0.4438, 0.4728),
        (0.1980, 0.2010, 0.1970),
        "SVHN's training images",
        side_px=SMALL_PX,
        of_grey=False,
    ),
    "unit": Preset((0.0,), (1.0,), "values in 0..1 as they are"),
    "raw": Preset((0.0,), (1.0,), "values in 0..255 as they are", value_range=255),
    "caffe": Preset(
        (104.0, 117.0, 123.0),
        (1.0, 1.0, 1.0),
        "Caffe's ImageNet models: blue, green, red in 0..255",
        value_range=255,
        bgr=True,
        of_grey=False,
    ),
}
