"""Smallest changes beside their peers: the cost of a walk, and how small the changes are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import torch
from torchvision.models import resnet18

from diagnostics.data.samples import file_at
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders.open import open_model
from diagnostics.methods.adversarial._attacks import walk
from diagnostics.methods.adversarial._criterion import Goal
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource, Request
from tests.independent.slow_minimal import foolbox_deepfool
from tests.networks_for_tests import classifier

SIDE, IMAGES, STEPS, ROUNDS = 224, 8, 4, 5

Figure = tuple[str, float, float, str]


def figures() -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    what = f"DDN on ResNet-18 at {SIDE} px, beside as many bare passes forward and back"
    yield what, _cost(), 1.1, "x"
    for way, value in _lengths().items():
        yield f"median L2 of {way}, over that of DeepFool as foolbox has it", value, 1.0, "x"


def _cost() -> float:
    """Return the time of a walk over that of the passes it needs, in turn, the quickest of each."""
    torch.manual_seed(0)
    model = classifier(resnet18(), SIDE, 3, 1000, Preprocessing())
    pixels = torch.rand(IMAGES, 3, SIDE, SIDE)
    said = model.logits(pixels).argmax(1).detach()

    def bare() -> None:
        for _ in range(STEPS):
            given = pixels.detach().requires_grad_()
            torch.autograd.grad(model.network(given)[:, 3].sum(), given)

    def ours() -> None:
        walk(Goal(model, said), pixels, lambda _: None, norm="l2", steps=STEPS)

    walks, passes = [], []
    for _ in range(ROUNDS):
        passes.append(_seconds(bare))
        walks.append(_seconds(ours))
    return min(walks) / min(passes)


def _lengths() -> dict[str, float]:
    """Return medians over twenty digits, each over the median of the peer's changes."""
    weights = _installed("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    images = tuple(map(file_at, sorted(_installed("foolbox", "foolbox/data").glob("mnist_*.png"))))
    source = ModelSource(file_at(weights))
    model, runner = open_model(source, ()).classifier(None), LocalRunner()
    found, pixels = {}, torch.empty(0)
    for way in ("smallest", "ddn"):
        answer = runner.run(Request(f"adversarial/{way}", source, images))
        entries = answer.scores["images"]
        rows = range(len(entries))
        given = [torch.from_numpy(answer.arrays[f"{row}/pixels"]) for row in rows]
        pixels = torch.stack(given).movedim(3, 1).contiguous()
        lengths = [one["l2"]["distance"] for one in entries]
        found[f"adversarial/{way}"] = torch.tensor(
            [float("inf") if x is None else x for x in lengths]
        )
    peer = (foolbox_deepfool(model, pixels) - pixels).flatten(1).norm(dim=1)
    return {way: float(own.median() / peer.median()) for way, own in found.items()}


def _installed(package: str, path: str) -> Path:
    return Path(str(distribution(package).locate_file(path)))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
