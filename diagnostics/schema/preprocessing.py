"""How an image becomes what a network receives, as plain settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from diagnostics.errors import OptionError
from diagnostics.text import shortened

Fit: TypeAlias = Literal["crop", "stretch", "letterbox", "none"]
Kernel: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]
Top: TypeAlias = Literal[1, 255]

WORDS = {"fit": get_args(Fit), "interpolation": get_args(Kernel), "value_range": get_args(Top)}
LIMITS = {
    "resize_px": (1, 4096),
    "height": (1, 4096),
    "width": (1, 4096),
    "contrast": (0, 10_000),
    "blur": (0, 50),
    "threshold": (0, 1),
}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes what the network receives; decided by the model, never by the image.

    The stages run in the order of the fields. Up to `threshold` they make `pixels` in [0, 1];
    `bgr`, `value_range`, `mean` and `std` are applied by the Classifier.

    Args:
        colour: Whether the network takes three channels (True) or one grey channel.
        grey: Turn colours to grey before a three-channel network.
        invert: Exchange black and white.
        fit: "crop" (shortest side to `resize_px`, then the centre), "stretch" (straight to
            the input size), "letterbox" (whole image inside, padded), or "none".
        resize_px: Shortest side before the crop, in px; used by "crop" only.
        height: Input height in px.
        width: Input width in px.
        interpolation: Resampling kernel.
        antialias: Widen the kernel when shrinking, as Pillow and torchvision do.
        contrast: Slope s of the logistic curve 1/(1+exp(-s(v-0.5))); 0 leaves values alone.
        contrast_keeps_range: Rescale the curve so that 0 stays 0 and 1 stays 1.
        blur: Standard deviation of a Gaussian blur in px; 0 is off.
        threshold: Values above it become 1, the others 0; None is off.
        bgr: Feed the channels as blue, green, red.
        value_range: Largest value fed before mean and std: 1 or 255.
        mean: Subtracted per channel, in the units of `value_range`.
        std: Divided by per channel, in the units of `value_range`.
    """

    colour: bool = True
    grey: bool = False
    invert: bool = False
    fit: Fit = "crop"
    resize_px: int = 256
    height: int = 224
    width: int = 224
    interpolation: Kernel = "bilinear"
    antialias: bool = True
    contrast: float = 0.0
    contrast_keeps_range: bool = True
    blur: float = 0.0
    threshold: float | None = None
    bgr: bool = False
    value_range: Top = 1
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            OptionError: When one is of the wrong kind or outside its range.
        """
        channels = 3 if self.colour else 1
        for name, words in WORDS.items():
            value = getattr(self, name)
            _demand(value in words, name, f"one of {_listed(words)}", value)
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                _demand(_within(value, low, high), name, f"between {low} and {high}", value)
        for name in ("mean", "std"):
            values = getattr(self, name)
            fine = len(values) == channels and all(math.isfinite(value) for value in values)
            _demand(fine, name, f"{channels} numbers, one for each channel", values)
        _demand(all(value > 0 for value in self.std), "std", "above zero", self.std)

    @property
    def pixels(self) -> int:
        """How many pixels the network receives, which may differ from what it was published for."""
        return self.height * self.width

    @property
    def effective(self) -> Preprocessing:
        """The same with every setting that changes no pixel at its default."""
        usual = Preprocessing()
        inert = {
            "grey": not self.colour,
            "bgr": not self.colour or self.grey,
            "resize_px": self.fit != "crop",
            "interpolation": self.fit == "none",
            "antialias": self.fit == "none" or self.interpolation in ("nearest", "box"),
            "contrast_keeps_range": not self.contrast,
        }
        names = [name for name, holds in inert.items() if holds]
        return replace(self, **{name: getattr(usual, name) for name in names})

    @property
    def summary(self) -> str:
        """Size and scaling in words, to tell published settings apart."""
        size = f"{self.height} × {self.width} px"
        how = {
            "crop": f"shortest side to {self.resize_px} px {self.interpolation}, centre {size}",
            "stretch": f"stretched to {size} {self.interpolation}",
            "letterbox": f"whole inside {size} {self.interpolation}",
            "none": f"{size} as they are",
        }[self.fit]
        return f"{how}; mean {_spaced(self.mean)}, std {_spaced(self.std)}"


def _within(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high


def _demand(fine: bool, name: str, expected: str, got: object) -> None:
    if not fine:
        raise OptionError(f"{name} must be {expected}; got {shortened(str(got), 60)}.")


def _spaced(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def _listed(words: tuple[Any, ...]) -> str:
    return ", ".join(str(word) for word in words)
