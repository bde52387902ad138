"""Run a graph with torch, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.models.graph import Graph, Language, Node
from diagnostics.models.graph.shaping import MOST_VALUES
from diagnostics.models.layers import module_names

Given: TypeAlias = list[Tensor | None]

OF_IMAGES = 4  # axes
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
        language = graph.language
        unknown = sorted({node.operator for node in graph.nodes} - language.operators.keys())
        if unknown:
            raise ModelError(
                f"The graph uses {', '.join(one[:40] for one in unknown[:5])}, which Oversure does "
                "not compute; export the model with standard operators for classifiers."
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
            self.add_module(name, _class_of(node.operator)(node, language, over))
            self._steps.append((name, node))
            self._last |= dict.fromkeys(node.inputs, step)
            if any(over) and node.operator not in language.of_shapes:
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
            given = found if isinstance(found, tuple | list) else (found,)
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
        language: Of its graph.
        over: For each input, whether it has an axis of images to map over; empty maps nothing.
    """

    def __init__(self, node: Node, language: Language, over: Sequence[bool] = ()) -> None:
        super().__init__()
        self._node, self._language, self._over = node, language, over
        self._attributes = {**node.attributes, "outputs": len(node.outputs)}
        self.narrow = False  # whether the batch of one of what was given last is left out

    def forward(self, given: Given) -> Any:
        """Return what the node gives."""
        try:
            return self._mapped(given) if any(self._over) else self._computed(given)
        except FAILURES as error:
            text = f"{self._node.name} ({self._node.operator}): {error}"
            raise GraphError(text) from error

    def _computed(self, given: Sequence[Tensor | None]) -> Any:
        return self._language.operators[self._node.operator](given, self._attributes)

    def _mapped(self, given: Given) -> Any:
        """Compute for each image by itself, all at once where that is the same."""
        first, others = given[0], self._over[1:]
        name, language = self._node.operator, self._language
        tensors = [one for one in given if one is not None]
        narrow = all(one.ndim > 2 and one.shape[1] == 1 for one in tensors)
        if first is not None and self._over[0]:
            if name in language.of_shapes:
                return self._computed([first[0]])
            own = first.ndim > 1 and first.shape[1] == 1  # the images are as good a batch as any
            if language.is_softmax(self._node, first.ndim - 1):
                self.narrow = own and first.ndim > 2
                return (first[:, 0] if self.narrow else first).softmax(-1)  # heard as attention
            if language.is_by_row(self._node) and not any(others):
                if own:
                    self.narrow = True
                    return self._computed([first[:, 0], *given[1:]])
                if (
                    first.ndim == OF_IMAGES + 1 or "batch_norm" in name
                ):  # whose rows are surely rows
                    self.narrow = False
                    found = self._computed([first.flatten(0, 1), *given[1:]])
                    return found.unflatten(0, first.shape[:2])
        alike = len({one.ndim for one in tensors}) == 1
        if name in language.of_equals and all(self._over) and narrow and alike:
            self.narrow = True
            return self._computed([one[:, 0] for one in tensors])
        if name in language.of_last_axes and self._over[0] and self._meet(given):
            over = [
                one for one, has in zip(given, self._over, strict=True) if has and one is not None
            ]
            self.narrow = all(one.ndim > 2 and one.shape[1] == 1 for one in over)
            if self.narrow:
                given = [
                    one[:, 0] if has and one is not None else one
                    for one, has in zip(given, self._over, strict=True)
                ]
            return self._computed(given)
        return self._one_by_one(given, tensors)

    def _meet(self, given: Given) -> bool:
        """Say whether the axis of images of the first input meets only that of others."""
        first = given[0]
        return first is not None and all(
            one is None or (one.ndim == first.ndim if has else one.ndim < first.ndim)
            for one, has in zip(given, self._over, strict=True)
        )

    def _one_by_one(self, given: Given, tensors: Sequence[Tensor]) -> Any:
        """Map over the images; a batch of one that is left then is taken away."""
        there = [place for place, one in enumerate(given) if one is not None]

        def for_one(*own: Tensor) -> Any:
            whole: Given = [None] * len(given)
            for place, tensor in zip(there, own, strict=True):
                whole[place] = tensor
            found = self._computed(whole)
            return tuple(found) if isinstance(found, list) else found

        axes = tuple(0 if self._over[place] else None for place in there)
        found = torch.vmap(for_one, in_dims=axes)(*tensors)
        parts = found if isinstance(found, tuple) else (found,)
        self.narrow = all(one.ndim > 2 and one.shape[1] == 1 for one in parts)
        if not self.narrow:
            return found
        return tuple(one[:, 0] for one in parts) if isinstance(found, tuple) else found[:, 0]


_CLASSES: dict[str, type[_Operation]] = {}


def _class_of(operator: str) -> type[_Operation]:
    """Return a class that bears the operator's name, which is the kind of layer people read."""
    name = operator.partition(".")[0]  # of torch's, without its overload
    return _CLASSES.setdefault(name, type(name, (_Operation,), {}))


def _folded(graph: Graph) -> tuple[list[Node], dict[str, Tensor]]:
    """Compute what no image changes; return the other nodes that lead to the output."""
    constants, left = dict(graph.constants), []
    for node in graph.nodes:
        known = all(one in constants or not one for one in node.inputs)
        if known and len(node.outputs) == 1:
            given = [constants.get(one) for one in node.inputs]
            value = _Operation(node, graph.language)(given)
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
