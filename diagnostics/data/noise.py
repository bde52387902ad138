"""Noise: images that show nothing, random or blank, the same for the same seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.data.image import eight_bit
from diagnostics.errors import InputError, OptionError

Kind: TypeAlias = Literal["uniform", "gaussian", "salt-and-pepper", "constant", "checkerboard"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GREY_STD = 0.25
SQUARES = 8  # of a checkerboard, along the shorter side
LEVELS = 256


@dataclass(frozen=True)
class Family:
    """A kind of noise that can be drawn many times.

    Args:
        title: What people read above its figures.
        description: What a draw is, a sentence.
        needs_images: Whether draws are made from the person's images.
        distinct: After how many draws they repeat; None when they go on.
    """

    title: str
    description: str
    needs_images: bool = False
    distinct: int | None = None


FAMILIES = {
    "uniform": Family("Uniform noise", "Every value is drawn from 0 to 255 alike."),
    "gaussian": Family(
        "Gaussian noise",
        "Every value is drawn from a normal distribution with the known images' mean and standard "
        "deviation, channel by channel, and cut off below 0 and above 255.",
    ),
    "shuffled": Family(
        "Shuffled pixels", "One of your images with its pixels in random order.", needs_images=True
    ),
    "phase": Family(
        "Scrambled phases",
        "One of your images with as much of every spatial frequency as before, in random places.",
        needs_images=True,
    ),
    "constant": Family(
        "Blank images",
        "All pixels have one grey level: black, mid grey and white first, then levels in between.",
        distinct=LEVELS,
    ),
    "checkerboard": Family(
        "Checkerboards", "Squares of a random size in two random levels of every channel."
    ),
}


def generate(
    kind: Kind, height: int, width: int, channels: int, *, seed: int = 0, level: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image of noise, or a blank one.

    Args:
        kind: "uniform" draws every value from 0..255 alike; "gaussian" around `level` with a
            standard deviation of a quarter of the range, clipped; "salt-and-pepper" turns the
            share `level` of the pixels of a mid-grey image black or white; "constant" is `level`;
            "checkerboard" has eight squares along the shorter side, black and of `level`.
        height: In px.
        width: In px.
        channels: 1 or 3.
        seed: Seed of the draw.
        level: A level or a share, as the kind takes it, 0 to 1.

    Returns:
        Shape (height, width, channels).
    """
    random = np.random.default_rng(seed)
    shape = (height, width, channels)
    if kind == "uniform":
        return random.integers(0, 256, shape, dtype=np.uint8)
    values = np.full(shape, level)
    if kind == "gaussian":
        values = values + random.normal(0, GREY_STD, shape)
    elif kind == "salt-and-pepper":
        draws = random.random((height, width, 1))
        values = np.where(draws < level / 2, 0.0, np.where(draws < level, 1.0, 0.5))
        values = np.broadcast_to(values, shape)
    elif kind == "checkerboard":
        square = max(min(height, width) // SQUARES, 1)
        rows, columns = np.indices((height, width)) // square
        values = values * ((rows + columns) % 2)[..., None]
    return eight_bit(values)


def shuffle(image: NDArray[Any], *, seed: int = 0) -> NDArray[Any]:
    """Return the image with its pixels in random order: the same values, nothing of its shapes.

    Args:
        image: Shape (h, w, c).
        seed: Seed of the order.
    """
    pixels = image.reshape(-1, image.shape[2])
    return np.random.default_rng(seed).permutation(pixels).reshape(image.shape)


def matched_gaussian(
    mean: ArrayLike, std: ArrayLike, height: int, width: int, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return Gaussian noise of a mean and standard deviation for each channel.

    Clipping moves both where the mean lies within about two standard deviations of 0 or 1.

    Args:
        mean: One value a channel, in [0, 1].
        std: One value a channel, at least 0.
        height: In px.
        width: In px.
        seed: Seed of the draw.

    Returns:
        Shape (height, width, channels), clipped to [0, 1].
    """
    means = np.atleast_1d(np.asarray(mean, np.float64))
    normal = np.random.default_rng(seed).normal(size=(height, width, len(means)))
    return np.clip(means + normal * np.asarray(std, np.float64), 0, 1)


def phase_scrambled(image: NDArray[Any], *, seed: int = 0) -> NDArray[np.float64]:
    """Return the image with as much of every spatial frequency, in random places.

    Args:
        image: Shape (h, w, c), in [0, 1].
        seed: Seed of the phases.

    Returns:
        The same shape, clipped to [0, 1].
    """
    return np.clip(with_random_phases(image, seed=seed), 0, 1)


def with_random_phases(image: NDArray[Any], *, seed: int = 0) -> NDArray[np.float64]:
    """Return `phase_scrambled` before it is clipped: amplitude spectra and means are exact.

    Channels share their phases, so they rise and fall together at least as much as in the image.

    Args:
        image: Shape (h, w, c).
        seed: Seed of the white noise whose phases every channel gets.

    Returns:
        The same shape; values may lie outside the image's range.
    """
    height, width = image.shape[:2]
    white = np.fft.rfft2(np.random.default_rng(seed).normal(size=(height, width)))
    phases = np.exp(1j * np.angle(white))[..., None]
    spectrum = np.fft.rfft2(image.astype(np.float64), axes=(0, 1))
    scrambled = np.abs(spectrum) * phases
    scrambled[0, 0] = spectrum[0, 0]
    return np.fft.irfft2(scrambled, (height, width), axes=(0, 1))


def draw(
    family: str,
    number: int,
    *,
    height: int,
    width: int,
    channels: int,
    seed: int,
    images: Sequence[NDArray[Any]],
    mean: ArrayLike,
    std: ArrayLike,
) -> NDArray[np.float32]:
    """Return one draw of a family, the same however many others are drawn.

    Args:
        family: A key of FAMILIES.
        number: Which draw, from 0. Families made from images take one after the other, round and
            round, each time in another order or with other phases.
        height: In px.
        width: In px.
        channels: 1 or 3.
        seed: Seed of the family; at least 0.
        images: The person's images, each of shape (height, width, channels), in [0, 1].
        mean: Mean of the in-distribution images, one value a channel, in [0, 1].
        std: Their standard deviation, one value a channel.

    Returns:
        Shape (height, width, channels); whole 255ths, so an 8-bit file of the draw is exact.

    Raises:
        OptionError: When there is no such family.
        InputError: When the family is made from images and there are none.
    """
    if family not in FAMILIES:
        raise OptionError(f"There is no noise called {family!r}; there is {', '.join(FAMILIES)}.")
    if FAMILIES[family].needs_images and not len(images):
        raise InputError(
            f"{FAMILIES[family].title} are made of your own images, and there are none: add at "
            "least one image."
        )
    state = np.random.SeedSequence([seed, zlib.crc32(family.encode()), number])
    draw_seed = int(state.generate_state(1, np.uint64)[0])
    generators: dict[str, Callable[[], NDArray[Any]]] = {
        "uniform": lambda: generate("uniform", height, width, channels, seed=draw_seed) / 255,
        "gaussian": lambda: matched_gaussian(mean, std, height, width, seed=draw_seed),
        "shuffled": lambda: shuffle(images[number % len(images)], seed=draw_seed),
        "phase": lambda: phase_scrambled(images[number % len(images)], seed=draw_seed),
        "constant": lambda: np.full((height, width, channels), _level(number)),
        "checkerboard": lambda: _checkerboard(height, width, channels, draw_seed),
    }
    return eight_bit(generators[family]()).astype(np.float32) / np.float32(255)


def _level(number: int) -> float:
    """Return 0, 128, 255 and then every other level, as evenly spread as can be at any count."""
    spread = [int(f"{index:08b}"[::-1], 2) for index in range(LEVELS)]  # bits in reverse
    order = [0, 128, 255, *(level for level in spread if level not in (0, 128, 255))]
    return order[number % LEVELS] / 255


def _checkerboard(height: int, width: int, channels: int, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    square = int(np.exp(random.uniform(0, np.log(max(min(height, width) // 2, 1) + 1))))
    first = random.integers(0, LEVELS, channels)
    second = (first + random.integers(1, LEVELS, channels)) % LEVELS
    rows, columns = np.indices((height, width)) // square
    return np.where(((rows + columns) % 2)[..., None], second, first) / 255
