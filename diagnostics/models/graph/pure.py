"""Rewrite a graph of ATen so that no operator changes a value that others look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from diagnostics.errors import ModelError
from diagnostics.models.graph import Node
from diagnostics.models.graph.aten import OPERATORS, arguments, writes
from diagnostics.models.graph.aten_names import OUT_OF_NOTHING, VIEWS


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
    of_image = {image}
    memory: dict[str, str] = {}  # the name of the first value that lies in the same memory
    newest: dict[str, str] = {}  # what stands for a value after it was changed
    stale: dict[str, str] = {}  # values that should have changed with another, by operator
    used: set[str] = set()  # memory that something of the image has looked at already
    pure: list[Node] = []

    def now(name: str) -> str:
        while name in newest:
            name = newest[name]
        if name in stale:
            raise _in_place(stale[name])
        return name

    for node in nodes:
        node = _unbound(replace(node, inputs=tuple(now(one) for one in node.inputs)))
        first = memory.get(node.inputs[0], node.inputs[0]) if node.inputs else ""
        if node.operator.partition(".")[0] in VIEWS and node.inputs:
            memory |= dict.fromkeys(node.outputs, first)
        if not of_image & set(node.inputs):
            if writes(
                node
            ):  # done once, when the network is built, and so for whoever looked before
                memory |= dict.fromkeys(node.outputs, first)
                if first in used:
                    raise _in_place(node.operator)
            pure.append(node)
            continue
        of_image |= set(node.outputs)
        used |= {memory.get(one, one) for one in node.inputs}
        if writes(node) and node.outputs:
            changed, kept = node.inputs[0], node.outputs[0]
            shared = memory.get(changed, changed)
            group = {name for name, first in memory.items() if first == shared} | {shared}
            stale |= dict.fromkeys(group - {changed}, node.operator)
            newest[changed] = kept
            name, _, overload = node.operator.partition(".")
            node = replace(node, operator=f"{_pure_name(name)}.{overload}")
        pure.append(node)
    last = now(output)
    needed = {last}
    for node in reversed(pure):  # what nothing needs may be what nothing here computes
        if needed & set(node.outputs):
            needed |= set(node.inputs)
    left = (node for node in pure if needed & set(node.outputs) or not of_image & set(node.inputs))
    return tuple(left), last


def _in_place(operator: str) -> ModelError:
    return ModelError(
        f"The program changes a value in place ({operator[:40]}) that it also looks at otherwise; "
        "export it again with exported.run_decompositions()."
    )


def _unbound(node: Node) -> Node:
    """Free what is made "like" an image, but of numbers that are known, from that image."""
    name = node.operator.partition(".")[0]
    if name not in OUT_OF_NOTHING or len(node.inputs) > 1:
        return node
    own = node.attributes
    named = {"dtype": torch.get_default_dtype(), **own["named"]}
    return replace(
        node,
        operator=f"{name.removeprefix('new_')}.{'memory_format' if 'empty' in name else 'default'}",
        inputs=(),
        attributes=arguments(own["positional"][1:], named),
    )


def _pure_name(name: str) -> str:
    own = name.removesuffix("_")
    if not any(known.partition(".")[0] == own for known in OPERATORS):
        raise ModelError(f"The program uses {name[:40]}, which changes a value in place.")
    return own
