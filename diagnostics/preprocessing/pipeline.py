"""From a decoded image to what the network receives, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.image import Decoded, Values, as_values, level_counts, strips
from diagnostics.errors import OptionError
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.stages import Array
from diagnostics.schema.preprocessing import Preprocessing

BINS = 32
LEVELS = as_values(np.arange(256, dtype=np.uint8)).astype(np.float64)


@dataclass(frozen=True)
class Stage:
    """One step: its name, its settings in words, and what it does to the values."""

    name: str
    settings: str
    apply: Callable[[Array], Array]


@dataclass(frozen=True)
class StageTrace:
    """What a stage made of one image.

    Args:
        name: The stage's name.
        settings: Its settings in words.
        array: Shape (h, w, c), float32, or levels of 0 to 255.
        signed: Whether values may lie outside [0, 1], as after mean and std.
        clipped: How many values lie at 0 or 1 that the stage before had inside.
    """

    name: str
    settings: str
    array: Array
    signed: bool
    clipped: int

    @property
    def values(self) -> Values:
        """Shape (h, w, c), float32."""
        return as_values(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""
        return self.array.shape

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(as_values(self.array.min(keepdims=True))[0, 0, 0])

    @property
    def high(self) -> float:
        """The largest value."""
        return float(as_values(self.array.max(keepdims=True))[0, 0, 0])

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel."""
        return tuple(map(float, self._mean))

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel."""
        pixels = self.shape[0] * self.shape[1]
        if self._counts is not None:
            squares = (LEVELS - self._mean[:, None]) ** 2
            return tuple(map(float, np.sqrt((self._counts * squares).sum(1) / pixels)))
        sums = sum(((strip - self._mean) ** 2).sum((0, 1)) for strip in strips(self.array))
        return tuple(map(float, np.sqrt(sums / pixels)))

    @property
    def histogram(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts per channel, shape (c, bins), and the bins' edges, see `histogram`."""
        if self._counts is None:
            return histogram(as_values(self.array))
        made = [np.histogram(LEVELS, BINS, (0.0, 1.0), weights=row) for row in self._counts]
        return np.stack([counts for counts, _ in made]).astype(np.int64), made[0][1]

    @cached_property
    def _counts(self) -> NDArray[np.int64] | None:
        """How often each channel has each level; None where values are no levels."""
        return level_counts(self.array) if self.array.dtype == np.uint8 else None

    @cached_property
    def _mean(self) -> NDArray[np.float64]:
        pixels = self.shape[0] * self.shape[1]
        if self._counts is not None:
            sums: NDArray[np.float64] = (self._counts * LEVELS).sum(1)
            return sums / pixels
        mean: NDArray[np.float64] = self.array.mean((0, 1), dtype=np.float64)
        return mean


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
        array: Array = image.array
        for stage in self.stages:
            array = stage.apply(array)
        return channels_first(as_values(array))

    def pixels(self, trace: Sequence[StageTrace]) -> NDArray[np.float32]:
        """Return what `run` returns, out of a trace that was made already."""
        return channels_first(trace[len(self.stages)].values)

    def trace(self, image: Decoded) -> tuple[StageTrace, ...]:
        """Return what every stage made of the image, up to what the network receives.

        Raises:
            OptionError: When the image does not have the input size and nothing fits it.
        """
        array: Array = image.array
        made = [StageTrace("decode", "as the file has it, in 0..1", array, False, 0)]
        for stage in (*self.stages, *_fed(self.preprocessing)):
            before, array = array, stage.apply(array)
            signed = stage.name in ("value range", "mean and std") or made[-1].signed
            clipped = 0 if signed else _clipped(before, array)
            made.append(StageTrace(stage.name, stage.settings, array, signed, clipped))
        return tuple(made)


def network_input(pixels: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return what the network receives for pixels of shape (c, h, w) in [0, 1]."""
    array: Array = np.moveaxis(pixels, 0, 2)
    for stage in _fed(preprocessing):
        array = stage.apply(array)
    return channels_first(as_values(array))


def channels_first(values: Values) -> NDArray[np.float32]:
    """Return values of shape (h, w, c) in the shape (c, h, w)."""
    return np.ascontiguousarray(np.moveaxis(values, 2, 0))


def histogram(values: Values, bins: int = BINS) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
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
        made.append(Stage("invert", "black and white exchanged", stages.invert))
    return made


def _geometry(settings: Preprocessing) -> list[Stage]:
    height, width = settings.height, settings.width
    kernel = f"{settings.interpolation}{'' if settings.antialias else ', not antialiased'}"
    size = f"{width} × {height} px"

    def resized(array: Array, tall: int, wide: int) -> Array:
        return stages.resize(array, tall, wide, settings.interpolation, settings.antialias)

    def to_shortest(array: Array) -> Array:
        return resized(array, *stages.shortest_side(array, settings.resize_px))

    def to_letterbox(array: Array) -> Array:
        inner = stages.letterbox_size(array, height, width)
        return stages.crop(resized(array, *inner), height, width)

    def demand_size(array: Array) -> Array:
        if array.shape[:2] != (height, width):
            raise OptionError(
                f"The image has {array.shape[1]} × {array.shape[0]} px and the network takes "
                f"{size}; choose crop, stretch or letterbox instead of none."
            )
        return array

    if settings.fit == "crop":
        shortest = f"shortest side {settings.resize_px} px, {kernel}"
        return [
            Stage("resize", shortest, to_shortest),
            Stage("crop", f"centre {size}", lambda array: stages.crop(array, height, width)),
        ]
    if settings.fit == "stretch":
        return [Stage("resize", f"{size}, {kernel}", lambda array: resized(array, height, width))]
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
                lambda array: stages.contrast(as_values(array), slope, keeps),
            )
        )
    if settings.blur:
        sigma = settings.blur
        made.append(
            Stage(
                "blur",
                f"Gaussian, {sigma:g} px",
                lambda array: stages.blur(as_values(array), sigma),
            )
        )
    if settings.threshold is not None:
        level = settings.threshold
        made.append(
            Stage(
                "threshold",
                f"above {level:g} white, else black",
                lambda array: (as_values(array) > level).astype(np.float32),
            )
        )
    return made


def _fed(settings: Preprocessing) -> list[Stage]:
    """What the Classifier does to pixels before its network: order, range, mean and std."""
    made = []
    if settings.bgr:
        made.append(Stage("channel order", "blue, green, red", lambda array: array[..., ::-1]))
    if settings.value_range != 1:
        top = np.float32(settings.value_range)
        made.append(Stage("value range", f"0..{top:g}", lambda array: as_values(array) * top))
    mean, std = np.array(settings.mean, np.float32), np.array(settings.std, np.float32)
    if (mean != 0).any() or (std != 1).any():
        words = f"minus {_listed(settings.mean)}, divided by {_listed(settings.std)}"
        made.append(Stage("mean and std", words, lambda array: (as_values(array) - mean) / std))
    return made


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _clipped(before: Array, after: Array) -> int:
    """Count values a stage left at 0 or 1, beyond the share that was there before."""
    if before is after or before.shape != after.shape:
        return 0
    return max(0, _ends(after) - _ends(before))


def _ends(array: Array) -> int:
    """Count values at 0 or 1."""
    top = 255 if array.dtype == np.uint8 else 1
    return sum(int(np.count_nonzero((strip <= 0) | (strip >= top))) for strip in strips(array))
