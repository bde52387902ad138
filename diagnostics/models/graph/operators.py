"""What each operator computes, in torch, so that gradients flow wherever they are defined.

Sources: the operator specifications of ONNX, versions 7 to 25.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from diagnostics.models.graph import Attributes, Given, Language, Node, Operator, shaping
from diagnostics.models.graph.windows import convolve, convolve_transposed, pad, pool, resize


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda given, _: function(given[0])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda given, _: function(given[0], given[1])


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def operator(given: Given, _: Attributes) -> Tensor:
        result: Tensor = given[0]
        for other in given[1:]:
            result = function(result, other)
        return result

    return operator


def _divide(one: Tensor, other: Tensor) -> Tensor:
    whole = not one.is_floating_point() and not other.is_floating_point()
    return torch.div(one, other, rounding_mode="trunc") if whole else one / other


def _power(one: Tensor, other: Tensor) -> Tensor:
    return one.pow(other.item() if other.numel() == 1 else other.to(one.dtype))


def _modulo(given: Given, attributes: Attributes) -> Tensor:
    function = torch.fmod if attributes.get("fmod") else torch.remainder
    return function(given[0], given[1])


def _clip(given: Given, attributes: Attributes) -> Tensor:
    low, high = (
        attributes.get(name)
        if shaping.optional(given, place) is None
        else shaping.optional(given, place).item()
        for place, name in ((1, "min"), (2, "max"))
    )
    return given[0] if low is None and high is None else torch.clamp(given[0], low, high)


def _gemm(given: Given, attributes: Attributes) -> Tensor:
    one = given[0].T if attributes.get("transA") else given[0]
    other = given[1].T if attributes.get("transB") else given[1]
    result: Tensor = attributes.get("alpha", 1.0) * (one @ other)
    bias = shaping.optional(given, 2)
    return result if bias is None else result + attributes.get("beta", 1.0) * bias


def _batch_norm(given: Given, attributes: Attributes) -> Tensor:
    values, scale, bias, mean, variance = given
    return functional.batch_norm(
        values, mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5)
    )


def _layer_norm(given: Given, attributes: Attributes) -> Tensor:
    axis, eps = attributes.get("axis", -1) % given[0].ndim, attributes.get("epsilon", 1e-5)
    return functional.layer_norm(
        given[0], given[0].shape[axis:], given[1], shaping.optional(given, 2), eps
    )


def _instance_norm(given: Given, attributes: Attributes) -> Tensor:
    return functional.instance_norm(
        given[0], weight=given[1], bias=given[2], eps=attributes.get("epsilon", 1e-5)
    )


def _group_norm(given: Given, attributes: Attributes) -> Tensor:
    groups, eps = attributes["num_groups"], attributes.get("epsilon", 1e-5)
    scale, bias = given[1], given[2]
    if len(scale) == groups != given[0].shape[1]:  # version 18 scales groups, not channels
        each = given[0].shape[1] // groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return functional.group_norm(given[0], groups, scale, bias, eps)


def _softmax(function: Callable[..., Tensor], given: Given, attributes: Attributes) -> Tensor:
    values = given[0]
    if attributes["version"] >= 13:
        return function(values, attributes.get("axis", -1))
    axis = attributes.get("axis", 1) % max(values.ndim, 1)
    return function(values.flatten(axis), -1).reshape(values.shape)


def _reduce(function: Callable[..., Tensor], given: Given, attributes: Attributes) -> Tensor:
    values, axes = given[0], shaping.axes_of(given, attributes)
    if not axes:
        if attributes.get("noop_with_empty_axes"):
            return given[0]  # type: ignore[no-any-return]
        axes = list(range(values.ndim))
    return function(values, axes, bool(attributes.get("keepdims", 1)))


def _product(values: Tensor, axes: Sequence[int], keeps: bool) -> Tensor:
    for axis in sorted((axis % values.ndim for axis in axes), reverse=True):
        values = values.prod(axis, keepdim=keeps)
    return values


def _arg(function: Callable[..., Tensor], given: Given, attributes: Attributes) -> Tensor:
    return function(given[0], attributes.get("axis", 0), bool(attributes.get("keepdims", 1)))


def _gelu(given: Given, attributes: Attributes) -> Tensor:
    return functional.gelu(given[0], approximate=attributes.get("approximate", "none"))


def _hard_sigmoid(given: Given, attributes: Attributes) -> Tensor:
    return (attributes.get("alpha", 0.2) * given[0] + attributes.get("beta", 0.5)).clamp(0, 1)  # type: ignore[no-any-return]


def _prelu(given: Given, _: Attributes) -> Tensor:
    return torch.where(given[0] < 0, given[0] * given[1], given[0])


def _per_axis(values: Tensor, scale: Tensor, attributes: Attributes) -> list[int]:
    """Return the shape in which a scale for each channel meets the values."""
    axis = attributes.get("axis", 1) % max(values.ndim, 1)
    return (
        [1] * values.ndim
        if scale.numel() == 1
        else [scale.numel() if one == axis else 1 for one in range(values.ndim)]
    )


def _quantize(given: Given, attributes: Attributes) -> Tensor:
    """Round to the nearest step, straight through for gradients, which rounding would stop."""
    values, scale, zero = given[0], given[1], shaping.optional(given, 2)
    shape = _per_axis(values, scale, attributes)
    offset = torch.zeros(1) if zero is None else zero.float().reshape(shape)
    signed = zero is not None and zero.dtype == torch.int8
    low, high = (-128, 127) if signed else (0, 255)
    exact = values / scale.reshape(shape) + offset
    return exact + (exact.round().clamp(low, high) - exact).detach()  # type: ignore[no-any-return]


def _dequantize(given: Given, attributes: Attributes) -> Tensor:
    values, scale, zero = given[0], given[1], shaping.optional(given, 2)
    shape = _per_axis(values, scale, attributes)
    offset = 0.0 if zero is None else zero.float().reshape(shape)
    return (values.float() - offset) * scale.reshape(shape)  # type: ignore[no-any-return]


def _einsum(given: Given, attributes: Attributes) -> Tensor:
    return torch.einsum(attributes["equation"], *given)


def _local_response(given: Given, attributes: Attributes) -> Tensor:
    return functional.local_response_norm(
        given[0],
        attributes["size"],
        attributes.get("alpha", 1e-4),
        attributes.get("beta", 0.75),
        attributes.get("bias", 1.0),
    )


OPERATORS: dict[str, Operator] = {
    **{
        name: _unary(getattr(torch, name.lower()))
        for name in [
            "Abs",
            "Neg",
            "Exp",
            "Log",
            "Sqrt",
            "Reciprocal",
            "Floor",
            "Ceil",
            "Round",
            "Sign",
            "Erf",
            "Sin",
            "Tanh",
            "Sigmoid",
            "Relu",
        ]
    },
    "Cos": _unary(torch.cos),
    "Not": _unary(torch.logical_not),
    "IsNaN": _unary(torch.isnan),
    "Softplus": _unary(functional.softplus),
    "Softsign": _unary(functional.softsign),
    "Mish": _unary(functional.mish),
    "HardSwish": _unary(functional.hardswish),
    "Identity": _unary(lambda values: values),
    "Dropout": _unary(lambda values: values),
    "Add": _binary(torch.add),
    "Sub": _binary(torch.sub),
    "Mul": _binary(torch.mul),
    "Div": _binary(_divide),
    "Pow": _binary(_power),
    "MatMul": _binary(torch.matmul),
    "And": _binary(torch.logical_and),
    "Or": _binary(torch.logical_or),
    "Equal": _binary(torch.eq),
    "Less": _binary(torch.lt),
    "Greater": _binary(torch.gt),
    "LessOrEqual": _binary(torch.le),
    "GreaterOrEqual": _binary(torch.ge),
    "Min": _folded(torch.minimum),
    "Max": _folded(torch.maximum),
    "Sum": _folded(torch.add),
    "Mean": lambda given, _: sum(given) / len(given),
    "Mod": _modulo,
    "Clip": _clip,
    "Gemm": _gemm,
    "PRelu": _prelu,
    "Gelu": _gelu,
    "Where": lambda given, _: torch.where(*given),
    "LeakyRelu": lambda given, own: functional.leaky_relu(given[0], own.get("alpha", 0.01)),
    "Elu": lambda given, own: functional.elu(given[0], own.get("alpha", 1.0)),
    "Selu": lambda given, own: functional.selu(given[0]),
    "HardSigmoid": _hard_sigmoid,
    "Softmax": partial(_softmax, torch.softmax),
    "LogSoftmax": partial(_softmax, torch.log_softmax),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LRN": _local_response,
    "Conv": lambda given, own: convolve(given[0], given[1], shaping.optional(given, 2), own),
    "ConvTranspose": lambda given, own: convolve_transposed(
        given[0], given[1], shaping.optional(given, 2), own
    ),
    "MaxPool": lambda given, own: pool(given[0], own, largest=True),
    "AveragePool": lambda given, own: pool(given[0], own, largest=False),
    "GlobalAveragePool": lambda given, _: given[0].mean((2, 3), keepdim=True),
    "GlobalMaxPool": lambda given, _: given[0].amax((2, 3), keepdim=True),
    "Pad": pad,
    "Resize": resize,
    "Upsample": lambda given, own: resize([given[0], None, given[1]], own),
    "ReduceMean": partial(_reduce, torch.mean),
    "ReduceSum": partial(_reduce, torch.sum),
    "ReduceMax": partial(_reduce, torch.amax),
    "ReduceMin": partial(_reduce, torch.amin),
    "ReduceProd": partial(_reduce, _product),
    "ReduceL1": partial(_reduce, lambda v, axes, keeps: v.abs().sum(axes, keeps)),
    "ReduceL2": partial(_reduce, lambda v, axes, keeps: v.square().sum(axes, keeps).sqrt()),
    "ReduceSumSquare": partial(_reduce, lambda v, axes, keeps: v.square().sum(axes, keeps)),
    "ArgMax": partial(_arg, torch.argmax),
    "ArgMin": partial(_arg, torch.argmin),
    "Reshape": shaping.reshape,
    "Flatten": shaping.flatten,
    "Transpose": shaping.transpose,
    "Squeeze": shaping.squeeze,
    "Unsqueeze": shaping.unsqueeze,
    "Concat": shaping.concat,
    "Split": shaping.split,
    "Slice": shaping.sliced,
    "Gather": shaping.gather,
    "GatherElements": shaping.gather_elements,
    "ScatterND": shaping.scatter,
    "Expand": shaping.expand,
    "Shape": shaping.shape_of,
    "Constant": shaping.constant,
    "ConstantOfShape": shaping.filled,
    "Tile": shaping.tile,
    "Size": lambda given, _: torch.tensor(given[0].numel()),
    "Cast": shaping.cast,
    "CastLike": lambda given, _: given[0].to(given[1].dtype),
    "Range": shaping.counted,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Einsum": _einsum,
    "DepthToSpace": shaping.depth_to_space,
    "Trilu": shaping.triangle,
    "CumSum": lambda given, _: given[0].cumsum(int(given[1])),
}


def _is_softmax(node: Node, axes: int) -> bool:
    usual = -1 if node.attributes["version"] >= 13 else 1
    last = node.attributes.get("axis", usual) in (-1, axes - 1)
    return node.operator == "Softmax" and last


BY_ROW = {
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "Relu",
    "LeakyRelu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Gelu",
    "Erf",
}
ONNX = Language(
    operators=OPERATORS,
    of_shapes={"Shape", "Size"},
    is_by_row=lambda node: node.operator in BY_ROW,
    of_equals={"Add", "Sub", "Mul", "Div"},
    of_last_axes=(),
    is_softmax=_is_softmax,
)
