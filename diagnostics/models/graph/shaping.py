"""Operators that move values, choose among them, or change their shape or type."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diagnostics.models.graph import Attributes, Given

MOST_VALUES = 2**28  # that an operator may make out of nothing

# Element types by ONNX's number; half precision is computed in single, as everywhere here.
TYPES = {
    1: torch.float32,
    10: torch.float32,
    16: torch.float32,
    11: torch.float64,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
}


def ints(value: Any) -> list[int]:
    """Return whole numbers out of a tensor or a list."""
    return [int(one) for one in (value.tolist() if isinstance(value, Tensor) else value)]


def sized(sides: list[int]) -> list[int]:
    """Return a shape that is to be made, if it is one that a classifier may need.

    Raises:
        ValueError: When it is far larger.
    """
    if math.prod(sides) > MOST_VALUES:
        raise ValueError(f"a shape of {math.prod(sides):,} values is refused")
    return sides


def optional(given: Given, place: int) -> Any:
    """Return an input, or None where it is left out."""
    return given[place] if len(given) > place else None


def axes_of(given: Given, attributes: Attributes, place: int = 1) -> list[int] | None:
    """Return axes, which older versions give as an attribute and newer ones as an input."""
    axes = optional(given, place)
    axes = attributes.get("axes") if axes is None else axes
    return None if axes is None else ints(axes)


def reshape(given: Given, attributes: Attributes) -> Tensor:
    """Give values another shape; 0 keeps a side, -1 takes what is left."""
    values, shape = given[0], ints(given[1])
    if not attributes.get("allowzero"):
        shape = [values.shape[axis] if side == 0 else side for axis, side in enumerate(shape)]
    return values.reshape(shape)  # type: ignore[no-any-return]


def flatten(given: Given, attributes: Attributes) -> Tensor:
    """Make two axes out of all."""
    axis = attributes.get("axis", 1)
    sides = given[0].shape[:axis] if axis >= 0 else given[0].shape[: given[0].ndim + axis]
    return given[0].reshape(math.prod(sides), -1)  # type: ignore[no-any-return]


def transpose(given: Given, attributes: Attributes) -> Tensor:
    """Put the axes in another order, the reverse one by default."""
    usual = list(reversed(range(given[0].ndim)))
    return given[0].permute(attributes.get("perm", usual))  # type: ignore[no-any-return]


def squeeze(given: Given, attributes: Attributes) -> Tensor:
    """Take away axes of length one."""
    values, axes = given[0], axes_of(given, attributes)
    return values.squeeze() if axes is None else values.squeeze(tuple(axes))  # type: ignore[no-any-return]


def unsqueeze(given: Given, attributes: Attributes) -> Tensor:
    """Add axes of length one."""
    values, axes = given[0], axes_of(given, attributes) or []
    whole = values.ndim + len(axes)
    for axis in sorted(axis % whole for axis in axes):
        values = values.unsqueeze(axis)
    return values  # type: ignore[no-any-return]


def concat(given: Given, attributes: Attributes) -> Tensor:
    """Put values one behind the other along an axis."""
    return torch.cat(list(given), attributes["axis"])


def split(given: Given, attributes: Attributes) -> tuple[Tensor, ...]:
    """Cut values along an axis into parts, of equal size unless sizes are given."""
    axis, sizes = attributes.get("axis", 0), optional(given, 1)
    sizes = attributes.get("split") if sizes is None else sizes
    if sizes is None:
        parts = attributes.get("num_outputs", attributes["outputs"])
        return given[0].split(-(-given[0].shape[axis] // parts), axis)  # type: ignore[no-any-return]
    return given[0].split(ints(sizes), axis)  # type: ignore[no-any-return]


def sliced(given: Given, attributes: Attributes) -> Tensor:
    """Take a range along some axes; a negative step goes backwards."""
    values = given[0]
    if len(given) == 1:
        starts, ends, steps = attributes["starts"], attributes["ends"], None
        axes = attributes.get("axes")
    else:
        starts, ends, steps = ints(given[1]), ints(given[2]), optional(given, 4)
        axes = None if optional(given, 3) is None else ints(given[3])
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(axes) if steps is None else ints(steps)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step > 0:
            chosen = [slice(None)] * (axis % values.ndim) + [slice(start, end, step)]
            values = values[tuple(chosen)]
        else:
            end = None if end < -(2**30) else end
            places = list(range(values.shape[axis]))[start:end:step]
            values = values.index_select(axis, torch.tensor(places, device=values.device))
    return values  # type: ignore[no-any-return]


def gather(given: Given, attributes: Attributes) -> Tensor:
    """Take entries along an axis, negative places from the end."""
    values, places, axis = given[0], given[1], attributes.get("axis", 0) % given[0].ndim
    places = torch.where(places < 0, places + values.shape[axis], places).to(values.device)
    found = values.index_select(axis, places.flatten())
    shape = (*values.shape[:axis], *places.shape, *values.shape[axis + 1 :])
    return found.reshape(shape)  # type: ignore[no-any-return]


def gather_elements(given: Given, attributes: Attributes) -> Tensor:
    """Take one entry along an axis for each place."""
    axis = attributes.get("axis", 0)
    places = torch.where(given[1] < 0, given[1] + given[0].shape[axis], given[1])
    return given[0].gather(axis, places.to(given[0].device))  # type: ignore[no-any-return]


def scatter(given: Given, attributes: Attributes) -> Tensor:
    """Put rows in the places that are named."""
    if attributes.get("reduction", "none") != "none":
        raise ValueError("a reduction while scattering is not computed")
    places = given[1].to(given[0].device)
    return given[0].index_put(tuple(places.unbind(-1)), given[2])  # type: ignore[no-any-return]


def expand(given: Given, _: Attributes) -> Tensor:
    """Repeat values until they have the shape, as far as it is larger."""
    sides = ints(given[1])
    sized(list(np.broadcast_shapes(tuple(given[0].shape), tuple(sides))))
    ones = torch.ones(sides, dtype=given[0].dtype, device=given[0].device)
    return given[0] * ones if given[0].dtype != torch.bool else given[0] & ones  # type: ignore[no-any-return]


def tile(given: Given, _: Attributes) -> Tensor:
    """Repeat values a number of times along each axis."""
    times = ints(given[1])
    sized([given[0].numel(), *times])
    return given[0].repeat(times)  # type: ignore[no-any-return]


def shape_of(given: Given, attributes: Attributes) -> Tensor:
    """Return the sides of values."""
    sides = list(given[0].shape)[attributes.get("start", 0) : attributes.get("end")]
    return torch.tensor(sides, dtype=torch.int64)


def constant(given: Given, attributes: Attributes) -> Tensor:
    """Return the value that the node itself holds."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in attributes:
            value = attributes[name]
            return value if isinstance(value, Tensor) else torch.tensor(value)
    raise ValueError("a constant of a kind that is not computed")


def filled(given: Given, attributes: Attributes) -> Tensor:
    """Return a shape full of one value."""
    value = attributes.get("value", torch.zeros(1))
    return value.flatten()[0].expand(sized(ints(given[0]))).clone()  # type: ignore[no-any-return]


def cast(given: Given, attributes: Attributes) -> Tensor:
    """Change the type of values."""
    return given[0].to(TYPES[attributes["to"]])  # type: ignore[no-any-return]


def counted(given: Given, _: Attributes) -> Tensor:
    """Count from one number to another."""
    first, last, step = (one.item() for one in given)
    sized([int(abs(last - first) / abs(step)) + 1])
    return torch.arange(first, last, step, dtype=given[0].dtype)


def depth_to_space(given: Given, attributes: Attributes) -> Tensor:
    """Turn channels into blocks of pixels."""
    values, side = given[0], attributes["blocksize"]
    n, c, h, w = values.shape
    if attributes.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(values, side)
    blocks = values.reshape(n, side, side, c // side**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // side**2, h * side, w * side)  # type: ignore[no-any-return]


def triangle(given: Given, attributes: Attributes) -> Tensor:
    """Keep the values above the diagonal, or below it."""
    diagonal = 0 if optional(given, 1) is None else int(given[1])
    function = torch.triu if attributes.get("upper", 1) else torch.tril
    return function(given[0], diagonal)
