"""What one pixel at a time costs: the exact map of 28 × 28 px, and bfloat16 asked first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torchvision.models import resnet18

from diagnostics.methods.context import Context
from diagnostics.methods.perturbation._bfloat16 import Screen, pays
from diagnostics.methods.perturbation._label_change import Flips
from diagnostics.methods.perturbation._one_pixel import OnePixel
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.preprocessing import Preprocessing
from tests.networks_for_tests import classifier

Paired = Callable[..., float]
Figure = tuple[str, float, float, str]
SIDE, LEVELS, ROUNDS = 28, 8, 7
BATCHES = (16, 32, 64, 128, 256)


def figures(paired: Paired) -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    yield from exact_map(paired)
    yield from screened(paired)


def exact_map(paired: Paired) -> Iterator[Figure]:
    """Yield the map's time, and beside bare passes of as many images at their best batch size."""
    torch.manual_seed(0)
    asked = classifier(LettersConv(), SIDE, 1, 26)
    pixels = torch.rand(1, 1, SIDE, SIDE)
    images = torch.rand(LEVELS * SIDE**2, 1, SIDE, SIDE)

    def ours() -> None:
        one = OnePixel(Context(asked), Flips(asked, pixels), LEVELS, 500, 16, lambda doing, done: 0)
        for _ in one.sweep():
            pass

    def bare(size: int) -> None:
        with torch.no_grad():
            for part in images.split(size):
                asked.network(part)

    size = min(BATCHES, key=lambda one: _quickest(lambda: bare(one), 3))
    what = f"one-pixel map of {SIDE} × {SIDE} px, {len(images)} images, letters_conv"
    yield what, _quickest(ours, ROUNDS), 0.5, "s"
    yield (
        f"{what}, against bare passes {size} at once",
        paired(ours, lambda: bare(size), 5),
        1.4,
        "x",
    )


def screened(paired: Paired) -> Iterator[Figure]:
    """Yield how much faster it is to ask ResNet-18 in bfloat16 first, where a processor has it."""
    torch.manual_seed(0)
    asked = classifier(resnet18(), 224, 3, 1000, Preprocessing())
    if not pays(asked):
        return
    pixels = torch.rand(1, 3, 224, 224)
    changed = pixels.repeat(8, 1, 1, 1)
    changed[:, :, 100, 100] = torch.linspace(0, 1, 8)[:, None]
    flips = Flips(asked, pixels)
    screen = Screen(flips, changed, 0)

    def asking(way: Callable[[Tensor], Tensor]) -> Callable[[], list[Tensor]]:
        return lambda: [way(changed) for _ in range(4)]

    faster = 1 / paired(asking(screen.ask), asking(flips.ask), 5)
    yield "single pixels of ResNet-18 at 224 px in bfloat16 first", faster, 1.5, "x faster"


def _quickest(run: Callable[[], object], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found)
