"""Bare passes: the network alone, as fast as this machine passes images through it.

Which way is the best is found once for each network, and taken for every part of a run.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial

import onnxruntime
import torch
from torch import Tensor, nn

from diagnostics.models.classifier import TorchClassifier
from tests.benchmarks.timing import quickest

Shape = tuple[int, int, int]
Forward = Callable[[Tensor], object]

PHOTO_BATCHES, SMALL_BATCHES = (1, 2, 4, 8), (8, 16, 32, 64, 128, 256)
SMALL_PX = 64
BESIDE = "onnxruntime, a thread a batch"  # as many batches beside each other as there are threads


@dataclass(frozen=True)
class Bare:
    """One way of passing images.

    Args:
        engine: Its name, and how many images at once.
        batch: How many images at once.
        run: Passes so many images.
    """

    engine: str
    batch: int
    run: Callable[[int], None]


class Asked(TorchClassifier):
    """A classifier that counts how many images it is asked about.

    Args:
        classifier: The classifier.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self.__dict__.update(vars(classifier))
        self.forward = self.both = 0

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits, and count the images: forward alone, or forward and back."""
        if torch.is_grad_enabled() and pixels.requires_grad:
            self.both += len(pixels)
        else:
            self.forward += len(pixels)
        return super().logits(pixels)


@cache
def best_forward(network: nn.Module, shape: Shape, batches: tuple[int, ...] = ()) -> Bare:
    """Return the fastest way forward: the best of all engines and batch sizes.

    Args:
        network: Any.
        shape: Of an image.
        batches: Which batch sizes are tried; none tries those that suit the size of the images.
    """
    return _best(forward_engines(network, shape), shape, batches)


@cache
def best_torch(network: nn.Module, shape: Shape, batches: tuple[int, ...] = ()) -> Bare:
    """Return the fastest way forward with torch, as anybody calls a network."""
    return _best({"torch": torch.no_grad()(network)}, shape, batches)


@cache
def best_both(network: nn.Module, shape: Shape, batches: tuple[int, ...] = ()) -> Bare:
    """Return the fastest way forward and back, to the pixels."""
    return _best(gradient_engines(network), shape, batches)


def forward_engines(network: nn.Module, shape: Shape) -> dict[str, Forward]:
    """Return what passes images forward without gradients, by name."""
    torch_engines = {
        name: torch.no_grad()(arranged) for name, arranged in _arranged(network).items()
    }
    content, threads = onnx_bytes(network, shape), torch.get_num_threads()
    sessions = {"onnxruntime": _session(content, threads)}
    if threads > 1:
        sessions[BESIDE] = _session(content, 1)
    return {**torch_engines, **{name: _runs(session) for name, session in sessions.items()}}


def gradient_engines(network: nn.Module) -> dict[str, Forward]:
    """Return what passes images forward and back, by name."""

    def both(arranged: nn.Module, images: Tensor) -> None:
        inputs = images.detach().requires_grad_()
        torch.autograd.grad(arranged(inputs)[:, 0].sum(), inputs)

    return {name: partial(both, arranged) for name, arranged in _arranged(network).items()}


def _arranged(network: nn.Module) -> dict[str, nn.Module]:
    frozen = deepcopy(network).eval().requires_grad_(False)
    last: nn.Module = deepcopy(frozen).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {"torch": frozen.to(memory_format=torch.contiguous_format), "channels-last": last}  # type: ignore[call-overload]


def _best(engines: Mapping[str, Forward], shape: Shape, batches: Sequence[int]) -> Bare:
    tried = batches or (SMALL_BATCHES if shape[1] <= SMALL_PX else PHOTO_BATCHES)
    ways = [_way(name, engine, shape, batch) for name, engine in engines.items() for batch in tried]
    for way in ways:
        way.run(way.batch)  # the first go prepares what later ones find
    return ways[quickest([partial(way.run, max(tried)) for way in ways])]


def _way(name: str, forward: Forward, shape: Shape, batch: int) -> Bare:
    images = torch.rand(batch, *shape)

    def run(count: int) -> None:
        parts = [images[: min(batch, count - start)] for start in range(0, count, batch)]
        if name == BESIDE:
            with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                list(pool.map(forward, parts))
        else:
            for part in parts:
                forward(part)

    return Bare(f"{name}, {batch} at once", batch, run)


def onnx_bytes(network: nn.Module, shape: Shape) -> bytes:
    """Return the network as an ONNX file, for any number of images."""
    file = io.BytesIO()
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deepcopy(network).eval(),
            (torch.rand(2, *shape),),
            file,
            dynamo=False,
            input_names=["images"],
            dynamic_axes={"images": {0: "n"}},
        )
    return file.getvalue()


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return what onnxruntime runs, whose threads do not wait busily: others are timed after it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _runs(session: onnxruntime.InferenceSession) -> Forward:
    return lambda images: session.run(None, {"images": images.numpy()})
