"""Run a graph with torch, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.graph import Graph, Node
from diagnostics.graph.operators import OPERATORS
from diagnostics.graph.shaping import MOST_VALUES
from diagnostics.layers import module_names

Given = list[Tensor | None]

FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(RuntimeError, TypeError, ValueError),
)
OF_SHAPES = ("Shape", "Size")  # whose results are the same for every image
OF_EQUALS = ("Add", "Sub", "Mul", "Div")  # which meet number by number
# Whose first input has a batch as its first axis, each of which is computed by itself.
BATCHED = {
    *("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN"),
    *("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu", "Erf"),
}


class GraphError(RuntimeError):
    """A node cannot be computed."""


class GraphNetwork(nn.Module):
    """A network that runs a graph; every node that depends on the image is a module of its own.

    What depends on constants only is computed once, when the network is built. A graph that was
    written for one image alone is run for each image by itself, all images at once: its values have
    one axis more, the images, and every node maps over it.

    Args:
        graph: What to run.

    Raises:
        ModelError: When an operator is unknown, or a value that a node takes is missing.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        unknown = sorted({node.operator for node in graph.nodes} - OPERATORS.keys())
        if unknown:
            raise ModelError(
                f"The graph uses {', '.join(unknown[:5])}, which Oversure does not compute; export "
                "the model with standard ONNX operators for classifiers."
            )
        self._input, self._output = graph.input, graph.output
        self._channels_last, self._alone = graph.channels_last, graph.one_image
        self._constants: dict[str, Tensor] = {}  # that are no weights: shapes, indices
        self._weights: dict[str, str] = {}  # names of parameters by the name of the value
        nodes, constants = _folded(graph)
        self._keep(graph, nodes, constants)
        self._steps: list[tuple[str, Node]] = []
        self._last: dict[str, int] = {}  # at which step a value is needed for the last time
        names = module_names(node.name or f"{node.operator}_{i}" for i, node in enumerate(nodes))
        mapped = {graph.input}
        for step, (name, node) in enumerate(zip(names, nodes, strict=True)):
            over = tuple(one in mapped for one in node.inputs) if self._alone else ()
            self.add_module(name, _class_of(node.operator)(node, graph.version, over))
            self._steps.append((name, node))
            self._last |= dict.fromkeys(node.inputs, step)
            if any(over) and node.operator not in OF_SHAPES:
                mapped |= set(node.outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return the graph's output for images of shape (n, c, h, w)."""
        values: dict[str, Tensor] = dict(self._constants)
        values |= {name: self.get_parameter(own) for name, own in self._weights.items()}
        values[self._input] = images.permute(0, 2, 3, 1) if self._channels_last else images
        narrow = {self._input} if self._alone else set()  # whose own batch of one is left out
        for step, (name, node) in enumerate(self._steps):
            operation = self.get_submodule(name)
            found = operation(
                [
                    values[one].unsqueeze(1) if one in narrow else values.get(one)
                    for one in node.inputs
                ]
            )
            given = found if isinstance(found, tuple) else (found,)
            values |= zip(node.outputs, given, strict=False)
            narrow |= set(node.outputs) if operation.narrow else set()
            for one in node.inputs:
                if self._last[one] == step and one not in self._weights:
                    values.pop(one, None)  # its memory is needed
        return values[self._output]

    def _keep(self, graph: Graph, nodes: Sequence[Node], constants: dict[str, Tensor]) -> None:
        """Keep the constants that the nodes take: weights as parameters."""
        made = {graph.input, *(one for node in nodes for one in node.outputs)}
        if graph.output not in made:
            raise ModelError("The graph's output does not depend on the image.")
        for name in dict.fromkeys(one for node in nodes for one in node.inputs if one):
            if name in made:
                continue
            if name not in constants:
                raise ModelError(
                    f"The graph takes a value {name[:60]!r} that nothing gives; the file is "
                    "damaged or has more inputs than one image."
                )
            value = constants[name]
            if value.is_floating_point() and value.numel() > 1:
                own = f"weight_{len(self._weights)}"
                self.register_parameter(own, nn.Parameter(value, requires_grad=False))
                self._weights[name] = own
            else:
                self._constants[name] = value


class _Operation(nn.Module):
    """One node.

    Args:
        node: What it computes.
        version: Of the operators.
        over: For each input, whether it has an axis of images to map over; empty maps nothing.
    """

    def __init__(self, node: Node, version: int, over: Sequence[bool] = ()) -> None:
        super().__init__()
        self._node, self._over = node, over
        self._attributes = {**node.attributes, "version": version, "outputs": len(node.outputs)}
        self.narrow = False  # whether the batch of one of what was given last is left out

    def forward(self, given: Given) -> Any:
        """Return what the node gives."""
        try:
            return self._mapped(given) if any(self._over) else self._computed(given)
        except FAILURES as error:
            text = f"{self._node.name} ({self._node.operator}): {error}"
            raise GraphError(text) from error

    def _computed(self, given: Sequence[Tensor | None]) -> Any:
        return OPERATORS[self._node.operator](given, self._attributes)

    def _mapped(self, given: Given) -> Any:
        """Compute for each image by itself; a batch of one that is left then is taken away."""
        first = given[0]
        if self._node.operator in OF_SHAPES and first is not None:
            return self._computed([first[0]])
        if self._node.operator == "Softmax" and first is not None and self._is_last(first.ndim - 1):
            self.narrow = first.ndim > 2 and first.shape[1] == 1
            return (first[:, 0] if self.narrow else first).softmax(-1)  # heard as attention
        if self._node.operator in BATCHED and first is not None and not any(self._over[1:]):
            self.narrow = first.shape[1] == 1
            if self.narrow:  # the images are as good a batch as any
                return self._computed([first[:, 0], *given[1:]])
        alike = {one.ndim for one in given if one is not None}
        narrow = all(one is not None and one.ndim > 2 and one.shape[1] == 1 for one in given)
        if self._node.operator in OF_EQUALS and all(self._over) and narrow and len(alike) == 1:
            self.narrow = True
            return self._computed([one[:, 0] for one in given if one is not None])
        there = [place for place, one in enumerate(given) if one is not None]
        tensors = [one for one in given if one is not None]

        def for_one(*own: Tensor) -> Any:
            whole: Given = [None] * len(given)
            for place, tensor in zip(there, own, strict=True):
                whole[place] = tensor
            return self._computed(whole)

        axes = tuple(0 if self._over[place] else None for place in there)
        found = torch.vmap(for_one, in_dims=axes)(*tensors)
        parts = found if isinstance(found, tuple) else (found,)
        self.narrow = all(one.ndim > 2 and one.shape[1] == 1 for one in parts)
        if not self.narrow:
            return found
        return tuple(one[:, 0] for one in parts) if isinstance(found, tuple) else found[:, 0]

    def _is_last(self, axes: int) -> bool:
        usual = -1 if self._attributes["version"] >= 13 else 1
        return self._attributes.get("axis", usual) in (-1, axes - 1)


_CLASSES: dict[str, type[_Operation]] = {}


def _class_of(operator: str) -> type[_Operation]:
    """Return a class that bears the operator's name, which is the kind of layer people read."""
    return _CLASSES.setdefault(operator, type(operator, (_Operation,), {}))


def _folded(graph: Graph) -> tuple[list[Node], dict[str, Tensor]]:
    """Compute what no image changes; return the other nodes that lead to the output."""
    constants, left = dict(graph.constants), []
    for node in graph.nodes:
        known = all(one in constants or not one for one in node.inputs)
        if known and len(node.outputs) == 1:
            given = [constants.get(one) for one in node.inputs]
            value = _Operation(node, graph.version)(given)
            if value.numel() > MOST_VALUES:
                raise GraphError(
                    f"{node.name}: {value.numel():,} values out of nothing are refused"
                )
            constants[node.outputs[0]] = value
        else:
            left.append(node)
    needed, chosen = {graph.output}, []
    for node in reversed(left):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
            chosen.append(node)
    return chosen[::-1], constants
