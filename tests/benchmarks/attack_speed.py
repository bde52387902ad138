"""Attacks beside their peers: the cost of DDN, and how small the changes are."""

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
from diagnostics.methods.adversarial._attacks import ddn
from diagnostics.methods.adversarial._criterion import Criterion
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource, Request
from diagnostics.schema.results.adversarial import AdversarialAnswer
from tests.independent.slow_adversarial import foolbox_deepfool
from tests.networks_for_tests import classifier

SIDE, IMAGES, STEPS, ROUNDS = 224, 8, 4, 5

Figure = tuple[str, float, float, str]


def figures() -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    what = f"DDN on ResNet-18 at {SIDE} px, beside as many bare passes forward and back"
    yield what, _cost(), 1.1, "x"
    for method, value in _lengths().items():
        yield f"median L2 of {method}, over that of DeepFool as foolbox has it", value, 1.0, "x"


def _cost() -> float:
    """Return the time of DDN over that of the passes it needs, in turn, the quickest of each."""
    torch.manual_seed(0)
    model = classifier(resnet18(), SIDE, 3, 1000, Preprocessing())
    pixels = torch.rand(IMAGES, 3, SIDE, SIDE)
    predicted = model.logits(pixels).argmax(1).detach()

    def bare() -> None:
        for _ in range(STEPS):
            inputs = pixels.detach().requires_grad_()
            torch.autograd.grad(model.network(inputs)[:, 3].sum(), inputs)

    def ours() -> None:
        ddn(Criterion(model, predicted), pixels, lambda share: None, norm="l2", steps=STEPS)

    attack_seconds, bare_seconds = [], []
    for _ in range(ROUNDS):
        bare_seconds.append(_seconds(bare))
        attack_seconds.append(_seconds(ours))
    return min(attack_seconds) / min(bare_seconds)


def _lengths() -> dict[str, float]:
    """Return medians over twenty digits, each over the median of the peer's changes."""
    weights = _installed("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    images = tuple(map(file_at, sorted(_installed("foolbox", "foolbox/data").glob("mnist_*.png"))))
    source = ModelSource(file_at(weights))
    model, runner = open_model(source, ()).classifier(None), LocalRunner()
    medians, pixels = {}, torch.empty(0)
    for method in ("adversarial/smallest", "adversarial/ddn"):
        result = runner.run(Request(method, source, images))
        answer: AdversarialAnswer = result.scores
        rows = [torch.from_numpy(result.arrays[f"{row}/pixels"]) for row in range(len(images))]
        pixels = torch.stack(rows).movedim(3, 1).contiguous()
        distances = [image["l2"]["distance"] for image in answer["images"]]
        finite = [float("inf") if distance is None else distance for distance in distances]
        medians[method] = torch.tensor(finite).median()
    peer = (foolbox_deepfool(model, pixels) - pixels).flatten(1).norm(dim=1)
    return {method: float(median / peer.median()) for method, median in medians.items()}


def _installed(package: str, path: str) -> Path:
    return Path(str(distribution(package).locate_file(path)))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
