"""What Inspect computes beside one bare pass, and ONNX files beside onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from diagnostics.data import samples
from diagnostics.execution.inspection import InspectionRequest, inspect
from diagnostics.loaders.open import open_model
from diagnostics.schema.request import ModelSource
from tests.benchmarks import bare
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import PHOTO_NETWORKS, Timed, choose_engine, letters, resnet18
from tests.benchmarks.timing import beside, in_turn

INSPECT_LIMIT, GRAPH_LIMIT = 1.3, 1.1
COUNTS = (1, 8)


def figures() -> Iterator[Figure]:
    """Yield Inspect on every network, and an ONNX file."""
    for make in (*PHOTO_NETWORKS, letters):
        yield inspection(make())
    yield from graphs(resnet18())


def inspection(timed: Timed) -> Figure:
    """Return the price of everything that Inspect shows of one image by default."""
    pixels, both = timed.pixels(1), bare.best_both(timed.network, timed.shape, (1,))

    def ours() -> None:
        inspect(timed.classifier, pixels, InspectionRequest())

    ours()
    return beside(
        f"Inspect, one image, on {timed.name}, beside one bare pass forward and back",
        *in_turn(ours, lambda: both.run(1), seconds=2),
        limit=INSPECT_LIMIT,
        engine=both.engine,
        threads=torch.get_num_threads(),
    )


def graphs(timed: Timed) -> Iterator[Figure]:
    """Yield how an opened ONNX file answers, beside the fastest engine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        path.write_bytes(bare.onnx_bytes(timed.network, timed.shape))
        classifier = open_model(ModelSource(samples.file_at(path)), ()).classifier()
    choose_engine(classifier)
    for count in COUNTS:
        pixels = timed.pixels(count)
        forward = bare.best_forward(timed.network, timed.shape, (count,))
        ours = torch.no_grad()(classifier.logits)
        ours(pixels)
        yield beside(
            f"logits of an ONNX file of {timed.name}, {count} at once, beside bare passes",
            *in_turn(lambda: ours(pixels), lambda: forward.run(count)),  # noqa: B023
            limit=GRAPH_LIMIT,
            engine=forward.engine,
            threads=torch.get_num_threads(),
        )
