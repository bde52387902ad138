"""Operators that move values, choose among them, or change their shape or type."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diagnostics.models.graph import Attributes, Inputs

MAX_VALUES = 2**28  # that an operator may make out of nothing

# Element types by ONNX's number; half precision is computed in single, as everywhere here.
TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float32,
    11: torch.float64,
    16: torch.float32,
}


def ints(value: Any) -> list[int]:
    """Return whole numbers out of a tensor or a list."""
    return [int(number) for number in (value.tolist() if isinstance(value, Tensor) else value)]


def checked_shape(sides: list[int]) -> list[int]:
    """Return a shape that is to be made, if it is one that a classifier may need.

    Raises:
        ValueError: When it is far larger.
    """
    if math.prod(sides) > MAX_VALUES:
        raise ValueError(f"a shape of {math.prod(sides):,} values is refused")
    return sides


def optional(inputs: Inputs, position: int) -> Any:
    """Return an input, or None where it is left out."""
    return inputs[position] if len(inputs) > position else None


def axes_of(inputs: Inputs, attributes: Attributes, position: int = 1) -> list[int] | None:
    """Return axes, which older versions give as an attribute and newer ones as an input."""
    axes = optional(inputs, position)
    axes = attributes.get("axes") if axes is None else axes
    return None if axes is None else ints(axes)


def reshape(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Give values another shape; 0 keeps a side, -1 takes what is left."""
    values, shape = inputs[0], ints(inputs[1])
    if not attributes.get("allowzero"):
        shape = [values.shape[axis] if side == 0 else side for axis, side in enumerate(shape)]
    return values.reshape(shape)  # type: ignore[no-any-return]


def flatten(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Make two axes out of all."""
    axis = attributes.get("axis", 1)
    sides = inputs[0].shape[:axis] if axis >= 0 else inputs[0].shape[: inputs[0].ndim + axis]
    return inputs[0].reshape(math.prod(sides), -1)  # type: ignore[no-any-return]


def transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Put the axes in another order, the reverse one by default."""
    reverse = list(reversed(range(inputs[0].ndim)))
    return inputs[0].permute(attributes.get("perm", reverse))  # type: ignore[no-any-return]


def squeeze(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Take away axes of length one."""
    values, axes = inputs[0], axes_of(inputs, attributes)
    return values.squeeze() if axes is None else values.squeeze(tuple(axes))  # type: ignore[no-any-return]


def unsqueeze(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Add axes of length one."""
    values, axes = inputs[0], axes_of(inputs, attributes) or []
    count = values.ndim + len(axes)
    for axis in sorted(axis % count for axis in axes):
        values = values.unsqueeze(axis)
    return values  # type: ignore[no-any-return]


def concat(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Put values one behind the other along an axis."""
    return torch.cat(list(inputs), attributes["axis"])


def split(inputs: Inputs, attributes: Attributes) -> tuple[Tensor, ...]:
    """Cut values along an axis into parts, of equal size unless sizes are an input."""
    axis, sizes = attributes.get("axis", 0), optional(inputs, 1)
    sizes = attributes.get("split") if sizes is None else sizes
    if sizes is None:
        parts = attributes.get("num_outputs", attributes["outputs"])
        return inputs[0].split(-(-inputs[0].shape[axis] // parts), axis)  # type: ignore[no-any-return]
    return inputs[0].split(ints(sizes), axis)  # type: ignore[no-any-return]


def take_slice(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Take a range along some axes; a negative step goes backwards."""
    values = inputs[0]
    if len(inputs) == 1:
        starts, ends, steps = attributes["starts"], attributes["ends"], None
        axes = attributes.get("axes")
    else:
        starts, ends, steps = ints(inputs[1]), ints(inputs[2]), optional(inputs, 4)
        axes = None if optional(inputs, 3) is None else ints(inputs[3])
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(axes) if steps is None else ints(steps)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step > 0:
            chosen = [slice(None)] * (axis % values.ndim) + [slice(start, end, step)]
            values = values[tuple(chosen)]
        else:
            end = None if end < -(2**30) else end
            indices = list(range(values.shape[axis]))[start:end:step]
            values = values.index_select(axis, torch.tensor(indices, device=values.device))
    return values  # type: ignore[no-any-return]


def gather(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Take entries along an axis, negative indices from the end."""
    values, indices, axis = inputs[0], inputs[1], attributes.get("axis", 0) % inputs[0].ndim
    indices = torch.where(indices < 0, indices + values.shape[axis], indices).to(values.device)
    entries = values.index_select(axis, indices.flatten())
    shape = (*values.shape[:axis], *indices.shape, *values.shape[axis + 1 :])
    return entries.reshape(shape)  # type: ignore[no-any-return]


def gather_elements(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Take an entry along an axis for each index."""
    axis = attributes.get("axis", 0)
    indices = torch.where(inputs[1] < 0, inputs[1] + inputs[0].shape[axis], inputs[1])
    return inputs[0].gather(axis, indices.to(inputs[0].device))  # type: ignore[no-any-return]


def scatter(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Put rows at these indices."""
    if attributes.get("reduction", "none") != "none":
        raise ValueError("a reduction while scattering is not computed")
    indices = inputs[1].to(inputs[0].device)
    return inputs[0].index_put(tuple(indices.unbind(-1)), inputs[2])  # type: ignore[no-any-return]


def expand(inputs: Inputs, _: Attributes) -> Tensor:
    """Repeat values until they have the shape, as far as it is larger."""
    sides = ints(inputs[1])
    checked_shape(list(np.broadcast_shapes(tuple(inputs[0].shape), tuple(sides))))
    ones = torch.ones(sides, dtype=inputs[0].dtype, device=inputs[0].device)
    return inputs[0] * ones if inputs[0].dtype != torch.bool else inputs[0] & ones  # type: ignore[no-any-return]


def tile(inputs: Inputs, _: Attributes) -> Tensor:
    """Repeat values a number of times along each axis."""
    times = ints(inputs[1])
    checked_shape([inputs[0].numel(), *times])
    return inputs[0].repeat(times)  # type: ignore[no-any-return]


def shape_of(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Return the sides of values."""
    sides = list(inputs[0].shape)[attributes.get("start", 0) : attributes.get("end")]
    return torch.tensor(sides, dtype=torch.int64)


def constant(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Return the value that the node itself holds."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in attributes:
            value = attributes[name]
            return value if isinstance(value, Tensor) else torch.tensor(value)
    raise ValueError("a constant of a kind that is not computed")


def constant_of_shape(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Return a shape full of the same value."""
    value = attributes.get("value", torch.zeros(1))
    return value.flatten()[0].expand(checked_shape(ints(inputs[0]))).clone()  # type: ignore[no-any-return]


def cast(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Change the type of values."""
    return inputs[0].to(TYPES[attributes["to"]])  # type: ignore[no-any-return]


def number_range(inputs: Inputs, _: Attributes) -> Tensor:
    """Count from one number to another."""
    first, last, step = (value.item() for value in inputs)
    checked_shape([int(abs(last - first) / abs(step)) + 1])
    return torch.arange(first, last, step, dtype=inputs[0].dtype)


def depth_to_space(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Turn channels into blocks of pixels."""
    values, side = inputs[0], attributes["blocksize"]
    n, c, h, w = values.shape
    if attributes.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(values, side)
    blocks = values.reshape(n, side, side, c // side**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // side**2, h * side, w * side)  # type: ignore[no-any-return]


def triangle(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Keep the values above the diagonal, or below it."""
    diagonal = 0 if optional(inputs, 1) is None else int(inputs[1])
    function = torch.triu if attributes.get("upper", 1) else torch.tril
    return function(inputs[0], diagonal)
