"""Networks that come as a graph of operations: each node a layer, gradients and all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

Inputs: TypeAlias = Sequence[Any]  # tensors, and None for what is left out
Attributes: TypeAlias = Mapping[str, Any]
Operator: TypeAlias = Callable[[Inputs, Attributes], Any]


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Args:
        operator: Name of the operation in the graph's language: "Conv".
        name: Unique in the graph; what people read.
        inputs: Names of the values it takes; empty for one that is left out.
        outputs: Names of the values it gives.
        attributes: Settings by name.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class BatchNormNode:
    """A node that normalises maps by what it remembers.

    Args:
        inputs: Positions, among the node's inputs, of weight, bias, mean and variance; None for
            one that is left out.
        eps: What is added to the variance.
    """

    inputs: tuple[int | None, int | None, int, int]
    eps: float


@dataclass(frozen=True)
class Language:
    """What a graph is written in: its operators, and which of them need no mapping over images.

    Args:
        operators: What each operator computes of its inputs and attributes.
        shape_operators: Operators whose results are the same for every image.
        is_by_image: Says whether a node computes each row of its first input by itself.
        pair_operators: Operators whose inputs meet row by row.
        last_axes_operators: Operators that do not care how many axes come before the last ones.
        is_softmax: Says whether a node is a softmax over the last of so many axes.
        batch_norm: Says of a node how it is a BatchNorm that remembers; None for any other.
    """

    operators: Mapping[str, Operator]
    shape_operators: Collection[str]
    is_by_image: Callable[[Node], bool]
    pair_operators: Collection[str]
    last_axes_operators: Collection[str]
    is_softmax: Callable[[Node, int], bool]
    batch_norm: Callable[[Node], BatchNormNode | None]


@dataclass(frozen=True)
class Graph:
    """A network as a graph with one input and one output.

    Args:
        nodes: In an order in which they can run.
        constants: Values that are known, by name: weights, shapes.
        input: Name of the images' value.
        output: Name of the class scores.
        language: Its operators.
        channels_last: Whether the images go in as (n, h, w, c).
        one_image: Whether the graph was written for one image at a time.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Tensor]
    input: str
    output: str
    language: Language
    channels_last: bool = False
    one_image: bool = False
