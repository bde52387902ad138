"""Read TorchScript: a program, run only where a locked-down process holds it.

Its graph is turned into a torch network and held against the program; where that fails, the
program itself answers, and its layers cannot be shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders import assumptions
from diagnostics.loaders.graph_network import Unlisted, network_of
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.registry import loader
from diagnostics.models.ending import ending_of_graph
from diagnostics.models.graph import Graph, Node
from diagnostics.models.graph.aten import ATEN, Device, Slot, arguments, single
from diagnostics.models.graph.pure import without_writes
from diagnostics.models.outputs import class_scores, relative_difference
from diagnostics.schema.layouts import Size
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Check
from diagnostics.text import line_of

ARCHITECTURE = "torchscript"
TOLERANCE = 1e-4  # of the largest score
GROUPS = ("prim::ListConstruct", "prim::TupleConstruct")
PARTS = ("prim::ListUnpack", "prim::TupleUnpack")
OF_WORDS = ("aten::format", "aten::warn")
OF_LISTS = ("aten::append", "aten::_set_item", "aten::extend", "aten::insert", "aten::pop")
NUMBERS = ("aten::Int", "aten::Float", "aten::Bool", "aten::ScalarImplicit", "prim::NumToTensor")
OF_WEIGHTS = ("_convolution", "conv2d", "conv1d", "linear", "addmm")
FLOAT = torch.float32  # in which half precision is computed
ENUMS: dict[str, Sequence[Any]] = {  # what numbers stand for, as arguments of this name
    "dtype": (
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        FLOAT,
        FLOAT,
        torch.float64,
        None,
        None,
        None,
        torch.bool,
        None,
        None,
        None,
        FLOAT,
    ),
    "memory_format": (
        torch.contiguous_format,
        torch.preserve_format,
        torch.channels_last,
        torch.channels_last_3d,
    ),
    "layout": (torch.strided,),
}
FAILURES = (ModelError, RuntimeError, TypeError, ValueError, LookupError, AttributeError)
LOST = (
    "If it was saved by torch.jit.trace, the branches that its example image did not take are lost."
)
NO_LAYERS = "The program answers itself, so its layers cannot be shown"
NOT_PERMITTED = (
    "This is a TorchScript program, which runs code of its own, and TorchScript is off here. "
    "Where the sandbox is strict, `oversure app --torchscript` turns it on; or save the weights "
    "alone: torch.save(model.state_dict(), 'weights.pt')."
)


def matches(file: Preview) -> bool:
    """Say whether it is an archive of torch with code in it."""
    return any("/code/" in name or name.endswith("constants.pkl") for name in file.members)


def permit(source: ModelSource) -> None:
    """Refuse programs where a person did not allow them.

    Raises:
        ModelError: When they are off.
    """
    if not source.programs:
        raise ModelError(NOT_PERMITTED)


@loader(
    "TorchScript",
    matches,
    files="TorchScript",
    brings_network=True,
    takes_size=True,
    permit=permit,
)
def read(path: Path, stated_size: Size | None = None) -> LoadedNetwork:
    """Return the network of a TorchScript program. Loading it runs code that it brings.

    Args:
        path: The file.
        stated_size: Height and width of its images in px, as a person states them.

    Raises:
        ModelError: When the file is damaged, or no network of one image.
    """
    program = _load(path)
    unlisted = Unlisted(program, None)
    loaded = assumptions.loaded_network(
        unlisted,
        ARCHITECTURE,
        (None, None, None),
        "A TorchScript program.",
        stated_size=stated_size,
    )
    first, *others = loaded.checks
    size = (loaded.candidate.channels, loaded.candidate.height, loaded.candidate.width)
    traced = Check("program", "warned", LOST)
    try:
        network, graph = _converted(program)
        difference = _difference(network, unlisted, size)
        if not difference <= TOLERANCE:
            raise ModelError(f"its graph, computed by itself, differs by {difference:.1e}")
    except FAILURES as error:
        reason = "its graph does what is not read here"
        if isinstance(error, ModelError):
            reason = str(error)[:120].rstrip(".")
        layers = Check("layers", "warned", f"{NO_LAYERS} ({reason}).")
        return replace(loaded, checks=(first, traced, layers, *others))
    message = f"A TorchScript program of {len(graph.nodes)} operations."
    within = max(difference, 1e-9)
    same = f"Computed from its graph, it gives the program's own answers, within {within:.0e}."
    checks = (Check("network", "passed", message), Check("layers", "passed", same), traced, *others)
    candidate = replace(loaded.candidate, message=message)
    return LoadedNetwork(network, candidate, checks, ending=ending_of_graph(graph))


def _load(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu"
            ).eval()
        except Exception as error:  # whatever its code raises
            line = line_of(error, last=True)
            raise ModelError(f"torch cannot load this TorchScript program ({line}).") from None
    for parameter in program.parameters():
        parameter.requires_grad_(False)
    return program.float()


@torch.no_grad()
def _difference(network: nn.Module, program: nn.Module, size: tuple[int, int, int]) -> float:
    """Return how far answers are apart at most, as a share of the largest."""
    images = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    ours, theirs = network(images), class_scores(program(images))
    return relative_difference(ours, theirs) if ours.shape == theirs.shape else float("inf")


def _converted(program: nn.Module) -> tuple[nn.Module, Graph]:
    """Return a network that computes the program's graph, and the graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(program, optimize_numerics=False)
    reader = _Reader(frozen.inlined_graph)
    graph = reader.graph()
    return network_of(graph, None)[0], graph


class _Reader:
    """Reads a graph of TorchScript in which everything is inlined and every weight a constant."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._known: dict[str, Any] = {}  # values that are no tensors, by name
        self._tensors: dict[str, Tensor] = {}
        self._lists: dict[str, list[Any]] = {}  # what lists and tuples hold, by name
        self._same: dict[str, Any] = {}  # values that are others under another name

    def graph(self) -> Graph:
        """Return the graph for one tensor of images.

        Raises:
            ModelError: When it branches, or does something that is not read.
        """
        (image,) = [value for value in self._graph.inputs() if str(value.type()) == "Tensor"]
        nodes = [node for raw in self._graph.nodes() if (node := self._node(raw))]
        output = next(iter(self._graph.outputs()))
        scores = self._original(self._lists.get(output.debugName(), [output])[0])
        pure, last = without_writes(nodes, image.debugName(), scores.debugName())
        return Graph(pure, self._tensors, image.debugName(), last, ATEN)

    def _node(self, node: Any) -> Node | None:
        """Read a node; None for one that only names, groups or unpacks values."""
        kind, inputs, outputs = node.kind(), list(node.inputs()), list(node.outputs())
        if kind == "prim::Constant":
            self._constant(outputs[0].debugName(), outputs[0].toIValue())
        elif kind in GROUPS:
            self._lists[outputs[0].debugName()] = inputs
        elif kind in NUMBERS:
            self._same[outputs[0].debugName()] = inputs[0]
        elif kind in PARTS:
            parts = self._lists.get(inputs[0].debugName())
            for output, part in zip(outputs, parts or (), strict=bool(parts)):
                self._same[output.debugName()] = part
        elif kind in OF_WORDS or (kind == "prim::If" and not outputs and _only_refuses(node)):
            pass
        elif kind.startswith("aten::") and kind not in OF_LISTS:
            return self._operation(node, inputs, outputs)
        else:
            raise ModelError(f"it does {kind[:40]}, which has no picture")
        return None

    def _constant(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            self._tensors[name] = value.detach().to(single(value.dtype))
        else:
            self._known[name] = value

    def _operation(self, node: Any, inputs: list[Any], outputs: list[Any]) -> Node:
        schema = torch._C.parse_schema(node.schema())
        names: list[str] = []
        positional, keyword = [], {}
        for argument, value in zip(schema.arguments, inputs, strict=True):
            read = self._argument(value, argument.name, names)
            if argument.kwarg_only:
                keyword[argument.name] = read
            else:
                positional.append(read)
        for user in (use.user for output in outputs for use in output.uses()):
            if user.kind() in PARTS:
                outputs = list(user.outputs())
        operation = node.kind().removeprefix("aten::")
        operator = f"{operation}.{schema.overload_name or 'default'}"
        label = _module(operation, inputs) or operation.strip("_")
        output_names = tuple(output.debugName() for output in outputs)
        attributes = arguments(positional, keyword)
        return Node(operator, label, tuple(names), output_names, attributes)

    def _argument(self, value: Any, argument: str, inputs: list[str]) -> Any:
        """Return an argument's value, its inputs added to the node's."""
        kind, value = str(value.type()), self._original(value)
        name = value.debugName()
        if name in self._lists:
            return [self._argument(item, argument, inputs) for item in self._lists[name]]
        if name in self._known:
            return _plain(self._known[name], argument)
        inputs.append(name)
        return Slot(len(inputs) - 1, kind in ("int", "float", "bool", "Scalar", "number"))

    def _original(self, value: Any) -> Any:
        while value.debugName() in self._same:
            value = self._same[value.debugName()]
        return value


def _only_refuses(node: Any) -> bool:
    """Say whether a branch is there only to refuse an input."""
    inside = {inner.kind() for block in node.blocks() for inner in block.nodes()}
    return inside <= {"prim::RaiseException", "prim::Constant", "aten::format", "aten::add"}


def _module(operation: str, inputs: list[Any]) -> str:
    """Return the path of the module whose weight an operation takes; empty where unknown."""
    names = [value.debugName() for value in inputs]
    weight = next((name for name in names if name.endswith(".weight")), "")
    return weight.removeprefix("self.").removesuffix(".weight") * (operation in OF_WEIGHTS)


def _plain(value: Any, argument: str) -> Any:
    """Return a constant as our operators take it: numbers that stand for types resolved."""
    if isinstance(value, torch.device):
        return Device()
    if isinstance(value, int) and argument in ENUMS:
        return ENUMS[argument][value]
    return value
