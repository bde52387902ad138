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

from diagnostics.models.graph import Attributes, Given, Language, Node, Operator
from diagnostics.models.graph.aten_names import (
    DROPOUTS,
    ELEMENTWISE,
    EQUALS,
    LAST_AXES,
    MADE,
    NEVER,
    OTHERS,
    ROWS,
    VIEWS,
)
from diagnostics.models.graph.shaping import sized

OF_NUMBERS: dict[str, Callable[..., Any]] = {  # Python's own, on sizes
    **{
        name: getattr(operator, name)
        for name in [
            "add",
            "sub",
            "mul",
            "truediv",
            "mod",
            "neg",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "pow",
        ]
    },
    "floordiv": torch.floor_divide,
}
LARGEST_POWER = 64


@dataclass(frozen=True)
class Slot:
    """An argument that is one of a node's inputs.

    Args:
        place: Which one.
        number: Whether it is taken as a number instead of a tensor.
    """

    place: int
    number: bool = False


class Device:
    """An argument that is a device: the one where the other arguments are."""


def arguments(positional: Sequence[Any], named: Mapping[str, Any]) -> Attributes:
    """Return a node's attributes: the arguments of its call, with a `Slot` for each input."""
    return {"positional": tuple(positional), "named": dict(named)}


def single(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which values of a type are computed: half precision in single."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def writes(node: Node) -> bool:
    """Say whether a node changes its first input."""
    return node.operator.partition(".")[0].endswith("_")


def _call(function: Callable[..., Any]) -> Operator:
    """Return an operator that calls a function with the node's arguments."""

    def computed(given: Given, own: Attributes) -> Any:
        device = next((one.device for one in given if isinstance(one, Tensor) and one.ndim), None)
        positional = [_filled(one, given, device) for one in own["positional"]]
        named = {
            name: _filled(one, given, device)
            for name, one in own["named"].items()
            if name != "memory_format"  # how values lie in memory is not what they are
        }
        found = function(*positional, **named)
        return torch.tensor(found) if isinstance(found, bool | int | float) else found

    return computed


def _bounded(name: str, computed: Operator) -> Operator:
    """Return an operator that refuses to make far more values than a classifier needs."""
    if name not in MADE:
        return computed

    def checked(given: Given, own: Attributes) -> Any:
        sizes = own["positional"][MADE[name]]
        sides = (
            [_filled(one, given, None) for one in sizes] if isinstance(sizes, tuple | list) else []
        )
        whole = [int(one) for one in sides]
        if name in ("repeat", "tile"):
            whole.append(given[0].numel())
        sized(whole)
        return computed(given, own)

    return checked


def _of_numbers(function: Callable[..., Any]) -> Operator:
    """Return an operator of Python on sizes: numbers only, and none that grow without end."""

    def computed(given: Given, own: Attributes) -> Any:
        values = [_filled(one, given, None) for one in own["positional"]]
        if not all(isinstance(one, int | float | Tensor) for one in values):
            raise ValueError("only numbers can be computed with")
        if function is operator.pow and abs(float(values[1])) > LARGEST_POWER:
            raise ValueError("a power that large is refused")
        found = function(*values)
        return found if isinstance(found, Tensor) else torch.tensor(found)

    return computed


def _filled(argument: Any, given: Given, device: torch.device | None) -> Any:
    if isinstance(argument, Slot):
        value = given[argument.place]
        return value.item() if argument.number else value
    if isinstance(argument, list | tuple):
        return [_filled(one, given, device) for one in argument]
    return device if isinstance(argument, Device) else argument


def _first(given: Given, _: Attributes) -> Any:
    return given[0]


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
    learns = mean is None
    values = values.contiguous() if learns else values
    return functional.batch_norm(values, mean, variance, weight, bias, learns, momentum, eps)


def _copied(values: Tensor, others: Tensor, _: bool = False) -> Tensor:
    return others.to(values.dtype).expand_as(values).clone()


def _norm_of_batch(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    _: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    values = values.contiguous()  # its gradient is wrong for one image with channels last
    return functional.batch_norm(values, None, None, weight, bias, True, momentum, eps)


def _norm_as_learned(
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
    for name in dict.fromkeys((*ELEMENTWISE, *ROWS, *LAST_AXES, *EQUALS, *VIEWS, *OTHERS)):
        for own in (name, f"{name}_"):
            packet = getattr(torch.ops.aten, own, None)
            for overload in packet.overloads() if packet else ():
                full = f"{own}.{overload}"
                if "out" not in overload.split("_") and full not in NEVER:
                    yield full, _bounded(name, _call(getattr(packet, overload)))
    for name, function in OF_NUMBERS.items():
        yield f"number.{name}", _of_numbers(function)
    for name in DROPOUTS:  # of training; here the network is asked, not trained
        yield from ((f"{own}.default", _first) for own in (name, f"{name}_"))
    for name in ("view.default", "_unsafe_view.default"):  # of any layout in memory
        yield name, _call(torch.reshape)
    yield "copy.default", _call(_copied)
    yield "_native_batch_norm_legit.no_stats", _call(_norm_of_batch)
    yield "batch_norm.default", _call(_batch_norm)
    # Their further results are of use in training only.
    yield "_native_batch_norm_legit_no_training.default", _call(_norm_as_learned)
    yield "native_group_norm.default", _call(_group_norm)
    yield "native_layer_norm.default", _call(functional.layer_norm)
    yield "native_dropout.default", lambda given, _: (given[0], torch.ones_like(given[0]))
    # By these names they are heard as attention.
    yield "softmax.int", _call(torch.softmax)
    yield "_softmax.default", _call(lambda values, axis, _: torch.softmax(values, axis))
    attention = _call(functional.scaled_dot_product_attention)
    yield "scaled_dot_product_attention.default", attention
    yield "sym_size.int", lambda given, own: torch.tensor(given[0].shape[own["positional"][1]])
    yield "size.int", lambda given, own: torch.tensor(given[0].shape[own["positional"][1]])
    yield "size.default", lambda given, _: torch.tensor(given[0].shape)
    yield "__getitem__.t", lambda given, own: given[0][own["positional"][1]]


def _is_softmax(node: Node, axes: int) -> bool:
    if node.operator not in ("softmax.int", "_softmax.default"):
        return False
    return node.attributes["positional"][1] in (-1, axes - 1)


def _is_by_row(node: Node) -> bool:
    """Say whether an operator leaves rows apart; a norm without statistics takes those of all."""
    learned = node.operator != "batch_norm.default" or node.attributes["positional"][3] is not None
    return node.operator.partition(".")[0] in ROWS and learned


def _overloads(*names: str) -> set[str]:
    return {full for full in OPERATORS if full.partition(".")[0] in names}


OPERATORS: dict[str, Operator] = dict(_table())
ATEN = Language(
    operators=OPERATORS,
    of_shapes={"sym_size.int", "size.int", "size.default"},
    is_by_row=_is_by_row,
    of_equals=_overloads(*EQUALS),
    of_last_axes=_overloads(*ELEMENTWISE, *LAST_AXES, *DROPOUTS),
    is_softmax=_is_softmax,
)
