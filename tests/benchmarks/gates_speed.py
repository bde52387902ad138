"""What the two gates cost: the look at a file before it is read, and the locked worker."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torchvision.models import resnet18

from diagnostics.data import samples
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders import state_dict
from diagnostics.loaders.registry import recognise
from diagnostics.schema.request import ModelSource, Request
from diagnostics.worker import WorkerRunner

Paired = Callable[..., float]
TENSORS, SIDE = 25, 1024  # of 4 MiB each


def figures(paired: Paired) -> Iterator[tuple[str, float, float, str]]:
    """Yield what was measured, the value, its limit and its unit."""
    with tempfile.TemporaryDirectory() as folder:
        yield _gate(Path(folder))
        yield _worker(Path(folder), paired)


def _gate(folder: Path) -> tuple[str, float, float, str]:
    path = folder / "weights.pth"
    torch.save({f"tensor {n}": torch.rand(SIDE, SIDE) for n in range(TENSORS)}, path)
    looks, raws = [], []
    for _ in range(7):
        started = time.perf_counter()
        torch.load(path, weights_only=True)
        raws.append(time.perf_counter() - started)
        started = time.perf_counter()
        recognise(path)
        state_dict.read(path)
        looks.append(time.perf_counter() - started)
    return "gates of a 100 MiB state_dict beside reading it", min(looks) - min(raws), 0.3, "s"


def _worker(folder: Path, paired: Paired) -> tuple[str, float, float, str]:
    weights = folder / "resnet18.pth"
    torch.save(resnet18().state_dict(), weights)
    source = ModelSource(samples.file_at(weights), "torchvision/resnet18")
    photo = samples.image_files()["photo-raccoon"]
    worker, local = WorkerRunner(), LocalRunner()
    torch.set_num_threads(1)
    seeds = iter(range(10_000))  # so that nothing is remembered

    def asked() -> Request:
        return Request("attribution/smooth_grad", source, (photo,), seed=next(seeds))

    ratio = paired(lambda: worker.run(asked()), lambda: local.run(asked()), 9)
    worker.close()
    return "a locked worker against this process, SmoothGrad on ResNet-18", ratio, 1.05, "x"
