"""How small the changes are beside those of foolbox's attacks, on digits."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import torch

from diagnostics.data.samples import file_at
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders.open import open_model
from diagnostics.schema.request import ModelSource, Request
from diagnostics.schema.results.adversarial import AdversarialAnswer
from tests.benchmarks.figure import Figure
from tests.independent.slow_adversarial import foolbox_deepfool

METHODS = ("adversarial/smallest", "adversarial/ddn")
LIMIT = 1.0


def figures() -> Iterator[Figure]:
    """Yield medians over twenty digits, each over the median of the peer's changes."""
    weights = _installed("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    images = tuple(map(file_at, sorted(_installed("foolbox", "foolbox/data").glob("mnist_*.png"))))
    source = ModelSource(file_at(weights))
    model, runner = open_model(source, ()).classifier(None), LocalRunner()
    peer_median = None
    for method in METHODS:
        result = runner.run(Request(method, source, images))
        answer: AdversarialAnswer = result.scores
        if peer_median is None:
            rows = [torch.from_numpy(result.arrays[f"{row}/pixels"]) for row in range(len(images))]
            pixels = torch.stack(rows).movedim(3, 1).contiguous()
            peer = foolbox_deepfool(model, pixels) - pixels
            peer_median = float(peer.flatten(1).norm(dim=1).median())
        distances = [image["l2"]["distance"] for image in answer["images"]]
        finite = [float("inf") if distance is None else distance for distance in distances]
        ratio = float(torch.tensor(finite).median()) / peer_median
        what = f"median L2 of {method} over that of DeepFool as foolbox has it"
        yield Figure(what, ratio, "x", limit=LIMIT, n=len(images), of="digits")


def _installed(package: str, path: str) -> Path:
    return Path(str(distribution(package).locate_file(path)))
