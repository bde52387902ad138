"""Rewrite a graph of ATen so that no operator changes a value that others look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from diagnostics.errors import ModelError
from diagnostics.models.graph import Node
from diagnostics.models.graph.aten import OPERATORS, arguments, writes
from diagnostics.models.graph.aten_names import NEW_VALUES, VIEWS


def without_writes(nodes: Sequence[Node], image: str, output: str) -> tuple[tuple[Node, ...], str]:
    """Return nodes that give new values instead of changing old ones, and the output's name.

    Layers are recorded as copies, and a change would not reach the copy. What does not depend on
    the image is left as it is: it is computed once and not recorded.

    Args:
        nodes: In the order in which they run.
        image: Name of the image's value.
        output: Name of the graph's output.

    Raises:
        ModelError: When a value that is changed is also looked at through another.
    """
    rewriter = _Rewriter(image)
    for node in nodes:
        rewriter.add(node)
    last = rewriter.current(output)
    return rewriter.needed_for(last), last


class _Rewriter:
    """Takes nodes in their order, and keeps track of which values lie in the same memory."""

    def __init__(self, image: str) -> None:
        self._of_image = {image}
        self._nodes: list[Node] = []
        self._memory: dict[str, str] = {}  # the name of the first value in the same memory
        self._newest: dict[str, str] = {}  # what stands for a value after it was changed
        self._stale: dict[str, str] = {}  # values that should have changed too, by operator
        self._read: set[str] = set()  # memory that something of the image has read already

    def current(self, name: str) -> str:
        """Return the name under which a value is found now."""
        while name in self._newest:
            name = self._newest[name]
        if name in self._stale:
            raise _in_place(self._stale[name])
        return name

    def add(self, node: Node) -> None:
        """Add a node, rewritten where it changes a value of the image."""
        node = _unbound(replace(node, inputs=tuple(self.current(name) for name in node.inputs)))
        if node.operator.partition(".")[0] in VIEWS and node.inputs:
            self._memory |= dict.fromkeys(node.outputs, self._first(node.inputs[0]))
        if not self._of_image & set(node.inputs):
            self._add_constant(node)
            return
        self._of_image |= set(node.outputs)
        self._read |= {self._first(name) for name in node.inputs}
        if writes(node) and node.outputs:
            node = self._without_write(node)
        self._nodes.append(node)

    def needed_for(self, output: str) -> tuple[Node, ...]:
        """Return the nodes without those of the image that the output does not need."""
        needed = {output}
        for node in reversed(self._nodes):  # what nothing needs may be what nothing here computes
            if needed & set(node.outputs):
                needed |= set(node.inputs)
        return tuple(
            node
            for node in self._nodes
            if needed & set(node.outputs) or not self._of_image & set(node.inputs)
        )

    def _first(self, name: str) -> str:
        return self._memory.get(name, name)

    def _add_constant(self, node: Node) -> None:
        """Add a node that the image does not reach; it runs once, when the network is built."""
        if writes(node):
            first = self._first(node.inputs[0]) if node.inputs else ""
            self._memory |= dict.fromkeys(node.outputs, first)
            if first in self._read:  # before the write, which comes first here
                raise _in_place(node.operator)
        self._nodes.append(node)

    def _without_write(self, node: Node) -> Node:
        """Return a node that gives a new value instead of changing its first input."""
        changed, result = node.inputs[0], node.outputs[0]
        shared = self._first(changed)
        group = {name for name, first in self._memory.items() if first == shared} | {shared}
        self._stale |= dict.fromkeys(group - {changed}, node.operator)
        self._newest[changed] = result
        name, _, overload = node.operator.partition(".")
        return replace(node, operator=f"{_pure_name(name)}.{overload}")


def _in_place(operator: str) -> ModelError:
    return ModelError(
        f"The program changes a value in place ({operator[:40]}) that it also looks at otherwise; "
        "export it again with exported.run_decompositions()."
    )


def _unbound(node: Node) -> Node:
    """Free what is made "like" an image, but of numbers that are known, from that image."""
    name = node.operator.partition(".")[0]
    if name not in NEW_VALUES or len(node.inputs) > 1:
        return node
    keyword = {"dtype": torch.get_default_dtype(), **node.attributes["keyword"]}
    return replace(
        node,
        operator=f"{name.removeprefix('new_')}.{'memory_format' if 'empty' in name else 'default'}",
        inputs=(),
        attributes=arguments(node.attributes["positional"][1:], keyword),
    )


def _pure_name(name: str) -> str:
    pure = name.removesuffix("_")
    if not any(known.partition(".")[0] == pure for known in OPERATORS):
        raise ModelError(f"The program uses {name[:40]}, which changes a value in place.")
    return pure
