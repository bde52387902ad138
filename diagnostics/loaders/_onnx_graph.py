"""Turn the bytes of an ONNX file into a graph, or refuse them: nothing else is opened or run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.errors import ModelError
from diagnostics.models.graph import Graph, Node
from diagnostics.models.graph.operators import ONNX
from diagnostics.models.graph.shaping import TYPES
from diagnostics.versions import lacking

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

MAX_BYTES = 2 * 2**30
MAX_NODES = 50_000
MAX_CONSTANT_BYTES = 2**31
MAX_ENTRIES = 1_000_000  # inputs, outputs and numbers in attributes, of all nodes together
DOMAINS = ("", "ai.onnx")
GRAPHS = (5, 10)  # types of attributes that hold graphs: loops and branches
TENSOR = 4  # type of an attribute
HALVES = (10, 16)  # element types
INTEGERS = (2, 3, 6, 7)  # element types
INSTALL = "Install what is missing with: pip install 'oversure[onnx]'."


@dataclass(frozen=True)
class OnnxModel:
    """A graph, and what the file says of its images.

    Args:
        graph: The graph.
        channels: Of the images; None where the file leaves it open.
        height: In px; None where the file leaves it open.
        width: In px.
        batch: For how many images it was written; None for any number.
        takes_bytes: Whether the images go in as whole numbers, 0 to 255.
        has_several_outputs: Whether more than one output looks like class scores.
        is_half: Whether anything was written in half precision, which is computed in single here.
        is_quantised: Whether values are rounded to whole numbers on the way.
    """

    graph: Graph
    channels: int | None
    height: int | None
    width: int | None
    batch: int | None
    takes_bytes: bool
    has_several_outputs: bool = False
    is_half: bool = False
    is_quantised: bool = False

    @property
    def sides(self) -> tuple[int | None, int | None, int | None]:
        """Channels, height and width of the images; None for what the file leaves open."""
        return self.channels, self.height, self.width


def parse(path: Path) -> OnnxModel:
    """Return what an ONNX file holds.

    Raises:
        ModelError: When the file is refused, damaged, or takes anything but one image.
    """
    model = _parsed(path)
    _refuse_unsafe(model)
    return _graph(model)


def _parsed(path: Path) -> ModelProto:
    lacks = lacking("onnx")
    if lacks:
        raise ModelError(f"This is an ONNX model, and {lacks}. {INSTALL}")
    import onnx
    from google.protobuf.message import DecodeError

    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelError(f"The file has {size / 2**30:.1f} GiB; ONNX files have at most 2 GiB.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise ModelError(
            "The ONNX file is cut off, damaged or nested too deeply; export it again."
        ) from None
    if not model.graph.node or not model.graph.output:
        raise ModelError("The ONNX file holds no network: its graph is empty.")
    return model


def _refuse_unsafe(model: ModelProto) -> None:
    """Refuse what reads other files, runs for ever, or is no standard operator.

    Raises:
        ModelError: When the file holds such a thing.
    """
    if len(model.graph.node) > MAX_NODES:
        raise ModelError(
            f"The graph has {len(model.graph.node)} nodes; at most {MAX_NODES} are read."
        )
    entries = sum(map(_entries, model.graph.node)) + len(model.graph.initializer)
    if entries > MAX_ENTRIES:
        raise ModelError(
            f"The graph's nodes have {entries:,} inputs, outputs and settings; at most "
            f"{MAX_ENTRIES:,} are read."
        )
    if model.functions:
        raise ModelError("The file defines functions of its own; export it without them.")
    for tensor in _tensors(model.graph):
        if tensor.data_location != 0 or tensor.external_data:
            raise ModelError(
                "The weights lie in another file beside this one, which is not opened; save them "
                "into one file: onnx.save(model, path, save_as_external_data=False)."
            )
        if tensor.data_type not in TYPES:
            raise ModelError(f"The tensor {tensor.name[:60]!r} has a type that is not computed.")
        if any(side < 0 for side in tensor.dims) or _bytes(tensor.dims) > MAX_CONSTANT_BYTES:
            raise ModelError(f"The tensor {tensor.name[:60]!r} claims a shape that is too large.")
    _refuse_strange_nodes(model.graph)


def _refuse_strange_nodes(graph: GraphProto) -> None:
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise ModelError(
                f"The operator {node.op_type[:40]!r} of {node.domain[:40]!r} is no standard ONNX; "
                "export the model with standard operators."
            )
        if any(attribute.type in GRAPHS for attribute in node.attribute):
            raise ModelError(
                f"The operator {node.op_type[:40]!r} holds a graph of its own, a loop or a branch; "
                "export the model for a fixed input, without control flow."
            )


def _entries(node: NodeProto) -> int:
    settings = (
        1 + len(attribute.ints) + len(attribute.floats) + len(attribute.strings)
        for attribute in node.attribute
    )
    return len(node.input) + len(node.output) + sum(settings)


def _tensors(graph: GraphProto) -> Iterator[Any]:
    attributes = (attribute for node in graph.node for attribute in node.attribute)
    inside = (attribute.t for attribute in attributes if attribute.type == TENSOR)
    yield from chain(graph.initializer, inside)
    if graph.sparse_initializer:
        raise ModelError("The file holds sparse tensors; export it with dense ones.")


def _bytes(sides: Sequence[int]) -> int:
    total = 8
    for side in sides:
        total *= side
    return total


def _graph(model: ModelProto) -> OnnxModel:
    proto = model.graph
    constants = {tensor.name: _tensor(tensor) for tensor in proto.initializer}
    inputs = [value for value in proto.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"An image classifier takes one image; this network takes {len(inputs)} inputs."
        )
    sides = [_side(dimension) for dimension in inputs[0].type.tensor_type.shape.dim]
    if len(sides) != 4:
        raise ModelError(
            f"An image classifier takes images of shape [n, c, h, w]; this network takes "
            f"{_shape_text(inputs[0])}, so it is not one."
        )
    last = sides[3] in (1, 3) and sides[1] not in (1, 3)
    if not last and sides[1] not in (1, 3, None):
        raise ModelError(
            f"Images have one channel or three; this network takes {_shape_text(inputs[0])}."
        )
    versions = [opset.version for opset in model.opset_import if opset.domain in DOMAINS]
    version = max(versions, default=0)
    nodes = [_node(node, version) for node in proto.node]
    graph = Graph(
        nodes=_in_order(nodes),
        constants=constants,
        input=inputs[0].name,
        output=_output(proto.output).name,
        language=ONNX,
        channels_last=last,
        one_image=sides[0] == 1,
    )
    flat = [value for value in proto.output if len(value.type.tensor_type.shape.dim) == 2]
    several = len(flat) > 1 and all(value.name != "logits" for value in flat)
    image_type = inputs[0].type.tensor_type.elem_type
    types = {image_type, *(tensor.data_type for tensor in proto.initializer)}
    channels, height, width = (sides[axis] for axis in ((3, 1, 2) if last else (1, 2, 3)))
    return OnnxModel(
        graph=graph,
        channels=channels,
        height=height,
        width=width,
        batch=sides[0],
        takes_bytes=image_type in INTEGERS,
        has_several_outputs=several,
        is_half=bool(types & set(HALVES)),
        is_quantised=any(
            node.operator == "QuantizeLinear" and node.inputs[0] not in constants for node in nodes
        ),
    )


def _in_order(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return nodes behind those whose values they take, and as they stand otherwise.

    Raises:
        ModelError: When nodes wait for each other.
    """
    made_by = {value: i for i, node in enumerate(nodes) for value in node.outputs if value}
    takers: dict[int, list[int]] = defaultdict(list)
    missing: list[int] = []
    for position, node in enumerate(nodes):
        makers = {made_by[value] for value in node.inputs if value in made_by}
        missing.append(len(makers))
        for maker in makers:
            takers[maker].append(position)
    ready = [position for position, count in enumerate(missing) if not count]
    ordered: list[Node] = []
    while ready:
        position = heappop(ready)
        ordered.append(nodes[position])
        for taker in takers[position]:
            missing[taker] -= 1
            if not missing[taker]:
                heappush(ready, taker)
    if len(ordered) < len(nodes):
        raise ModelError(
            "The graph runs in a circle: nodes take each other's values; export the model again."
        )
    return tuple(ordered)


def _output(outputs: Sequence[ValueInfoProto]) -> ValueInfoProto:
    """Return the output that looks like class scores: "logits", or the first of shape (n, k)."""
    flat = [value for value in outputs if len(value.type.tensor_type.shape.dim) == 2]
    return next((value for value in outputs if value.name == "logits"), (flat or outputs)[0])


def _side(dimension: Any) -> int | None:
    return int(dimension.dim_value) if dimension.dim_value > 0 else None


def _shape_text(value: ValueInfoProto) -> str:
    dimensions = value.type.tensor_type.shape.dim
    sides = [str(_side(dimension) or dimension.dim_param or "?") for dimension in dimensions]
    return f"[{', '.join(sides)}]"


def _node(node: NodeProto, version: int) -> Node:
    from onnx.helper import get_attribute_value

    try:
        attributes = {
            attribute.name: _tensor(attribute.t)
            if attribute.type == TENSOR
            else _text(get_attribute_value(attribute))
            for attribute in node.attribute
        }
    except ValueError:
        raise ModelError(f"The node {node.name[:60]!r} is damaged.") from None
    attributes["version"] = version
    return Node(node.op_type, node.name, tuple(node.input), tuple(node.output), attributes)


def _text(value: Any) -> Any:
    """Decode an attribute that is text; leave any other as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _tensor(tensor: Any) -> Tensor:
    import onnx

    try:
        values = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError):
        raise ModelError(f"The tensor {tensor.name[:60]!r} is damaged.") from None
    is_computed = values.dtype.kind in "iub" or values.dtype in (np.float32, np.float64)
    single = values if is_computed else values.astype(np.float32)
    return torch.from_numpy(np.array(single))
