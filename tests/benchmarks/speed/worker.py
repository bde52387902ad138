"""What the gates cost: the look at a file before it is read, the locked worker, and its start."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torchvision.models import resnet18

from diagnostics.data import samples
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders import state_dict
from diagnostics.loaders.registry import recognise
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote
from tests.benchmarks.figure import Figure, median
from tests.benchmarks.timing import beside, in_turn, seconds_of

TENSORS, SIDE = 25, 1024  # of 4 MiB each
ROUNDS = 5
WARM_SECONDS = 8  # by then the zygote has done in advance what a further worker needs
GATE_SECONDS, LOCKED, FIRST_SECONDS, FURTHER_SECONDS = 0.3, 1.05, 5.0, 0.3


def figures() -> Iterator[Figure]:
    """Yield what was measured."""
    yield from _starts()
    with tempfile.TemporaryDirectory() as folder:
        yield _gate(Path(folder))
        yield _locked(Path(folder))


def _starts() -> Iterator[Figure]:
    """Yield how long the first answers take, each round from a zygote that starts anew."""
    firsts = []
    for round_number in range(ROUNDS):
        started = time.perf_counter()
        zygote = Zygote()
        first = WorkerRunner(zygote=zygote)
        first.run(_letters())
        firsts.append(time.perf_counter() - started)
        first.close()
        if round_number < ROUNDS - 1:
            zygote.close()
    yield median("first worker's first answer after start", firsts, "s", limit=FIRST_SECONDS)
    time.sleep(WARM_SECONDS)
    further = [WorkerRunner(zygote=zygote) for _ in range(ROUNDS)]
    seconds = [seconds_of(lambda runner=runner: runner.run(_letters())) for runner in further]
    for runner in further:
        runner.close()
    zygote.close()
    yield median("a further worker's first answer", seconds, "s", limit=FURTHER_SECONDS)


def _letters() -> Request:
    """Return what the first visit asks."""
    model = ModelSource(samples.model_files()[samples.FIRST_MODEL])
    return Request(INSPECT, model, (samples.image_files()[samples.FIRST_IMAGES[0]],))


def _gate(folder: Path) -> Figure:
    path = folder / "weights.pth"
    torch.save({f"tensor {n}": torch.rand(SIDE, SIDE) for n in range(TENSORS)}, path)

    def look() -> None:
        recognise(path)
        state_dict.read(path)

    raws, looks = in_turn(lambda: torch.load(path, weights_only=True), look)
    seconds = [after - before for before, after in zip(raws, looks, strict=True)]
    return median(
        "gates of a 100 MiB state_dict beside reading it", seconds, "s", limit=GATE_SECONDS
    )


def _locked(folder: Path) -> Figure:
    weights = folder / "resnet18.pth"
    torch.save(resnet18().state_dict(), weights)
    source = ModelSource(samples.file_at(weights), "torchvision/resnet18")
    photo = samples.image_files()["photo-raccoon"]
    worker, local = WorkerRunner(), LocalRunner()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker has on two cores
    seeds = iter(range(10_000))  # so that nothing is remembered

    def asked() -> Request:
        options = {"samples": 10}
        return Request(
            "attribution/smooth_grad", source, (photo,), options=options, seed=next(seeds)
        )

    runs = (lambda: worker.run(asked()), lambda: local.run(asked()))
    for run in runs:
        run()
    seconds = in_turn(*runs, fewest=5)
    worker.close()
    torch.set_num_threads(threads)
    what = "a locked worker against this process, SmoothGrad on ResNet-18"
    return beside(what, *seconds, limit=LOCKED, threads=1)
