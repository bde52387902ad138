"""Read ONNX: the graph is turned into a torch network and held against onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from diagnostics.errors import ModelError, OutputError
from diagnostics.loaders import assumptions
from diagnostics.loaders.graph_network import network_of
from diagnostics.loaders.loaded import Held
from diagnostics.loaders.onnx_graph import Written, parse
from diagnostics.loaders.onnx_runtime import Runtime, RuntimeNetwork
from diagnostics.schema.spec import Check

ARCHITECTURE = "onnx"
SEVERAL = Check(
    "output", "warned", "Several of its outputs look like class scores; the first is taken."
)
TOLERANCE, SMALLEST = 1e-4, 1e-6
OF_HALVES = 2e-2  # what onnxruntime rounds away in half precision


def read(path: Path) -> Held:
    """Return the network of an ONNX file: torch's, or onnxruntime's where torch has none.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    written = parse(path)
    sides = (written.channels, written.height, written.width)
    message = f"The file holds its network: {len(written.graph.nodes)} operations."
    more = (SEVERAL,) * written.several
    try:
        network, checks = network_of(written.graph, written.batch)
        checks = (*more, *checks)
        found = assumptions.held(network, ARCHITECTURE, sides, message, checks, whole=written.whole)
        size = found.candidate.channels, found.candidate.height, found.candidate.width
        compared = _compared(path, written, network, size)
        return replace(found, checks=(found.checks[0], compared, *found.checks[1:]))
    except OutputError:
        raise  # whoever computes it
    except ModelError as error:
        try:
            runtime = RuntimeNetwork(Runtime(path, written))
        except ModelError:
            raise error from None
        missing = Check(
            "gradients", "warned", f"{error} onnxruntime computes it, without gradients."
        )
        found = assumptions.held(
            runtime, ARCHITECTURE, sides, message, [missing, *more], whole=written.whole
        )
        floats = [one for one in written.graph.constants.values() if one.is_floating_point()]
        return replace(found, parameters=sum(one.numel() for one in floats))


def _compared(
    path: Path, written: Written, network: nn.Module, size: tuple[int, int, int]
) -> Check:
    """Hold the network against onnxruntime on random images.

    Raises:
        ModelError: When they differ: no picture of such a network would be true.
    """
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    images = (images * 127).round() if written.whole else images
    try:
        theirs = Runtime(path, written).run(images, ())[0].astype(np.float64)
    except ModelError as error:
        return Check("conversion", "warned", f"Nothing compares: {error}")
    with torch.no_grad():
        ours = network(images).double().numpy()
    if ours.shape != theirs.shape:
        raise ModelError(
            f"Computed with torch the network gives {list(ours.shape)}, and onnxruntime gives "
            f"{list(theirs.shape)}, so torch's would not be true."
        )
    off = float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), SMALLEST))
    if not off <= (OF_HALVES if written.half else TOLERANCE):
        raise ModelError(
            f"Computed with torch the network's answers differ from onnxruntime's by {off:.1e} of "
            "the largest, so torch's would not be true."
        )
    return Check(
        "conversion", "passed", f"The same answers as onnxruntime's, within {max(off, 1e-9):.0e}."
    )
