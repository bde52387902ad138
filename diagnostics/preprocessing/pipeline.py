"""From a decoded image to what the network receives, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.image import Decoded
from diagnostics.errors import OptionError
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Values
from diagnostics.schema.preprocessing import Preprocessing


@dataclass(frozen=True)
class Stage:
    """One step: its name, its settings in words, and what it does to the values."""

    name: str
    settings: str
    apply: Callable[[Values], Values]


@dataclass(frozen=True)
class StageTrace:
    """What a stage made of one image.

    Args:
        name: The stage's name.
        settings: Its settings in words.
        values: Shape (h, w, c), float32.
        signed: Whether values may lie outside [0, 1], as after mean and std.
        clipped: How many values lie at 0 or 1 that the stage before had inside.
    """

    name: str
    settings: str
    values: Values
    signed: bool
    clipped: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""
        return self.values.shape

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(self.values.min())

    @property
    def high(self) -> float:
        """The largest value."""
        return float(self.values.max())

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel."""
        return tuple(float(mean) for mean in self.values.mean((0, 1), dtype=np.float64))

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel."""
        return tuple(float(std) for std in self.values.std((0, 1), dtype=np.float64))


class Pipeline:
    """The stages that a model's preprocessing asks for.

    Args:
        preprocessing: The settings.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.stages = (
            *_channels(preprocessing),
            *_geometry(preprocessing),
            *_values(preprocessing),
        )

    def run(self, image: Decoded) -> NDArray[np.float32]:
        """Return the image's pixels: shape (c, h, w), float32 in [0, 1].

        Raises:
            OptionError: When the image does not have the input size and nothing fits it.
        """
        values = image.values
        for stage in self.stages:
            values = stage.apply(values)
        return channels_first(values)

    def pixels(self, trace: Sequence[StageTrace]) -> NDArray[np.float32]:
        """Return what `run` returns, out of a trace that was made already."""
        return channels_first(trace[len(self.stages)].values)

    def trace(self, image: Decoded) -> tuple[StageTrace, ...]:
        """Return what every stage made of the image, up to what the network receives.

        Raises:
            OptionError: When the image does not have the input size and nothing fits it.
        """
        values = image.values
        made = [StageTrace("decode", "as the file has it, in 0..1", values, False, 0)]
        for stage in (*self.stages, *_fed(self.preprocessing)):
            before, values = values, stage.apply(values)
            signed = stage.name in ("value range", "mean and std") or made[-1].signed
            clipped = 0 if signed else _clipped(before, values)
            made.append(StageTrace(stage.name, stage.settings, values, signed, clipped))
        return tuple(made)


def network_input(pixels: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return what the network receives for pixels of shape (c, h, w) in [0, 1]."""
    values = np.moveaxis(pixels, 0, 2)
    for stage in _fed(preprocessing):
        values = stage.apply(values)
    return channels_first(values)


def channels_first(values: Values) -> NDArray[np.float32]:
    """Return values of shape (h, w, c) in the shape (c, h, w)."""
    return np.ascontiguousarray(np.moveaxis(values, 2, 0))


def histogram(values: Values, bins: int = 32) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts per channel, shape (c, bins), and the bins' edges.

    The edges run over [0, 1] where all values lie there, and over the values otherwise.
    """
    low, high = float(values.min()), float(values.max())
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    limits = (low, high if high > low else low + 1)
    made = [np.histogram(values[..., c], bins, limits) for c in range(values.shape[2])]
    return np.stack([counts for counts, _ in made]).astype(np.int64), made[0][1]


def _channels(settings: Preprocessing) -> list[Stage]:
    made = []
    if not settings.colour:
        made.append(Stage("grey", "one channel, ITU-R 601 weights", stages.to_grey))
    elif settings.grey:
        made.append(
            Stage(
                "grey",
                "three equal channels, ITU-R 601 weights",
                lambda values: stages.to_colour(stages.to_grey(values)),
            )
        )
    else:
        made.append(Stage("colour", "three channels, grey repeated", stages.to_colour))
    if settings.invert:
        made.append(Stage("invert", "black and white exchanged", lambda values: 1 - values))
    return made


def _geometry(settings: Preprocessing) -> list[Stage]:
    height, width = settings.height, settings.width
    kernel = f"{settings.interpolation}{'' if settings.antialias else ', not antialiased'}"
    size = f"{width} × {height} px"

    def resized(values: Values, tall: int, wide: int) -> Values:
        return stages.resize(values, tall, wide, settings.interpolation, settings.antialias)

    def to_shortest(values: Values) -> Values:
        return resized(values, *stages.shortest_side(values, settings.resize_px))

    def to_letterbox(values: Values) -> Values:
        inner = stages.letterbox_size(values, height, width)
        return stages.crop(resized(values, *inner), height, width)

    def demand_size(values: Values) -> Values:
        if values.shape[:2] != (height, width):
            raise OptionError(
                f"The image has {values.shape[1]} × {values.shape[0]} px and the network takes "
                f"{size}; choose crop, stretch or letterbox instead of none."
            )
        return values

    if settings.fit == "crop":
        shortest = f"shortest side {settings.resize_px} px, {kernel}"
        return [
            Stage("resize", shortest, to_shortest),
            Stage("crop", f"centre {size}", lambda values: stages.crop(values, height, width)),
        ]
    if settings.fit == "stretch":
        return [Stage("resize", f"{size}, {kernel}", lambda values: resized(values, height, width))]
    if settings.fit == "letterbox":
        return [Stage("letterbox", f"inside {size}, {kernel}, black around", to_letterbox)]
    return [Stage("size", f"taken as it is, {size}", demand_size)]


def _values(settings: Preprocessing) -> list[Stage]:
    made = []
    if settings.contrast:
        slope, keeps = settings.contrast, settings.contrast_keeps_range
        ends = "0 and 1 kept" if keeps else "range shrinks"
        made.append(
            Stage(
                "contrast",
                f"logistic, slope {slope:g}, {ends}",
                lambda values: stages.contrast(values, slope, keeps),
            )
        )
    if settings.blur:
        sigma = settings.blur
        made.append(
            Stage("blur", f"Gaussian, {sigma:g} px", lambda values: stages.blur(values, sigma))
        )
    if settings.threshold is not None:
        level = settings.threshold
        made.append(
            Stage(
                "threshold",
                f"above {level:g} white, else black",
                lambda values: (values > level).astype(np.float32),
            )
        )
    return made


def _fed(settings: Preprocessing) -> list[Stage]:
    """What the Classifier does to pixels before its network: order, range, mean and std."""
    made = []
    if settings.bgr:
        made.append(Stage("channel order", "blue, green, red", lambda values: values[..., ::-1]))
    if settings.value_range != 1:
        top = np.float32(settings.value_range)
        made.append(Stage("value range", f"0..{top:g}", lambda values: values * top))
    mean, std = np.array(settings.mean, np.float32), np.array(settings.std, np.float32)
    if (mean != 0).any() or (std != 1).any():
        words = f"minus {_listed(settings.mean)}, divided by {_listed(settings.std)}"
        made.append(Stage("mean and std", words, lambda values: (values - mean) / std))
    return made


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _clipped(before: Values, after: Values) -> int:
    """Count values a stage left at 0 or 1, beyond the share that was there before."""
    ends = np.count_nonzero((after <= 0) | (after >= 1))
    share = np.count_nonzero((before <= 0) | (before >= 1)) / before.size
    return max(0, round(ends - share * after.size)) if before.shape == after.shape else 0
