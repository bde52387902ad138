"""Read ONNX: the graph is turned into a torch network and held against onnxruntime."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diagnostics.errors import ModelError
from diagnostics.graph.network import GraphError, GraphNetwork
from diagnostics.loaders import unsaid
from diagnostics.loaders.held import Held
from diagnostics.loaders.onnx_graph import Written, parse
from diagnostics.spec import Candidate, Check, Fit

ARCHITECTURE = "onnx"
TOLERANCE, SMALLEST = 1e-4, 1e-6
OF_HALVES = 2e-2  # what onnxruntime rounds away in half precision
TYPES: dict[str, type[np.generic]] = {
    **{"tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int32)": np.int32},
    **{"tensor(int64)": np.int64, "tensor(double)": np.float64, "tensor(float16)": np.float16},
}


def read(path: Path) -> Held:
    """Return the network of an ONNX file.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    written = parse(path)
    try:
        network = GraphNetwork(written.graph)
    except GraphError as error:
        raise ModelError(f"The graph cannot be computed: {str(error)[:160]}.") from None
    open_size = written.height is None or written.width is None
    size, outputs = unsaid.tried(network, written.channels, written.height, written.width)
    settings = unsaid.assumed(size, whole=written.whole)
    count, version = len(written.graph.nodes), written.graph.version
    message = f"The file holds its network: {count} operations, opset {version}."
    candidate = Candidate(ARCHITECTURE, Fit.EXACT, outputs, *size, settings, message)
    checks = (
        Check("network", "passed", message),
        _compared(path, written, network, size),
        *unsaid.warnings(settings, open_size=open_size),
    )
    return Held(network, candidate, checks)


def _runtime() -> Any:
    """Import onnxruntime so that it keeps to itself: its builds report use to their maker."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime


def _compared(
    path: Path, written: Written, network: GraphNetwork, size: tuple[int, int, int]
) -> Check:
    """Hold the network against onnxruntime on random images.

    Raises:
        ModelError: When they differ: no picture of such a network would be true.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        message = "Not compared with onnxruntime, which is not installed."
        return Check("conversion", "warned", message)
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        taken = session.get_inputs()[0]
        images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
        images = (images * 127).round() if written.whole else images
        fed = (images.permute(0, 2, 3, 1) if written.graph.channels_last else images).numpy()
        kind = TYPES.get(taken.type, np.float32)
        step = 1 if written.graph.one_image else 2
        parts = [
            session.run([written.graph.output], {taken.name: fed[at : at + step].astype(kind)})[0]
            for at in range(0, 2, min(step, 2))
        ]
    except Exception as error:  # whatever its C++ raises
        message = f"onnxruntime does not run this file ({str(error)[:100]}), so nothing compares."
        return Check("conversion", "warned", message)
    theirs = np.concatenate(parts).astype(np.float64)
    with torch.no_grad():
        ours = network(images).double().numpy()
    if ours.shape != theirs.shape:
        raise ModelError(
            f"Computed with torch the network gives {list(ours.shape)}, and onnxruntime gives "
            f"{list(theirs.shape)}; it is not shown, because its pictures would not be true."
        )
    off = float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), SMALLEST))
    if not off <= (OF_HALVES if written.half else TOLERANCE):
        raise ModelError(
            f"Computed with torch the network's answers differ from onnxruntime's by {off:.1e} of "
            "the largest; it is not shown, because its pictures would not be true."
        )
    return Check(
        "conversion", "passed", f"The same answers as onnxruntime's, within {max(off, 1e-9):.0e}."
    )
