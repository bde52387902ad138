"""Operators that slide a window over an image, or change its size, with ONNX's padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from diagnostics.models.graph import Attributes, Inputs
from diagnostics.models.graph.shaping import ints, optional

MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def convolve(values: Tensor, weight: Tensor, bias: Tensor | None, attributes: Attributes) -> Tensor:
    """Convolve images or sequences; asymmetric padding is done beforehand."""
    axes = values.ndim - 2
    strides, dilations = (
        _per_axis(attributes, "strides", axes),
        _per_axis(attributes, "dilations", axes),
    )
    pads = _pads(values, weight.shape[2:], strides, dilations, attributes)
    values, symmetric = _padded(values, pads, 0.0)
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
    return function(values, weight, bias, strides, symmetric, dilations, attributes.get("group", 1))


def convolve_transposed(
    values: Tensor, weight: Tensor, bias: Tensor | None, attributes: Attributes
) -> Tensor:
    """Convolve backwards; padding cuts the result."""
    if attributes.get("auto_pad", "NOTSET") != "NOTSET" or attributes.get("output_shape"):
        raise ValueError("this way of padding a transposed convolution is not computed")
    axes = values.ndim - 2
    pads = list(attributes.get("pads", [0] * 2 * axes))
    if pads[:axes] != pads[axes:]:
        raise ValueError("asymmetric padding of a transposed convolution is not computed")
    return functional.conv_transpose2d(
        values,
        weight,
        bias,
        _per_axis(attributes, "strides", axes),
        pads[:axes],
        list(attributes.get("output_padding", [0] * axes)),
        attributes.get("group", 1),
        _per_axis(attributes, "dilations", axes),
    )


def pool(values: Tensor, attributes: Attributes, *, largest: bool) -> Tensor:
    """Take the largest or the mean value of each window."""
    sides = list(attributes["kernel_shape"])
    strides, dilations = (
        _per_axis(attributes, "strides", len(sides)),
        _per_axis(attributes, "dilations", len(sides)),
    )
    pads = _pads(values, sides, strides, dilations, attributes)
    ceil = bool(attributes.get("ceil_mode", 0))
    if largest:
        values, symmetric = _padded(values, pads, float("-inf"))
        function = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[
            len(sides) - 1
        ]
        return function(values, sides, strides, symmetric, dilations, ceil)
    counts_padding = bool(attributes.get("count_include_pad", 0))
    average = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[len(sides) - 1]
    before, after = pads[: len(sides)], pads[len(sides) :]
    if before == after:
        return average(values, sides, strides, before, ceil, counts_padding)
    padded, _ = _padded(values, pads, 0.0)
    mean = average(padded, sides, strides, 0, ceil)
    if counts_padding:
        return mean
    share, _ = _padded(torch.ones_like(values[:1, :1]), pads, 0.0)
    return mean / average(share, sides, strides, 0, ceil)


def pad(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Pad with a constant, by mirroring, or by repeating the edge; negative padding cuts."""
    values: Tensor = inputs[0]
    amounts = attributes["pads"] if optional(inputs, 1) is None else ints(inputs[1])
    mode = MODES[attributes.get("mode", "constant")]
    fill = attributes.get("value", 0.0) if optional(inputs, 2) is None else inputs[2]
    axes = list(range(values.ndim))
    if optional(inputs, 3) is not None:
        axes = [axis % values.ndim for axis in ints(inputs[3])]
    both = dict.fromkeys(range(values.ndim), (0, 0))
    both |= {axis: (amounts[i], amounts[i + len(axes)]) for i, axis in enumerate(axes)}
    pairs = [both[axis] for axis in reversed(range(values.ndim))]
    if mode == "constant":
        flat = [amount for pair in pairs for amount in pair]
        return functional.pad(values, flat, mode, float(fill))
    inner = [amount for pair in pairs[: values.ndim - 2] for amount in pair]
    if any(amount for pair in pairs[values.ndim - 2 :] for amount in pair):
        raise ValueError("only the sides of an image can be mirrored or repeated")
    return functional.pad(values, inner, mode)


def resize(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Change the size of images by the nearest value or linearly."""
    values: Tensor = inputs[0]
    scales = optional(inputs, 2)
    if optional(inputs, 3) is not None:
        sides = ints(inputs[3])[-2:]
    elif scales is not None and scales.numel():
        sides = [
            int(side * factor)
            for side, factor in zip(values.shape[2:], scales.tolist()[-2:], strict=True)
        ]
    else:
        raise ValueError("neither sizes nor scales are given")
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    mode = attributes.get("mode", "nearest")
    if mode == "nearest":
        return functional.interpolate(values, sides, mode="nearest")
    if coordinates not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise ValueError(f"the coordinates {coordinates} are not computed")
    name = {"linear": "bilinear", "cubic": "bicubic"}[mode]
    corners = coordinates == "align_corners"
    return functional.interpolate(values, sides, mode=name, align_corners=corners)


def _per_axis(attributes: Attributes, name: str, axes: int) -> list[int]:
    return list(attributes.get(name, [1] * axes))


def _pads(
    values: Tensor,
    sides: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    attributes: Attributes,
) -> list[int]:
    """Return how much to pad before each axis, then after each."""
    mode = attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return list(attributes.get("pads", [0] * 2 * len(sides)))
    if mode == "VALID":
        return [0] * 2 * len(sides)
    before, after = [], []
    for length, side, stride, step in zip(values.shape[2:], sides, strides, dilations, strict=True):
        covered = (-(-length // stride) - 1) * stride + (side - 1) * step + 1
        missing = max(covered - length, 0)
        small, large = missing // 2, missing - missing // 2
        before.append(large if mode == "SAME_LOWER" else small)
        after.append(small if mode == "SAME_LOWER" else large)
    return [*before, *after]


def _padded(values: Tensor, pads: Sequence[int], fill: float) -> tuple[Tensor, list[int]]:
    """Pad what torch cannot while it slides; return the values and the padding that is left."""
    axes = len(pads) // 2
    before, after = list(pads[:axes]), list(pads[axes:])
    if before == after:
        return values, before
    flat = [amount for axis in reversed(range(axes)) for amount in (before[axis], after[axis])]
    return functional.pad(values, flat, value=fill), [0] * axes
