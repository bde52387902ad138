"""Read ONNX: the graph is turned into a torch network and held against onnxruntime."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.errors import ArchitectureError, ModelError
from diagnostics.graph import Graph
from diagnostics.graph.network import GraphError, GraphNetwork
from diagnostics.loaders.onnx_graph import Written, parse
from diagnostics.preprocessing import Preprocessing
from diagnostics.presets import PRESETS
from diagnostics.spec import Candidate, Check, Fit

ARCHITECTURE = "onnx"
SIDES = ((224, 224), (32, 32), (28, 28), (256, 256), (299, 299), (384, 384), (64, 64), (48, 192))
LEAST_OF_PHOTOS = 128  # px; smaller inputs are seldom photographs normalised as ImageNet's
TOLERANCE, SMALLEST = 1e-4, 1e-6


@dataclass(frozen=True)
class Read:
    """What an ONNX file holds.

    Args:
        network: Its graph, to be run with torch.
        candidate: The one network there is.
        checks: What was looked at.
    """

    network: GraphNetwork
    candidate: Candidate
    checks: tuple[Check, ...]


def read(path: Path) -> Read:
    """Return the network of an ONNX file.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    written = parse(path)
    network = GraphNetwork(written.graph)
    (channels, height, width), outputs = _tried(network, written)
    assumed = _assumed(written.whole, channels, height, width)
    count, version = len(written.graph.nodes), written.graph.version
    message = f"The file holds its network: {count} operations, opset {version}."
    candidate = Candidate(
        ARCHITECTURE, Fit.EXACT, outputs, channels, height, width, assumed, message
    )
    unsaid = (
        "An ONNX file does not say how its images were prepared; assumed is "
        f"{assumed.summary}. Set what your training used."
    )
    checks = [
        Check("network", "passed", message),
        _compared(path, written.graph, network, (channels, height, width)),
        Check("preprocessing", "warned", unsaid),
    ]
    if written.height is None or written.width is None:
        opened = (
            f"The file leaves the size of its input open; {width} × {height} px runs and is taken. "
            "Set width and height where you trained with others."
        )
        checks.append(Check("input", "warned", opened))
    return Read(network, candidate, tuple(checks))


def demand(wanted: str | None) -> None:
    """Hold a person who named a network to the one in the file.

    Raises:
        ArchitectureError: When it is another one.
    """
    if wanted not in (None, ARCHITECTURE):
        raise ArchitectureError(
            f"An ONNX file holds its own network, so {wanted} cannot be chosen; leave the name out."
        )


def _tried(network: GraphNetwork, written: Written) -> tuple[tuple[int, int, int], int]:
    """Return the size of the images that the network takes, and how many scores it gives."""
    channels, height, width = written.channels, written.height, written.width
    fixed = height is not None and width is not None
    sides = [(height or 1, width or 1)] if fixed else SIDES
    problem = ""
    for rows, columns in sides:
        images = torch.zeros(2, channels or 3, height or rows, width or columns)
        try:
            with torch.no_grad():
                scores = network(images)
        except GraphError as error:
            problem = problem or str(error)
            continue
        return (images.shape[1], images.shape[2], images.shape[3]), _classes(scores)
    raise ModelError(f"The network does not run: {problem[:160]}.")


def _classes(scores: Tensor) -> int:
    flat = scores.flatten(1) if scores.ndim > 2 and scores.shape[2:].numel() == 1 else scores
    if flat.ndim != 2:
        raise ModelError(
            "A classifier gives one row of class scores per image, shape [n, classes]; this "
            f"network gave {list(scores.shape)}, so it is not an image classifier."
        )
    return flat.shape[1]


def _assumed(whole: bool, channels: int, height: int, width: int) -> Preprocessing:
    """Return the preprocessing that is most usual for such an input; no file says it."""
    shortest = min(height, width)
    photos = shortest >= LEAST_OF_PHOTOS
    plain = Preprocessing(
        height=height,
        width=width,
        resize_px=round(shortest * 256 / 224) if photos else shortest,
        fit="crop" if height == width else "stretch",
        colour=channels == 3,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    usual = "imagenet" if channels == 3 and photos else "unit"
    return PRESETS["raw" if whole else usual].applied_to(plain)


def _runtime() -> Any:
    """Import onnxruntime so that it keeps to itself: its builds report use to their maker."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime


def _compared(path: Path, graph: Graph, network: GraphNetwork, size: tuple[int, int, int]) -> Check:
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
        whole = "float" not in taken.type
        images = (images * 255).round() if whole else images
        fed = (images.permute(0, 2, 3, 1) if graph.channels_last else images).numpy()
        kind = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(
            taken.type, np.float32
        )
        step = 1 if graph.one_image else 2
        parts = [
            session.run([graph.output], {taken.name: fed[at : at + step].astype(kind)})[0]
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
    if not off <= TOLERANCE:
        raise ModelError(
            f"Computed with torch the network's answers differ from onnxruntime's by {off:.1e} of "
            "the largest; it is not shown, because its pictures would not be true."
        )
    return Check(
        "conversion", "passed", f"The same answers as onnxruntime's, within {max(off, 1e-9):.0e}."
    )
