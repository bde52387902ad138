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

from diagnostics.graph import Attributes, Given, Language, Node, Operator

ELEMENTWISE = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "hardswish"),
    *("hardsigmoid", "hardtanh", "sigmoid", "tanh", "softplus", "log_sigmoid", "clamp"),
    *("clamp_min", "clamp_max", "neg", "abs", "exp", "log", "sqrt", "rsqrt", "erf", "reciprocal"),
    *("square", "sin", "cos", "floor", "ceil", "round", "sign", "log1p", "expm1"),
)
ROWS = (
    *(
        "conv2d",
        "convolution",
        "_convolution",
        "_convolution_mode",
        "batch_norm",
        "group_norm",
        "instance_norm",
    ),
    *("_native_batch_norm_legit_no_training", "native_group_norm", "max_pool2d", "avg_pool2d"),
    *("max_pool2d_with_indices", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    *("_adaptive_avg_pool2d", "conv_transpose2d", "upsample_nearest2d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("native_channel_shuffle", "reflection_pad2d", "replication_pad2d"),
)
LAST_AXES = ("layer_norm", "native_layer_norm", "linear", "scaled_dot_product_attention")
EQUALS = ("add", "sub", "mul", "div", "rsub", "minimum", "maximum")
VIEWS = (
    *("view", "reshape", "flatten", "unflatten", "transpose", "permute", "t", "numpy_T", "mT"),
    *("squeeze", "unsqueeze", "slice", "select", "expand", "expand_as", "view_as", "chunk"),
    *("split", "split_with_sizes", "unbind", "movedim", "narrow", "unfold", "diagonal", "alias"),
    *(
        "swapaxes",
        "unsafe_chunk",
        "detach",
        "contiguous",
        "to",
        "type_as",
        "dropout",
        "tensor_split",
    ),
    *("feature_dropout", "alpha_dropout", "reshape_as", "lift_fresh", "matrix_H", "swapdims"),
)
OTHERS = (
    *("conv1d", "softmax", "_softmax", "log_softmax", "_log_softmax"),
    *("matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "bilinear", "dot", "mv", "outer"),
    *("pow", "floor_divide", "remainder", "fmod", "where", "masked_fill", "eq", "ne", "lt", "le"),
    *(
        "gt",
        "ge",
        "logical_and",
        "logical_or",
        "logical_not",
        "bitwise_not",
        "bitwise_and",
        "isnan",
    ),
    *("mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean", "norm", "all"),
    *("linalg_vector_norm", "argmax", "argmin", "topk", "sort", "cumsum", "any", "logsumexp"),
    *("cat", "concat", "stack", "hstack", "vstack", "tile", "repeat", "repeat_interleave", "roll"),
    *("flip", "rot90", "gather", "index", "index_select", "index_put", "scatter", "masked_select"),
    *("slice_scatter", "select_scatter", "copy", "fill", "clone", "pad", "constant_pad_nd", "glu"),
    *("max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "upsample_linear1d", "prelu"),
    *("_prelu_kernel", "celu", "threshold", "hardshrink", "softshrink", "lerp"),
    *("addcmul", "addcdiv", "im2col", "col2im", "grid_sampler", "one_hot", "embedding", "tril"),
    *("triu", "meshgrid", "cdist", "cosine_similarity", "atan", "atan2"),
    *("zeros", "ones", "full", "empty", "arange", "linspace", "eye", "scalar_tensor", "zeros_like"),
    *("ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"),
    *("lift_fresh_copy", "_to_copy", "_unsafe_view", "zero", "_shape_as_tensor", "numel"),
    *("avg_pool3d", "max_pool3d", "conv3d", "nan_to_num"),
    *("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    *(
        "empty_permuted",
        "_unsafe_index",
        "as_strided",
        "_native_batch_norm_legit",
        "log2",
        "exp2",
        "true_divide",
        "rms_norm",
    ),
)
OUT_OF_NOTHING = ("new_zeros", "new_ones", "new_full", "new_empty")
OF_NUMBERS: dict[str, Callable[..., Any]] = {  # Python's own, on sizes
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "mod", "neg")},
    **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "pow")},
    "floordiv": torch.floor_divide,
}
DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


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
        named = {name: _filled(one, given, device) for name, one in own["named"].items()}
        found = function(*positional, **named)
        return torch.tensor(found) if isinstance(found, bool | int | float) else found

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
    return functional.batch_norm(values, mean, variance, weight, bias, learns, momentum, eps)


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
                if "out" not in overload:
                    yield full, _call(getattr(packet, overload))
    for name, function in OF_NUMBERS.items():
        yield f"number.{name}", _call(function)
    for name in DROPOUTS:  # of training; here the network is asked, not trained
        yield from ((f"{own}.default", _first) for own in (name, f"{name}_"))
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


def _overloads(*names: str) -> set[str]:
    return {full for full in OPERATORS if full.partition(".")[0] in names}


OPERATORS: dict[str, Operator] = dict(_table())
ATEN = Language(
    operators=OPERATORS,
    of_shapes={"sym_size.int", "size.int", "size.default"},
    by_row=_overloads(*ROWS),
    of_equals=_overloads(*EQUALS),
    of_last_axes=_overloads(*ELEMENTWISE, *LAST_AXES, *DROPOUTS),
    is_softmax=_is_softmax,
)
