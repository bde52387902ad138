"""Hear the functional operations of a forward pass, which module hooks cannot: sums, attention."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

ATTENTION = "attention"
ACTIVATIONS = {
    *("relu", "relu6", "gelu", "silu", "mish", "elu", "selu", "leaky_relu", "prelu", "softplus"),
    *("hardswish", "hardsigmoid", "hardtanh", "sigmoid", "tanh", "glu", "softmax"),
}
POOLS = {
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "amax"),
    "interpolate",
}
LEARNED = {"conv2d", "linear", "batch_norm", "layer_norm", "group_norm", "instance_norm"}
HEARD = ACTIVATIONS | POOLS | LEARNED | {"add", "sub", "mul", "cat"}

Listener = Callable[[str, Tensor], Tensor]

# The same function, but for a listener it is no longer one operation: its parts are heard.
_multi_head = FunctionType(
    functional.multi_head_attention_forward.__code__,
    {**vars(functional), "has_torch_function": lambda _: False},
    "multi_head_attention_forward",
    functional.multi_head_attention_forward.__defaults__,
)


class Operations(TorchFunctionMode):
    """Reports functional operations while it is open, whether a graph can be traced or not.

    Fused attention is computed step by step instead, because only then its weights exist.

    Args:
        listener: Called with an operation's name and result; gives what the network goes on with.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and report it."""
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            with self:  # hear what it does inside
                return _multi_head(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "").rstrip("_")
        if name not in HEARD or not isinstance(result, Tensor) or not result.is_floating_point():
            return result
        if name == "softmax" and result.ndim >= 3 and _last_axis(result, args, kwargs):
            name = ATTENTION
        return self._listener(name, result)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Do what `torch.nn.functional.scaled_dot_product_attention` documents, with weights."""
        if enable_gqa:
            key, value = (
                shared.repeat_interleave(query.shape[-3] // shared.shape[-3], -3)
                for shared in (key, value)
            )
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        elif attn_mask is not None:
            scores = scores + attn_mask
        weights = self._listener(ATTENTION, scores.softmax(-1))
        return functional.dropout(weights, dropout_p, training=dropout_p > 0) @ value


def _last_axis(result: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return axis in (-1, result.ndim - 1)
