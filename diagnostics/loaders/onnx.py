"""Read ONNX: the graph is turned into a torch network and held against onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError, OutputError
from diagnostics.loaders import assumptions
from diagnostics.loaders._onnx_graph import OnnxModel, parse
from diagnostics.loaders._onnx_runtime import Runtime, RuntimeNetwork
from diagnostics.loaders.graph_network import network_of
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.refusals import is_message
from diagnostics.loaders.registry import loader
from diagnostics.models.ending import ending_of_graph
from diagnostics.models.outputs import relative_difference
from diagnostics.schema.spec import Check

ARCHITECTURE = "onnx"
SEVERAL = Check(
    "output", "warned", "Several of its outputs look like class scores; the first is taken."
)
QUANTISED = (
    "The network rounds its values to 8 bits, which onnxruntime's fused kernels do otherwise than "
    "the graph says, so torch's answers would not be true."
)
TOLERANCE = 1e-4  # of the largest score
FUSION_IMAGES = 8
HALF_TOLERANCE = 2e-2  # what onnxruntime rounds away in half precision


def matches(file: Preview) -> bool:
    """Say whether a file begins with a version of ONNX, and soon names its producer or graph."""
    version, field = file.head[1:2], file.head[2:3]
    begins = file.head[:1] == b"\x08" and version < b"\x20" and field in (b"\x12", b"\x3a", b"\x1a")
    return begins and not is_message(file.head, 2)


@loader("ONNX", matches, files="ONNX", brings_network=True)
def read(path: Path) -> LoadedNetwork:
    """Return the network of an ONNX file: torch's, or onnxruntime's where torch has none.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    model = parse(path)
    message = f"The file holds its network: {len(model.graph.nodes)} operations."
    several = (SEVERAL,) if model.has_several_outputs else ()
    ending = ending_of_graph(model.graph)
    try:
        if model.is_quantised:
            raise ModelError(QUANTISED)
        return replace(_converted(path, model, message, several), ending=ending)
    except OutputError:
        raise  # whoever computes it
    except ModelError as error:
        try:
            runtime = Runtime(path, model)
        except ModelError as refusal:
            raise (refusal if model.is_quantised else error) from None
        loaded = _run(runtime, model, message, (_without_gradients(error), *several))
        return replace(loaded, ending=ending)


def _without_gradients(reason: ModelError) -> Check:
    return Check("gradients", "warned", f"{reason} onnxruntime computes it, without gradients.")


def _run(
    runtime: Runtime, model: OnnxModel, message: str, checks: tuple[Check, ...]
) -> LoadedNetwork:
    """Return the network as onnxruntime computes it."""
    loaded = assumptions.loaded_network(
        RuntimeNetwork(runtime),
        ARCHITECTURE,
        model.sides,
        message,
        checks,
        takes_bytes=model.takes_bytes,
    )
    floats = [tensor for tensor in model.graph.constants.values() if tensor.is_floating_point()]
    fusion = _fusion(runtime, model, _random_images(loaded, model, FUSION_IMAGES))
    return replace(
        loaded,
        checks=(*loaded.checks, *fusion),
        parameters=sum(tensor.numel() for tensor in floats),
    )


def _fusion(runtime: Runtime, model: OnnxModel, images: Tensor) -> tuple[Check, ...]:
    """Say how far the layers are from the answer, which is computed of fused layers."""
    try:
        fused, unfused = (
            torch.from_numpy(scores).double()
            for scores in (runtime.scores(images), runtime.unfused_scores(images))
        )
    except ModelError:
        return ()
    difference = relative_difference(unfused, fused)
    if difference <= TOLERANCE and not model.is_quantised:
        return ()
    message = (
        "The answer is that of a default session of onnxruntime, which fuses layers; what each "
        f"layer gives is computed without fusing, and on {len(images)} images of noise the answer "
        f"would then differ by up to {difference:.1e} of the largest."
    )
    return (Check("fusion", "warned", message),)


def _random_images(loaded: LoadedNetwork, model: OnnxModel, count: int = 2) -> Tensor:
    candidate = loaded.candidate
    size = (candidate.channels, candidate.height, candidate.width)
    images = torch.rand(count, *size, generator=torch.Generator().manual_seed(0))
    return (images * 127).round() if model.takes_bytes else images


def _converted(
    path: Path, model: OnnxModel, message: str, several: tuple[Check, ...]
) -> LoadedNetwork:
    """Return the network as torch computes it."""
    network, checks = network_of(model.graph, model.batch)
    loaded = assumptions.loaded_network(
        network,
        ARCHITECTURE,
        model.sides,
        message,
        (*several, *checks),
        takes_bytes=model.takes_bytes,
    )
    first, *others = loaded.checks
    images = _random_images(loaded, model)
    return replace(loaded, checks=(first, _compared(path, model, network, images), *others))


def _compared(path: Path, model: OnnxModel, network: nn.Module, images: Tensor) -> Check:
    """Hold the network against onnxruntime on random images.

    Raises:
        ModelError: When they differ: no picture of such a network would be true.
    """
    try:
        scores = Runtime(path, model).scores(images)
    except ModelError as error:
        return Check("conversion", "warned", f"Nothing compares: {error}")
    with torch.no_grad():
        ours, theirs = network(images).double(), torch.from_numpy(scores).double()
    if ours.shape != theirs.shape:
        raise ModelError(
            f"Computed with torch the network gives {list(ours.shape)}, and onnxruntime gives "
            f"{list(theirs.shape)}, so torch's would not be true."
        )
    difference = relative_difference(ours, theirs)
    if not difference <= (HALF_TOLERANCE if model.is_half else TOLERANCE):
        raise ModelError(
            f"Computed with torch the network's answers differ from onnxruntime's by "
            f"{difference:.1e} of the largest, so torch's would not be true."
        )
    within = max(difference, 1e-9)
    return Check("conversion", "passed", f"The same answers as onnxruntime's, within {within:.0e}.")
