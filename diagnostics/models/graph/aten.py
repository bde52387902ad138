"""Torch's own operators, ATen, as exported programs and TorchScript name them: "conv2d.default".

Only those listed here are computed. None of them reads a file, runs code, or draws random numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from diagnostics.models.graph import (
    Attributes,
    BatchNormNode,
    Inputs,
    Language,
    Node,
    Operator,
)
from diagnostics.models.graph.aten_names import (
    BY_IMAGE,
    DROPOUTS,
    ELEMENTWISE,
    LAST_AXES,
    OTHERS,
    PAIRS,
    SIZES_ARGUMENT,
    UNSAFE,
    VIEWS,
)
from diagnostics.models.graph.shaping import checked_shape

NUMBER_OPERATORS: dict[str, Callable[..., Any]] = {  # of Python, on sizes
    "add": operator.add,
    "eq": operator.eq,
    "floordiv": torch.floor_divide,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "mod": operator.mod,
    "mul": operator.mul,
    "ne": operator.ne,
    "neg": operator.neg,
    "pow": operator.pow,
    "sub": operator.sub,
    "truediv": operator.truediv,
}
MAX_POWER = 64
EPS_OF_BATCH_NORM = {  # position of the argument
    "batch_norm.default": 7,
    "_native_batch_norm_legit_no_training.default": 6,
}


@dataclass(frozen=True)
class Slot:
    """An argument that is one of a node's inputs.

    Args:
        position: Of the input.
        number: Whether it is taken as a number instead of a tensor.
    """

    position: int
    number: bool = False


class Device:
    """An argument that is a device: that of the other arguments."""


def arguments(positional: Sequence[Any], keyword: Mapping[str, Any]) -> Attributes:
    """Return a node's attributes: the arguments of its call, with a `Slot` for each input."""
    return {"positional": tuple(positional), "keyword": dict(keyword)}


def single(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which values of a type are computed: half precision in single."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def writes(node: Node) -> bool:
    """Say whether a node changes its first input."""
    return node.operator.partition(".")[0].endswith("_")


def _call(function: Callable[..., Any]) -> Operator:
    """Return an operator that calls a function with the node's arguments."""

    def compute(inputs: Inputs, attributes: Attributes) -> Any:
        tensors = (value for value in inputs if isinstance(value, Tensor) and value.ndim)
        device = next((tensor.device for tensor in tensors), None)
        positional = [_filled(value, inputs, device) for value in attributes["positional"]]
        keyword = {
            name: _filled(value, inputs, device)
            for name, value in attributes["keyword"].items()
            if name != "memory_format"  # how values lie in memory is not what they are
        }
        result = function(*positional, **keyword)
        return torch.tensor(result) if isinstance(result, bool | int | float) else result

    return compute


def _bounded(name: str, compute: Operator) -> Operator:
    """Return an operator that refuses to make far more values than a classifier needs."""
    if name not in SIZES_ARGUMENT:
        return compute

    def compute_bounded(inputs: Inputs, attributes: Attributes) -> Any:
        sizes = attributes["positional"][SIZES_ARGUMENT[name]]
        if not isinstance(sizes, tuple | list):
            sizes = []
        sides = [int(_filled(size, inputs, None)) for size in sizes]
        if name in ("repeat", "tile"):
            sides.append(inputs[0].numel())
        checked_shape(sides)
        return compute(inputs, attributes)

    return compute_bounded


def _number_operator(function: Callable[..., Any]) -> Operator:
    """Return an operator of Python on sizes: numbers only, and none that grow without end."""

    def compute(inputs: Inputs, attributes: Attributes) -> Any:
        values = [_filled(value, inputs, None) for value in attributes["positional"]]
        if not all(isinstance(value, int | float | Tensor) for value in values):
            raise ValueError("only numbers can be computed with")
        if function is operator.pow and abs(float(values[1])) > MAX_POWER:
            raise ValueError("a power that large is refused")
        result = function(*values)
        return result if isinstance(result, Tensor) else torch.tensor(result)

    return compute


def _filled(argument: Any, inputs: Inputs, device: torch.device | None) -> Any:
    if isinstance(argument, Slot):
        value = inputs[argument.position]
        return value.item() if argument.number else value
    if isinstance(argument, list | tuple):
        return [_filled(value, inputs, device) for value in argument]
    return device if isinstance(argument, Device) else argument


def _first(inputs: Inputs, _: Attributes) -> Any:
    return inputs[0]


def _size(inputs: Inputs, attributes: Attributes) -> Tensor:
    return torch.tensor(inputs[0].shape[attributes["positional"][1]])


def _batch_norm(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    _: bool = False,
) -> Tensor:
    """Normalise with what was learned, also where the network was exported while it trained."""
    of_batch = mean is None
    values = values.contiguous() if of_batch else values
    return functional.batch_norm(values, mean, variance, weight, bias, of_batch, momentum, eps)


def _copy(values: Tensor, others: Tensor, _: bool = False) -> Tensor:
    return others.to(values.dtype).expand_as(values).clone()


def _batch_norm_of_batch(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    _: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    values = values.contiguous()  # its gradient is wrong for one image with channels last
    return functional.batch_norm(values, None, None, weight, bias, True, momentum, eps)


def _batch_norm_as_learned(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    _: float,
    eps: float,
) -> Tensor:
    return functional.batch_norm(values, mean, variance, weight, bias, eps=eps)


def _group_norm(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    rows: int,
    channels: int,
    cells: int,
    groups: int,
    eps: float,
) -> Tensor:
    return functional.group_norm(values, groups, weight, bias, eps)


def _table() -> Iterator[tuple[str, Operator]]:
    """Yield every overload of the operators above, and those that do the same in place."""
    for name in (*ELEMENTWISE, *BY_IMAGE, *LAST_AXES, *PAIRS, *VIEWS, *OTHERS):
        for variant in (name, f"{name}_"):  # the second changes its input in place
            packet = getattr(torch.ops.aten, variant, None)
            for overload in packet.overloads() if packet else ():
                full_name = f"{variant}.{overload}"
                if "out" not in overload.split("_") and full_name not in UNSAFE:
                    yield full_name, _bounded(name, _call(getattr(packet, overload)))
    for name, function in NUMBER_OPERATORS.items():
        yield f"number.{name}", _number_operator(function)
    for name in DROPOUTS:
        yield f"{name}.default", _first
        yield f"{name}_.default", _first
    for name in ("view.default", "_unsafe_view.default"):  # of any layout in memory
        yield name, _call(torch.reshape)
    yield "copy.default", _call(_copy)
    yield "_native_batch_norm_legit.no_stats", _call(_batch_norm_of_batch)
    yield "batch_norm.default", _call(_batch_norm)
    # Their further results are of use in training only.
    yield "_native_batch_norm_legit_no_training.default", _call(_batch_norm_as_learned)
    yield "native_group_norm.default", _call(_group_norm)
    yield "native_layer_norm.default", _call(functional.layer_norm)
    yield "native_dropout.default", lambda inputs, _: (inputs[0], torch.ones_like(inputs[0]))
    # By these names they are recorded as attention.
    yield "softmax.int", _call(torch.softmax)
    yield "_softmax.default", _call(lambda values, axis, _: torch.softmax(values, axis))
    attention = _call(functional.scaled_dot_product_attention)
    yield "scaled_dot_product_attention.default", attention
    yield "sym_size.int", _size
    yield "size.int", _size
    yield "size.default", lambda inputs, _: torch.tensor(inputs[0].shape)
    yield "__getitem__.t", lambda inputs, attributes: inputs[0][attributes["positional"][1]]


def _is_softmax(node: Node, axes: int) -> bool:
    if node.operator not in ("softmax.int", "_softmax.default"):
        return False
    return node.attributes["positional"][1] in (-1, axes - 1)


def _is_by_image(node: Node) -> bool:
    """Say whether an operator leaves rows apart; a norm without statistics takes those of all."""
    learned = node.operator != "batch_norm.default" or node.attributes["positional"][3] is not None
    return node.operator.partition(".")[0] in BY_IMAGE and learned


def _batch_norm_node(node: Node) -> BatchNormNode | None:
    """Return how a node is a BatchNorm that remembers."""
    if node.operator not in EPS_OF_BATCH_NORM:
        return None
    positional = node.attributes["positional"]
    weight, bias, mean, variance = (
        value.position if isinstance(value, Slot) else None for value in positional[1:5]
    )
    eps = positional[EPS_OF_BATCH_NORM[node.operator]]
    if mean is None or variance is None or not isinstance(eps, float):
        return None
    return BatchNormNode((weight, bias, mean, variance), eps)


def _overloads(*names: str) -> set[str]:
    return {operator for operator in OPERATORS if operator.partition(".")[0] in names}


OPERATORS: dict[str, Operator] = dict(_table())
ATEN = Language(
    operators=OPERATORS,
    shape_operators={"sym_size.int", "size.int", "size.default"},
    is_by_image=_is_by_image,
    pair_operators=_overloads(*PAIRS),
    last_axes_operators=_overloads(*ELEMENTWISE, *LAST_AXES, *DROPOUTS),
    is_softmax=_is_softmax,
    batch_norm=_batch_norm_node,
)
