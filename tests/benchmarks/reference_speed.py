"""What a reference costs: beside the bare forward pass, and in memory as images grow many."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torchvision.models import resnet18

from diagnostics.loaders.open import open_live
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size, extract_features
from diagnostics.reference.statistics import ReferenceBuilder
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource

SMALL, LARGE = 1_000, 60_000
IMAGES = 256
ROUNDS = 5
THIS = "tests.benchmarks.reference_speed"


def figures() -> Iterator[tuple[str, float, float, str]]:
    """Yield what was measured, the value, its limit and its unit."""
    yield "a reference on ResNet-18 at 224 px beside the bare forward pass", _ratio(), 1 / 0.9, "x"
    small, large = (_memory(count) for count in (SMALL, LARGE))
    yield f"memory of a reference of {LARGE:,} images beside {SMALL:,}", large - small, 100, "MiB"


def _ratio() -> float:
    """Return the time of a reference's passes, over that of bare passes at the best batch size."""
    torch.manual_seed(0)
    classifier = _classifier(resnet18(), Preprocessing())
    pixels = torch.rand(IMAGES, 3, 224, 224)
    labels = torch.zeros(IMAGES, dtype=torch.int64)
    bare, gathered = [], []
    for _ in range(ROUNDS):  # in turn: what else the machine does then slows both
        bare += [_seconds(lambda n=size: _bare(classifier, pixels, n)) for size in (4, 8, 16)]
        gathered.append(_seconds(lambda: _gathered(classifier, pixels, labels)))
    return min(gathered) / min(bare)


def _gathered(classifier: TorchClassifier, pixels: torch.Tensor, labels: torch.Tensor) -> None:
    gathering = ReferenceBuilder(classifier)
    for start in range(0, len(pixels), batch_size(classifier)):
        part = pixels[start : start + batch_size(classifier)]
        gathering.add(
            extract_features(classifier, part), labels[: len(part)], part, start // len(part) % 2
        )


@torch.no_grad()
def _bare(classifier: TorchClassifier, pixels: torch.Tensor, size: int) -> None:
    for part in torch.split(pixels, size):
        classifier.logits(part)


def _seconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _memory(count: int) -> float:
    """Return the largest memory of a process that measures so many small images, in MiB."""
    done = subprocess.run(
        [sys.executable, "-m", THIS, str(count)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def _classifier(network: torch.nn.Module, settings: Preprocessing) -> TorchClassifier:
    source = ModelSource(File("", "0" * 64, "benchmark"))
    return open_live(source, network, settings).classifier()


def _measure(count: int) -> None:
    """Measure that many images, made as they are needed, and print the largest memory in MiB."""
    from scripts import train_fashion

    settings = Preprocessing(
        colour=False, fit="none", height=28, width=28, mean=(0.286,), std=(0.353,)
    )
    classifier = _classifier(train_fashion.load("fashion_cnn"), settings)
    gathering, random = ReferenceBuilder(classifier), np.random.default_rng(0)
    for start in range(0, count, 256):
        size = min(256, count - start)
        pixels = torch.from_numpy(random.random((size, 1, 28, 28), np.float32))
        labels = torch.from_numpy(random.integers(0, 10, size))
        gathering.add(extract_features(classifier, pixels), labels, pixels, start // 256 % 2)
    gathering.build({})
    status = Path("/proc/self/status").read_text("utf-8")  # getrusage would count the parent in
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    _measure(int(sys.argv[1]))
