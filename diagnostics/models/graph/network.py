"""Run a graph with torch, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.models.graph import Graph, Language, Node
from diagnostics.models.graph.shaping import MAX_VALUES
from diagnostics.models.layers import module_names

Inputs: TypeAlias = list[Tensor | None]

IMAGE_AXES = 4  # of a batch of images
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class GraphError(RuntimeError):
    """A node cannot be computed."""


class GraphNetwork(nn.Module):
    """A network that runs a graph; every node that depends on the image is a module.

    What depends on constants only is computed once, when the network is built. A graph that was
    written for a single image is run for each image by itself, all images at once: its values have
    another axis in front, the images, and every node maps over it.

    Args:
        graph: What to run.

    Raises:
        ModelError: When an operator is unknown, or a value that a node takes is missing.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._language = language = graph.language
        unknown = sorted({node.operator for node in graph.nodes} - language.operators.keys())
        if unknown:
            raise ModelError(
                f"The graph uses {', '.join(name[:40] for name in unknown[:5])}, which Oversure "
                "does not compute; export the model with standard operators for classifiers."
            )
        self._input, self._output = graph.input, graph.output
        self._channels_last, self._maps_images = graph.channels_last, graph.one_image
        self._constants: dict[str, Tensor] = {}  # that are no weights: shapes, indices
        self._weights: dict[str, str] = {}  # names of parameters by the name of the value
        nodes, constants = _folded(graph)
        self._add_constants(graph, nodes, constants)
        self._steps: list[tuple[str, Node]] = []
        self._last: dict[str, int] = {}  # at which step a value is needed for the last time
        names = module_names(node.name or f"{node.operator}_{i}" for i, node in enumerate(nodes))
        mapped = {graph.input}
        for step, (name, node) in enumerate(zip(names, nodes, strict=True)):
            over = tuple(value in mapped for value in node.inputs) if self._maps_images else ()
            self.add_module(name, _class_of(node.operator)(node, language, over))
            self._steps.append((name, node))
            self._last |= dict.fromkeys(node.inputs, step)
            if any(over) and node.operator not in language.shape_operators:
                mapped |= set(node.outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return the graph's output for images of shape (n, c, h, w)."""
        values: dict[str, Tensor] = dict(self._constants)
        values |= {value: self.get_parameter(name) for value, name in self._weights.items()}
        values[self._input] = images.permute(0, 2, 3, 1) if self._channels_last else images
        # Values of a graph for a single image whose axis of one image is left out.
        narrow = {self._input} if self._maps_images else set()
        for step, (name, node) in enumerate(self._steps):
            operation = self.get_submodule(name)
            inputs = [
                values[value].unsqueeze(1) if value in narrow else values.get(value)
                for value in node.inputs
            ]
            result = operation(inputs)
            outputs = result if isinstance(result, tuple | list) else (result,)
            values |= zip(node.outputs, outputs, strict=False)
            narrow |= set(node.outputs) if operation.narrow else set()
            for value in node.inputs:
                if self._last[value] == step and value not in self._weights:
                    values.pop(value, None)  # its memory is needed
        return values[self._output]

    def batch_norms(self) -> list[tuple[nn.Module, list[Any], float]]:
        """Return every BatchNorm that remembers: module; weight, bias, mean, variance; epsilon."""
        found = []
        for name, node in self._steps:
            norm = self._language.batch_norm(node)
            if norm is None:
                continue
            names = ["" if at is None else node.inputs[at] for at in norm.inputs]
            tensors = [self._constant(value) for value in names]
            if tensors[2] is not None and tensors[3] is not None:
                found.append((self.get_submodule(name), tensors, norm.eps))
        return found

    def _constant(self, value: str) -> Tensor | None:
        """Return a weight or another constant by the name of its value; None for any other."""
        if value in self._weights:
            return self.get_parameter(self._weights[value])
        return self._constants.get(value)

    def _add_constants(
        self, graph: Graph, nodes: Sequence[Node], constants: dict[str, Tensor]
    ) -> None:
        """Add the constants that the nodes take: weights as parameters."""
        computed = {graph.input, *(output for node in nodes for output in node.outputs)}
        if graph.output not in computed:
            raise ModelError("The graph's output does not depend on the image.")
        for name in dict.fromkeys(value for node in nodes for value in node.inputs if value):
            if name in computed:
                continue
            if name not in constants:
                raise ModelError(
                    f"The graph takes a value {name[:60]!r} that nothing gives; the file is "
                    "damaged or has more inputs than one image."
                )
            value = constants[name]
            if value.is_floating_point() and value.numel() > 1:
                parameter = f"weight_{len(self._weights)}"
                self.register_parameter(parameter, nn.Parameter(value, requires_grad=False))
                self._weights[name] = parameter
            else:
                self._constants[name] = value


class _Operation(nn.Module):
    """A node as a module.

    Args:
        node: What it computes.
        language: Of its graph.
        over: For each input, whether it has an axis of images to map over; empty maps nothing.
    """

    def __init__(self, node: Node, language: Language, over: Sequence[bool] = ()) -> None:
        super().__init__()
        self._node, self._language, self._over = node, language, over
        self._attributes = {**node.attributes, "outputs": len(node.outputs)}
        self.narrow = False  # whether the last outputs have no axis for the graph's single image

    def forward(self, inputs: Inputs) -> Any:
        """Return what the node gives."""
        try:
            return self._mapped(inputs) if any(self._over) else self._compute(inputs)
        except FAILURES as error:
            text = f"{self._node.name} ({self._node.operator}): {error}"
            raise GraphError(text) from error

    def _compute(self, inputs: Sequence[Tensor | None]) -> Any:
        return self._language.operators[self._node.operator](inputs, self._attributes)

    def _mapped(self, inputs: Inputs) -> Any:
        """Compute for each image by itself, all at once where that is the same."""
        first, language = inputs[0], self._language
        if first is not None and self._over[0]:
            if self._node.operator in language.shape_operators:
                return self._compute([first[0]])
            if language.is_softmax(self._node, first.ndim - 1):
                self.narrow = first.ndim > 2 and first.shape[1] == 1
                values = first[:, 0] if self.narrow else first
                return values.softmax(-1)  # which is recorded as attention
            if self._runs_by_image(first):
                return self._by_image(first, inputs[1:])
        tensors = [tensor for tensor in inputs if tensor is not None]
        if self._is_pair(tensors):
            self.narrow = True
            return self._compute([tensor[:, 0] for tensor in tensors])
        if self._ignores_first_axes(inputs):
            mapped = [
                tensor
                for tensor, has in zip(inputs, self._over, strict=True)
                if has and tensor is not None
            ]
            self.narrow = all(map(_is_narrow, mapped))
            if self.narrow:
                inputs = [
                    tensor[:, 0] if has and tensor is not None else tensor
                    for tensor, has in zip(inputs, self._over, strict=True)
                ]
            return self._compute(inputs)
        return self._vmapped(inputs, tensors)

    def _runs_by_image(self, first: Tensor) -> bool:
        """Say whether the images can run as the batch that the operator works on row by row."""
        if any(self._over[1:]) or not self._language.is_by_image(self._node):
            return False
        is_single = first.ndim > 1 and first.shape[1] == 1
        surely_rows = first.ndim == IMAGE_AXES + 1 or "batch_norm" in self._node.operator
        return is_single or surely_rows

    def _by_image(self, first: Tensor, others: Sequence[Tensor | None]) -> Any:
        self.narrow = first.shape[1] == 1
        if self.narrow:
            return self._compute([first[:, 0], *others])
        result = self._compute([first.flatten(0, 1), *others])
        return result.unflatten(0, first.shape[:2])

    def _is_pair(self, tensors: Sequence[Tensor]) -> bool:
        """Say whether the inputs meet image by image."""
        return (
            self._node.operator in self._language.pair_operators
            and all(self._over)
            and all(map(_is_narrow, tensors))
            and len({tensor.ndim for tensor in tensors}) == 1
        )

    def _ignores_first_axes(self, inputs: Inputs) -> bool:
        """Say whether the axis of images of the first input meets only that of others."""
        first = inputs[0]
        if self._node.operator not in self._language.last_axes_operators:
            return False
        return (
            self._over[0]
            and first is not None
            and all(
                tensor is None or (tensor.ndim == first.ndim if has else tensor.ndim < first.ndim)
                for tensor, has in zip(inputs, self._over, strict=True)
            )
        )

    def _vmapped(self, inputs: Inputs, tensors: Sequence[Tensor]) -> Any:
        """Map over the images; an axis of one image that is left then is taken away."""
        positions = [index for index, tensor in enumerate(inputs) if tensor is not None]

        def compute(*tensors_of_image: Tensor) -> Any:
            inputs_of_image: Inputs = [None] * len(inputs)
            for position, tensor in zip(positions, tensors_of_image, strict=True):
                inputs_of_image[position] = tensor
            result = self._compute(inputs_of_image)
            return tuple(result) if isinstance(result, list) else result

        axes = tuple(0 if self._over[position] else None for position in positions)
        result = torch.vmap(compute, in_dims=axes)(*tensors)
        parts = result if isinstance(result, tuple) else (result,)
        self.narrow = all(map(_is_narrow, parts))
        if not self.narrow:
            return result
        return tuple(part[:, 0] for part in parts) if isinstance(result, tuple) else result[:, 0]


def _is_narrow(values: Tensor) -> bool:
    """Say whether values of many images have an axis for the graph's single image behind."""
    return values.ndim > 2 and values.shape[1] == 1


_CLASSES: dict[str, type[_Operation]] = {}


def _class_of(operator: str) -> type[_Operation]:
    """Return a class that bears the operator's name, which is the kind of layer people read."""
    name = operator.partition(".")[0]  # of torch's, without its overload
    return _CLASSES.setdefault(name, type(name, (_Operation,), {}))


def _folded(graph: Graph) -> tuple[list[Node], dict[str, Tensor]]:
    """Compute what no image changes; return the other nodes that lead to the output."""
    constants, nodes, computed = dict(graph.constants), [], 0
    for node in graph.nodes:
        is_constant = all(value in constants or not value for value in node.inputs)
        if is_constant and len(node.outputs) == 1:
            inputs = [constants.get(value) for value in node.inputs]
            value = _Operation(node, graph.language)(inputs)
            computed += value.numel()
            if computed > MAX_VALUES:
                raise GraphError(f"{node.name}: {computed:,} values out of nothing are refused")
            constants[node.outputs[0]] = value
        else:
            nodes.append(node)
    needed, leading = {graph.output}, []
    for node in reversed(nodes):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
            leading.append(node)
    return leading[::-1], constants
