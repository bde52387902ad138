"""What each operator computes, in torch, so that gradients flow wherever they are defined.

Sources: the operator specifications of ONNX, versions 7 to 25.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

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
    shaping,
)
from diagnostics.models.graph.windows import convolve, convolve_transposed, pad, pool, resize

EPSILON = 1e-5  # of a norm that names none


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda inputs, _: function(inputs[0])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda inputs, _: function(inputs[0], inputs[1])


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def operator(inputs: Inputs, _: Attributes) -> Tensor:
        result: Tensor = inputs[0]
        for other in inputs[1:]:
            result = function(result, other)
        return result

    return operator


def _divide(values: Tensor, divisor: Tensor) -> Tensor:
    are_integers = not values.is_floating_point() and not divisor.is_floating_point()
    return torch.div(values, divisor, rounding_mode="trunc" if are_integers else None)


def _power(values: Tensor, exponent: Tensor) -> Tensor:
    return values.pow(exponent.item() if exponent.numel() == 1 else exponent.to(values.dtype))


def _modulo(inputs: Inputs, attributes: Attributes) -> Tensor:
    function = torch.fmod if attributes.get("fmod") else torch.remainder
    return function(inputs[0], inputs[1])


def _clip(inputs: Inputs, attributes: Attributes) -> Tensor:
    low, high = (
        attributes.get(name)
        if shaping.optional(inputs, position) is None
        else shaping.optional(inputs, position).item()
        for position, name in ((1, "min"), (2, "max"))
    )
    return inputs[0] if low is None and high is None else torch.clamp(inputs[0], low, high)


def _gemm(inputs: Inputs, attributes: Attributes) -> Tensor:
    left = inputs[0].T if attributes.get("transA") else inputs[0]
    right = inputs[1].T if attributes.get("transB") else inputs[1]
    result: Tensor = attributes.get("alpha", 1.0) * (left @ right)
    bias = shaping.optional(inputs, 2)
    return result if bias is None else result + attributes.get("beta", 1.0) * bias


def _batch_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    values, scale, bias, mean, variance = inputs
    return functional.batch_norm(
        values, mean, variance, scale, bias, eps=attributes.get("epsilon", EPSILON)
    )


def _layer_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    axis, eps = attributes.get("axis", -1) % inputs[0].ndim, attributes.get("epsilon", EPSILON)
    return functional.layer_norm(
        inputs[0], inputs[0].shape[axis:], inputs[1], shaping.optional(inputs, 2), eps
    )


def _instance_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    return functional.instance_norm(
        inputs[0], weight=inputs[1], bias=inputs[2], eps=attributes.get("epsilon", EPSILON)
    )


def _group_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    groups, eps = attributes["num_groups"], attributes.get("epsilon", EPSILON)
    scale, bias = inputs[1], inputs[2]
    if len(scale) == groups != inputs[0].shape[1]:  # version 18 scales groups, not channels
        each = inputs[0].shape[1] // groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return functional.group_norm(inputs[0], groups, scale, bias, eps)


def _softmax(function: Callable[..., Tensor], inputs: Inputs, attributes: Attributes) -> Tensor:
    values = inputs[0]
    if attributes["version"] >= 13:
        return function(values, attributes.get("axis", -1))
    axis = attributes.get("axis", 1) % max(values.ndim, 1)
    return function(values.flatten(axis), -1).reshape(values.shape)


def _reduce(function: Callable[..., Tensor], inputs: Inputs, attributes: Attributes) -> Tensor:
    values, axes = inputs[0], shaping.axes_of(inputs, attributes)
    if not axes:
        if attributes.get("noop_with_empty_axes"):
            return inputs[0]  # type: ignore[no-any-return]
        axes = list(range(values.ndim))
    return function(values, axes, bool(attributes.get("keepdims", 1)))


def _product(values: Tensor, axes: Sequence[int], keeps: bool) -> Tensor:
    for axis in sorted((axis % values.ndim for axis in axes), reverse=True):
        values = values.prod(axis, keepdim=keeps)
    return values


def _arg(function: Callable[..., Tensor], inputs: Inputs, attributes: Attributes) -> Tensor:
    return function(inputs[0], attributes.get("axis", 0), bool(attributes.get("keepdims", 1)))


def _gelu(inputs: Inputs, attributes: Attributes) -> Tensor:
    return functional.gelu(inputs[0], approximate=attributes.get("approximate", "none"))


def _hard_sigmoid(inputs: Inputs, attributes: Attributes) -> Tensor:
    return (attributes.get("alpha", 0.2) * inputs[0] + attributes.get("beta", 0.5)).clamp(0, 1)  # type: ignore[no-any-return]


def _prelu(inputs: Inputs, _: Attributes) -> Tensor:
    return torch.where(inputs[0] < 0, inputs[0] * inputs[1], inputs[0])


def _per_axis(values: Tensor, scale: Tensor, attributes: Attributes) -> list[int]:
    """Return the shape in which a scale for each channel meets the values."""
    axis = attributes.get("axis", 1) % max(values.ndim, 1)
    return (
        [1] * values.ndim
        if scale.numel() == 1
        else [scale.numel() if other == axis else 1 for other in range(values.ndim)]
    )


def _quantize(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Round to the nearest step, straight through for gradients, which rounding would stop."""
    values, scale, zero = inputs[0], inputs[1], shaping.optional(inputs, 2)
    shape = _per_axis(values, scale, attributes)
    offset = torch.zeros(1) if zero is None else zero.float().reshape(shape)
    signed = zero is not None and zero.dtype == torch.int8
    low, high = (-128, 127) if signed else (0, 255)
    exact = values / scale.reshape(shape) + offset
    return exact + (exact.round().clamp(low, high) - exact).detach()  # type: ignore[no-any-return]


def _dequantize(inputs: Inputs, attributes: Attributes) -> Tensor:
    values, scale, zero = inputs[0], inputs[1], shaping.optional(inputs, 2)
    shape = _per_axis(values, scale, attributes)
    offset = 0.0 if zero is None else zero.float().reshape(shape)
    return (values.float() - offset) * scale.reshape(shape)  # type: ignore[no-any-return]


def _einsum(inputs: Inputs, attributes: Attributes) -> Tensor:
    return torch.einsum(attributes["equation"], *inputs)


def _local_response(inputs: Inputs, attributes: Attributes) -> Tensor:
    return functional.local_response_norm(
        inputs[0],
        attributes["size"],
        attributes.get("alpha", 1e-4),
        attributes.get("beta", 0.75),
        attributes.get("bias", 1.0),
    )


OPERATORS: dict[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "ArgMax": partial(_arg, torch.argmax),
    "ArgMin": partial(_arg, torch.argmin),
    "AveragePool": lambda inputs, attributes: pool(inputs[0], attributes, largest=False),
    "BatchNormalization": _batch_norm,
    "Cast": shaping.cast,
    "CastLike": lambda inputs, _: inputs[0].to(inputs[1].dtype),
    "Ceil": _unary(torch.ceil),
    "Clip": _clip,
    "Concat": shaping.concat,
    "Constant": shaping.constant,
    "ConstantOfShape": shaping.constant_of_shape,
    "Conv": lambda inputs, attributes: convolve(
        inputs[0], inputs[1], shaping.optional(inputs, 2), attributes
    ),
    "ConvTranspose": lambda inputs, attributes: convolve_transposed(
        inputs[0], inputs[1], shaping.optional(inputs, 2), attributes
    ),
    "Cos": _unary(torch.cos),
    "CumSum": lambda inputs, _: inputs[0].cumsum(int(inputs[1])),
    "DepthToSpace": shaping.depth_to_space,
    "DequantizeLinear": _dequantize,
    "Div": _binary(_divide),
    "Dropout": _unary(lambda values: values),
    "Einsum": _einsum,
    "Elu": lambda inputs, attributes: functional.elu(inputs[0], attributes.get("alpha", 1.0)),
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Expand": shaping.expand,
    "Flatten": shaping.flatten,
    "Floor": _unary(torch.floor),
    "Gather": shaping.gather,
    "GatherElements": shaping.gather_elements,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "GlobalMaxPool": lambda inputs, _: inputs[0].amax((2, 3), keepdim=True),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "GroupNormalization": _group_norm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(functional.hardswish),
    "Identity": _unary(lambda values: values),
    "InstanceNormalization": _instance_norm,
    "IsNaN": _unary(torch.isnan),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda inputs, attributes: functional.leaky_relu(
        inputs[0], attributes.get("alpha", 0.01)
    ),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "LogSoftmax": partial(_softmax, torch.log_softmax),
    "LRN": _local_response,
    "MatMul": _binary(torch.matmul),
    "Max": _folded(torch.maximum),
    "MaxPool": lambda inputs, attributes: pool(inputs[0], attributes, largest=True),
    "Mean": lambda inputs, _: sum(inputs) / len(inputs),
    "Min": _folded(torch.minimum),
    "Mish": _unary(functional.mish),
    "Mod": _modulo,
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "Pad": pad,
    "Pow": _binary(_power),
    "PRelu": _prelu,
    "QuantizeLinear": _quantize,
    "Range": shaping.number_range,
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceL1": partial(_reduce, lambda v, axes, keeps: v.abs().sum(axes, keeps)),
    "ReduceL2": partial(_reduce, lambda v, axes, keeps: v.square().sum(axes, keeps).sqrt()),
    "ReduceMax": partial(_reduce, torch.amax),
    "ReduceMean": partial(_reduce, torch.mean),
    "ReduceMin": partial(_reduce, torch.amin),
    "ReduceProd": partial(_reduce, _product),
    "ReduceSum": partial(_reduce, torch.sum),
    "ReduceSumSquare": partial(_reduce, lambda v, axes, keeps: v.square().sum(axes, keeps)),
    "Relu": _unary(torch.relu),
    "Reshape": shaping.reshape,
    "Resize": resize,
    "Round": _unary(torch.round),
    "ScatterND": shaping.scatter,
    "Selu": lambda inputs, attributes: functional.selu(inputs[0]),
    "Shape": shaping.shape_of,
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Size": lambda inputs, _: torch.tensor(inputs[0].numel()),
    "Slice": shaping.take_slice,
    "Softmax": partial(_softmax, torch.softmax),
    "Softplus": _unary(functional.softplus),
    "Softsign": _unary(functional.softsign),
    "Split": shaping.split,
    "Sqrt": _unary(torch.sqrt),
    "Squeeze": shaping.squeeze,
    "Sub": _binary(torch.sub),
    "Sum": _folded(torch.add),
    "Tanh": _unary(torch.tanh),
    "Tile": shaping.tile,
    "Transpose": shaping.transpose,
    "Trilu": shaping.triangle,
    "Unsqueeze": shaping.unsqueeze,
    "Upsample": lambda inputs, attributes: resize([inputs[0], None, inputs[1]], attributes),
    "Where": lambda inputs, _: torch.where(*inputs),
}


def _is_softmax(node: Node, axes: int) -> bool:
    default = -1 if node.attributes["version"] >= 13 else 1
    is_last = node.attributes.get("axis", default) in (-1, axes - 1)
    return node.operator == "Softmax" and is_last


BY_IMAGE = {
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Conv",
    "ConvTranspose",
    "Erf",
    "Gelu",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "MaxPool",
    "Relu",
    "Sigmoid",
    "Tanh",
}


def _batch_norm_node(node: Node) -> BatchNormNode | None:
    """Return how a node is a BatchNorm that remembers."""
    if node.operator != "BatchNormalization" or node.attributes.get("training_mode"):
        return None
    return BatchNormNode((1, 2, 3, 4), float(node.attributes.get("epsilon", EPSILON)))


ONNX = Language(
    operators=OPERATORS,
    shape_operators={"Shape", "Size"},
    is_by_image=lambda node: node.operator in BY_IMAGE,
    pair_operators={"Add", "Sub", "Mul", "Div"},
    last_axes_operators=(),
    is_softmax=_is_softmax,
    batch_norm=_batch_norm_node,
)
