"""What a reference costs: beside the bare forward pass, and in memory as images grow many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from diagnostics.models.features import batch_size, extract_features
from diagnostics.reference.statistics import ReferenceBuilder
from tests.benchmarks import bare
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import PHOTO_NETWORKS, Timed, letters
from tests.benchmarks.timing import beside, in_turn

SMALL, LARGE, PART = 1_000, 60_000, 256
PHOTOS, LETTERS = 32, 2048
LIMIT, LIMIT_MIB = 1 / 0.9, 100.0
THIS = "tests.benchmarks.speed.reference"


def figures() -> Iterator[Figure]:
    """Yield the time on every network, and the memory."""
    for make in (*PHOTO_NETWORKS, letters):
        yield passes(make())
    small, large = (_memory_mib(count) for count in (SMALL, LARGE))
    what = f"memory of a reference of {LARGE:,} small images beside {SMALL:,}"
    yield Figure(what, large - small, "MiB", limit=LIMIT_MIB)


def passes(timed: Timed) -> Figure:
    """Return the time of a reference's passes over that of bare ones."""
    count = LETTERS if timed.shape[0] == 1 else PHOTOS
    pixels, forward = timed.pixels(count), bare.best_forward(timed.network, timed.shape)
    gather(timed, pixels)
    seconds = in_turn(lambda: gather(timed, pixels), lambda: forward.run(count))
    return beside(
        f"reference of {count} images on {timed.name}, beside bare passes",
        *seconds,
        limit=LIMIT,
        engine=forward.engine,
        threads=torch.get_num_threads(),
    )


def gather(timed: Timed, pixels: torch.Tensor) -> ReferenceBuilder:
    """Return what is gathered of images, each half in turn."""
    gathering = ReferenceBuilder(timed.classifier)
    for number, part in enumerate(torch.split(pixels, batch_size(timed.classifier))):
        labels = torch.zeros(len(part), dtype=torch.int64)
        features = extract_features(timed.classifier, part)
        gathering.add(features, labels, part, number % 2)
    return gathering


def _memory_mib(count: int) -> float:
    """Return the largest memory of a process that measures so many small images."""
    done = subprocess.run(
        [sys.executable, "-m", THIS, str(count)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def _measure(count: int) -> None:
    """Measure that many images, made as they are needed, and print the largest memory in MiB."""
    timed, random = letters(), np.random.default_rng(0)
    gathering = ReferenceBuilder(timed.classifier)
    for number, start in enumerate(range(0, count, PART)):
        size = min(PART, count - start)
        pixels = torch.from_numpy(random.random((size, *timed.shape), np.float32))
        labels = torch.from_numpy(random.integers(0, 26, size))
        gathering.add(extract_features(timed.classifier, pixels), labels, pixels, number % 2)
    gathering.build({})
    status = Path("/proc/self/status").read_text("utf-8")  # getrusage would count the parent in
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


if __name__ == "__main__":
    _measure(int(sys.argv[1]))
