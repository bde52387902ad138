"""What a search for sufficient pixels costs beside the bare passes that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from diagnostics.methods.sufficient_pixels._backward_selection import (
    BatchedGradientSearch,
    MaskedImage,
    exact_paths,
)
from diagnostics.methods.sufficient_pixels._infill import make_infill
from diagnostics.schema.sufficient_pixels import default_step
from tests.benchmarks import bare
from tests.benchmarks.bare import Asked, Bare
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import PHOTO_NETWORKS, Timed, letters
from tests.benchmarks.timing import beside, in_turn

PHOTO, SMALL = (8, 2), (64, 10)  # how many images, how many steps of a round
SHOWN = 30  # pixels that the exact search begins with
LIMIT = 1.1
NO_PEER = "no peer among captum, pytorch-grad-cam, foolbox and pytorch-ood"


def figures() -> Iterator[Figure]:
    """Yield the batched search on every network, and the exact one on small images."""
    for make in (*PHOTO_NETWORKS, letters):
        yield batched(make())
    yield exact(letters())


def batched(timed: Timed) -> Figure:
    """Return some steps of the batched search beside as many passes forward and back.

    All steps cost alike, whatever is hidden already, so a few of them stand for all.
    """
    count, steps = SMALL if timed.shape[0] == 1 else PHOTO
    both, pixels = bare.best_both(timed.network, timed.shape), timed.pixels(count)
    asked = Asked(timed.classifier)
    step = default_step(timed.shape[1] * timed.shape[2])

    def ours() -> None:
        fill = make_infill("dataset_mean", asked, pixels, 0)
        search = BatchedGradientSearch(asked, fill, torch.zeros(count, dtype=torch.int64), step)
        for _ in range(steps):
            search.advance()

    title = f"batched gradient search on {timed.name}"
    return _beside_passes(title, ours, asked, both, "bare passes forward and back")


def exact(timed: Timed) -> Figure:
    """Return the exact search of the last pixels beside as many passes forward."""
    forward, pixels = bare.best_forward(timed.network, timed.shape), timed.pixels(1)
    asked = Asked(timed.classifier)
    image = MaskedImage(asked, make_infill("dataset_mean", asked, pixels, 0), target=0)
    start = np.zeros(timed.shape[1:], bool)
    start.reshape(-1)[:SHOWN] = True

    def ours() -> None:
        for _ in exact_paths(image, start):
            pass

    title = f"exact search of {SHOWN} pixels on {timed.name}"
    return _beside_passes(title, ours, asked, forward, "bare passes")


def _beside_passes(
    title: str, ours: Callable[[], None], asked: Asked, passes: Bare, words: str
) -> Figure:
    """Return a search beside as many bare passes as it asks for."""
    ours()
    count = asked.forward + asked.both
    return beside(
        f"{title}, beside {count} {words}",
        *in_turn(ours, lambda: passes.run(count)),
        limit=LIMIT,
        engine=passes.engine,
        threads=torch.get_num_threads(),
        remark=NO_PEER,
    )
