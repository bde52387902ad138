"""What one pixel at a time costs: the exact map of 28 × 28 px."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from diagnostics.methods.perturbation._label_change import LabelChange
from diagnostics.methods.perturbation.one_pixel import OnePixel
from diagnostics.models.sample_networks import LettersConv
from tests.networks_for_tests import classifier

Paired = Callable[..., float]
Figure = tuple[str, float, float, str]
SIDE, LEVELS, ROUNDS = 28, 8, 7
BATCHES = (16, 32, 64, 128, 256)


def figures(paired: Paired) -> Iterator[Figure]:
    """Yield the map's time, and beside bare passes of as many images at their best batch size."""
    torch.manual_seed(0)
    model = classifier(LettersConv(), SIDE, 1, 26)
    pixels = torch.rand(1, 1, SIDE, SIDE)
    images = torch.rand(LEVELS * SIDE**2, 1, SIDE, SIDE)

    def ours() -> None:
        label_change = LabelChange(model, pixels)
        trial = OnePixel(label_change, LEVELS, 500, 16, 0, lambda doing, share: None)
        for _ in trial.sweep():
            pass

    def bare(size: int) -> None:
        with torch.no_grad():
            for part in images.split(size):
                model.network(part)

    size = min(BATCHES, key=lambda size: _quickest(lambda: bare(size), 3))
    what = f"one-pixel map of {SIDE} × {SIDE} px, {len(images)} images, letters_conv"
    yield what, _quickest(ours, ROUNDS), 0.5, "s"
    yield (
        f"{what}, against bare passes {size} at once",
        paired(ours, lambda: bare(size), 5),
        1.4,
        "x",
    )


def _quickest(run: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
