"""What plants stand on: labelled pictures, a network that can learn them, and its preprocessing.

The first world is digits, the second garments, letters and other digits: other images, sizes,
networks and preprocessing. What the third stands on is in drawn.py.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_fill_holes
from torch import Tensor, nn

from benchmarks.plants.plant import Picture, files
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from scripts import letters, train_fashion
from tests.benchmarks.preprocessing import worlds

Labels = NDArray[np.int64]
FAR_APART = (1, 3, 5, 8, 9, 0, 7, 4)  # garments that are told apart: no shirt, no pullover
KNOWN = 400
INK = 32  # a grey level above which a pixel belongs to the object


@dataclass(frozen=True)
class Drawing:
    """A picture, shape (h, w) or (h, w, 3), and which of its pixels belong to the object."""

    picture: Picture
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Ground:
    """Labelled drawings, a network for them, and its right preprocessing.

    Args:
        name: In words.
        draw: Returns drawings and labels, those to train on first.
        settings: The preprocessing.
        network: Takes the number of classes.
        trained: How many drawings are trained on; the others are held out.
        epochs: How often each is.
    """

    name: str
    draw: Callable[[], tuple[list[Drawing], Labels]]
    settings: Preprocessing
    network: Callable[[int], nn.Module]
    trained: int = 4000
    epochs: int = 4

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.draw()[1].max()) + 1

    def training(self) -> tuple[list[Drawing], Labels]:
        """Return what is trained on."""
        drawings, labels = self.draw()
        return drawings[: self.trained], labels[: self.trained]

    def held_out(self) -> tuple[list[Drawing], Labels]:
        """Return what is not."""
        drawings, labels = self.draw()
        return drawings[self.trained :], labels[self.trained :]


@dataclass(frozen=True)
class Trainer:
    """Trains networks, and keeps them in a folder where there is one."""

    folder: Path | None = None

    def classifier(
        self, key: str, ground: Ground, pictures: list[Picture], labels: Labels
    ) -> TorchClassifier:
        """Return a network of a ground that learnt these pictures."""
        torch.manual_seed(zlib.crc32(key.encode()))
        network = ground.network(int(labels.max()) + 1)
        path = None
        if self.folder:
            digest = hashlib.sha256(f"{key} {ground.epochs} {ground.settings}".encode())
            for picture in pictures:
                digest.update(picture.tobytes())
            digest.update(labels.tobytes())
            path = self.folder / f"{digest.hexdigest()[:16]}.pt"
        if path and path.exists():
            network.load_state_dict(torch.load(path, weights_only=True))
        else:
            worlds.train(network, files(pictures, labels), ground.settings, ground.epochs)
            if path:
                torch.save(network.state_dict(), path)
        return worlds.classifier_of(key, network, ground.settings)

    def healthy(self, ground: Ground) -> TorchClassifier:
        """Return the network of a ground that learnt its drawings as they are."""
        drawings, labels = ground.training()
        return self.classifier(ground.name, ground, [one.picture for one in drawings], labels)


class Patches(nn.Module):
    """Large patches that exchange what they saw, with GELU and LayerNorm: a small mixer."""

    def __init__(
        self, classes: int, *, channels: int = 1, side: int = 28, patch: int = 4, width: int = 64
    ) -> None:
        super().__init__()
        count = (side // patch) ** 2
        self.stem = nn.Conv2d(channels, width, patch, patch)
        self.across = nn.ModuleList(_perceptron(count, count) for _ in range(2))
        self.within = nn.ModuleList(_perceptron(width, 2 * width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.head = nn.Linear(width, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits."""
        tokens = self.stem(values).flatten(2).transpose(1, 2)
        for step, (across, within) in enumerate(zip(self.across, self.within, strict=True)):
            mixed = across(self.norms[2 * step](tokens).transpose(1, 2)).transpose(1, 2)
            tokens = tokens + mixed
            tokens = tokens + within(self.norms[2 * step + 1](tokens))
        logits: Tensor = self.head(self.norms[4](tokens).mean(1))
        return logits


class Attending(nn.Module):
    """Patches that attend to one another, with GELU and LayerNorm: a small transformer."""

    def __init__(self, classes: int, *, side: int = 28, patch: int = 7, width: int = 48) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, width))
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(2)
        )
        self.within = nn.ModuleList(_perceptron(width, 3 * width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.head = nn.Linear(width, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits."""
        tokens = self.stem(values).flatten(2).transpose(1, 2) + self.places
        for step, (attend, within) in enumerate(zip(self.attention, self.within, strict=True)):
            normed = self.norms[2 * step](tokens)
            tokens = tokens + attend(normed, normed, normed, need_weights=False)[0]
            tokens = tokens + within(self.norms[2 * step + 1](tokens))
        logits: Tensor = self.head(self.norms[4](tokens).mean(1))
        return logits


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def plain(
    classes: int, *, channels: int, norm: Callable[[int], nn.Module], width: int = 16
) -> nn.Module:
    """Return three convolutions and a dense layer."""
    network = worlds.Plain(channels, norm, width)
    network[-1] = nn.Linear(16 * width, classes)
    return network


def dense(classes: int, *, pixels: int, width: int = 96) -> nn.Module:
    """Return a perceptron that knows nothing of neighbours."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, width),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(width, classes),
    )


def residual(classes: int, *, channels: int = 1) -> nn.Module:
    """Return depthwise residual blocks with BatchNorm."""
    network = worlds.Residual(channels)
    network.fc = nn.Linear(network.fc.in_features, classes)
    return network


@cache
def digits() -> tuple[Picture, Labels]:
    """Return 5000 handwritten digits of 28 px."""
    return worlds.IMAGES["digits"]()


@cache
def garments() -> tuple[Picture, Labels]:
    """Return 9000 garments of 28 px, of eight classes that are told apart."""
    pixels, labels = train_fashion.pixels("train")
    rows = np.flatnonzero(np.isin(labels, FAR_APART))[:9000]
    return pixels[rows], np.array([FAR_APART.index(label) for label in labels[rows]])


@cache
def alphabet() -> tuple[Picture, Labels]:
    """Return lower-case letters of 28 px, in all text faces and some decorative ones."""
    faces = letters.faces()
    chosen = [face for face in faces if face.style == "text"]
    chosen += [face for face in faces if face.style == "decorative"][::9]
    glyphs = np.rint(np.concatenate([face.glyphs for face in chosen]) * 255).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(glyphs))
    return glyphs[order], np.tile(np.arange(26), len(chosen))[order]


@cache
def optical_digits() -> tuple[Picture, Labels]:
    """Return scikit-learn's 1797 digits, enlarged from 8 to 24 px."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    small = np.rint(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    large = [Image.fromarray(one).resize((24, 24), Image.Resampling.BILINEAR) for one in small]
    order = np.random.default_rng(1).permutation(len(large))
    return np.stack([np.asarray(one) for one in large])[order], labels[order]


def grey(images: Callable[[], tuple[Picture, Labels]]) -> tuple[list[Drawing], Labels]:
    """Return bright objects on black as drawings."""
    pictures, labels = images()
    return [Drawing(one, binary_fill_holes(one > INK)) for one in pictures], labels


def tinted(
    images: Callable[[], tuple[Picture, Labels]], side: int, seed: int, dim: float = 0.5
) -> tuple[list[Drawing], Labels]:
    """Return objects in any hue, anywhere on a sloping ground of any hue; no class has a hue."""
    pictures, labels = images()
    random = np.random.default_rng(seed)
    return [_tinted(one, side, random, dim) for one in pictures], labels


def _tinted(glyph: Picture, side: int, random: np.random.Generator, dim: float) -> Drawing:
    ends = random.random((2, 3)) * dim
    slope = np.linspace(0, 1, side)[None, :, None]
    picture = np.broadcast_to(ends[0] * (1 - slope) + ends[1] * slope, (side, side, 3)).copy()
    picture += random.normal(0, 0.02, picture.shape)
    size = len(glyph)
    top, left = random.integers(0, side - size + 1, 2)
    window = (slice(top, top + size), slice(left, left + size))
    inside = binary_fill_holes(glyph > INK)
    mask = np.zeros((side, side), bool)
    mask[window] = inside
    hue = 0.55 + 0.45 * random.random(3)
    values = glyph[..., None] / 255
    object_ = values * hue + (1 - values) * picture[window] * 0.5
    picture[window] = np.where(inside[..., None], object_, picture[window])
    return Drawing(np.rint(picture.clip(0, 1) * 255).astype(np.uint8), mask)


def hued(
    images: Callable[[], tuple[Picture, Labels]], *hues: tuple[float, float, float]
) -> tuple[list[Drawing], Labels]:
    """Return wide and tall pictures, larger than the input: a class is a shape and a hue.

    No hue becomes another where red and blue are exchanged, so that BGR is no order of names.
    """
    pixels, labels = images()
    pictures, classes = worlds.coloured(pixels, labels, hues=hues)
    return [Drawing(one, np.zeros(one.shape[:2], bool)) for one in pictures], classes


def settings(side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocessing:
    """Return the preprocessing of pictures that have the size of the input."""
    colour = len(mean) == 3
    return Preprocessing(colour=colour, fit="stretch", height=side, width=side, mean=mean, std=std)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
CROPPED = replace(settings(32, *IMAGENET), fit="crop", resize_px=36)

DIGITS = Ground(
    "digits, BatchNorm",
    cache(partial(grey, digits)),
    settings(28, (0.1307,), (0.3081,)),
    partial(plain, channels=1, norm=nn.BatchNorm2d),
)
DENSE_DIGITS = Ground(
    "digits, dense",
    cache(partial(grey, digits)),
    settings(28, (0.0,), (1.0,)),
    partial(dense, pixels=28 * 28),
    epochs=12,
)
TINTED_DIGITS = Ground(
    "tinted digits, no norm",
    cache(partial(tinted, digits, 32, 7)),
    settings(32, *IMAGENET),
    partial(plain, channels=3, norm=worlds.nothing),
    epochs=6,
)
HUED_DIGITS = Ground(
    "digits in two hues, BatchNorm",
    cache(partial(hued, digits, (0.9, 0.3, 0.2), (0.3, 0.75, 0.25))),
    CROPPED,
    partial(plain, channels=3, norm=nn.BatchNorm2d),
)
GARMENTS = Ground(
    "garments, residual BatchNorm",
    cache(partial(grey, garments)),
    settings(28, (0.286,), (0.353,)),
    residual,
    trained=6000,
    epochs=5,
)
TINTED_GARMENTS = Ground(
    "tinted garments, GroupNorm",
    cache(partial(tinted, garments, 32, 11, 0.4)),
    settings(32, *HALF),
    partial(plain, channels=3, norm=worlds.group),
    trained=5000,
    epochs=4,
)
HUED_GARMENTS = Ground(
    "garments in two hues, residual BatchNorm",
    cache(partial(hued, garments, (0.35, 0.2, 0.85), (0.2, 0.8, 0.7))),
    replace(settings(32, *HALF), fit="crop", resize_px=36),
    partial(residual, channels=3),
)
PATCHED_GARMENTS = Ground(
    "garments, patches and GELU",
    cache(partial(grey, garments)),
    settings(28, (0.5,), (0.5,)),
    Patches,
    trained=6000,
    epochs=6,
)
ATTENDED_GARMENTS = Ground(
    "garments, attention",
    cache(partial(grey, garments)),
    settings(28, (0.286,), (0.353,)),
    Attending,
    trained=7000,
    epochs=8,
)
LETTERS = Ground(
    "letters, no norm",
    cache(partial(grey, alphabet)),
    settings(28, (0.0,), (1.0,)),
    partial(plain, channels=1, norm=worlds.nothing, width=24),
    trained=3500,
    epochs=8,
)
OPTICAL_DIGITS = Ground(
    "optical digits, BatchNorm",
    cache(partial(grey, optical_digits)),
    settings(24, (0.3,), (0.35,)),
    partial(plain, channels=1, norm=nn.BatchNorm2d, width=12),
    trained=1100,
    epochs=10,
)
