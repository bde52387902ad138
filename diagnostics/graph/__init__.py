"""Networks that come as a graph of operations: each node a layer, gradients and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Args:
        operator: Name of the operation, as in ONNX: "Conv".
        name: Unique in the graph; what people read.
        inputs: Names of the values it takes; empty for one that is left out.
        outputs: Names of the values it gives.
        attributes: Settings by name.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A network as a graph with one input and one output.

    Args:
        nodes: In an order in which they can run.
        constants: Values that are known, by name: weights, shapes.
        input: Name of the images' value.
        output: Name of the class scores.
        version: Version of the operators, ONNX's opset.
        channels_last: Whether the images go in as (n, h, w, c).
        one_image: Whether the graph was written for one image at a time.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    input: str
    output: str
    version: int
    channels_last: bool = False
    one_image: bool = False
