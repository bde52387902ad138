"""What one pixel at a time costs: the exact map of 28 × 28 px."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from diagnostics.methods.perturbation._label_change import LabelChange
from diagnostics.methods.perturbation.one_pixel import OnePixel
from tests.benchmarks import bare
from tests.benchmarks.figure import Figure, median
from tests.benchmarks.networks import letters
from tests.benchmarks.timing import beside, in_turn

LEVELS = 8
LIMIT, LIMIT_SECONDS = 1.1, 0.5


def figures() -> Iterator[Figure]:
    """Yield the map's time, and beside bare passes of as many images."""
    timed = letters()
    forward, pixels = bare.best_forward(timed.network, timed.shape), timed.pixels(1)
    label_change = LabelChange(timed.classifier, pixels)

    def ours() -> int:
        before = label_change.forward_passes
        for _ in OnePixel(label_change, LEVELS, 500, 16, 0, lambda doing, share: None).sweep():
            pass
        return label_change.forward_passes - before

    passes = ours()
    seconds = in_turn(ours, lambda: forward.run(passes))
    threads = torch.get_num_threads()
    what = f"one-pixel map, {passes} images, on {timed.name}"
    yield median(what, seconds[0], "s", limit=LIMIT_SECONDS, threads=threads)
    yield beside(
        f"{what}, beside bare passes",
        *seconds,
        limit=LIMIT,
        engine=forward.engine,
        threads=threads,
        remark="no peer among captum, pytorch-grad-cam, foolbox and pytorch-ood",
    )
