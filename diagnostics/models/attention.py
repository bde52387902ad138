"""Attention weights: what one token attends to, and what reaches the answer through all layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import NotOfferedError
from diagnostics.schema.layouts import Size, layout, token_grid
from diagnostics.schema.spec import LayerInfo, ModelSpec


def attention_of_token(
    weights: Tensor, image_size: Size, query: int | None = None
) -> tuple[Float[Tensor, "heads h w"], str] | None:
    """Return what each head of one query token attends to, on the grid of the keys, and whose.

    Args:
        weights: One image's, shape (heads, queries, keys), or (windows, heads, queries, keys).
        image_size: Height and width of the network's input, in px.
        query: Index of the token, counted through all windows; None takes the class token, or
            the middle of the image.

    Returns:
        The maps and the query in words; None when the keys have no grid.
    """
    where = ""
    if weights.ndim == 4 and len(weights) > 1:
        windows, _, queries, keys = weights.shape
        window = _middle_window(windows) if query is None else min(query // queries, windows - 1)
        query = None if query is None else query % queries
        weights, image_size = weights[window], (isqrt(keys), isqrt(keys))
        where = f" of window {window}, of {windows} windows"
    elif weights.ndim == 4:
        weights = weights[0]
    grid = token_grid(weights.shape[2], image_size)
    if grid is None:
        return None
    extra, height, width = grid
    default = 0 if extra else height // 2 * width + width // 2
    token = min(default if query is None else query, weights.shape[1] - 1)
    row, column = divmod(token - extra, width)
    name = f"the token at row {row}, column {column}"
    if token < extra or weights.shape[1] == 1:
        name = "the class token" if token == 0 else f"extra token {token}"
    if not extra and weights.shape[1] == 1:
        name = "the one that pools all tokens"
    return weights[:, token, extra:].reshape(-1, height, width), f"query: {name}{where}"


def _middle_window(windows: int) -> int:
    side = round(windows**0.5)
    return side // 2 * side + side // 2 if side * side == windows else windows // 2


def global_layers(layers: Sequence[LayerInfo], image_size: Size) -> tuple[LayerInfo, ...]:
    """Return the layers in which the same tokens attend to each other, in their order.

    A `token_pool` behind them is none of them.

    Raises:
        NotOfferedError: When there are none, or when tokens change from layer to layer.
    """
    pool = token_pool(layers)
    attention = [layer for layer in layers if layer.kind == "attention" and layer != pool]
    shapes = {layer.shape[-2:] for layer in attention}
    without_windows = all(layout(layer, image_size) == "attention" for layer in attention)
    if not without_windows or len(shapes) != 1 or any(queries != keys for queries, keys in shapes):
        raise NotOfferedError(
            "Attention can be followed through the layers only where all of them work on the same "
            "tokens; this network merges or changes its tokens on the way."
        )
    return tuple(attention)


def token_pool(layers: Sequence[LayerInfo]) -> LayerInfo | None:
    """Return the last attention, if one query reads all tokens there, as in SigLIP; or None."""
    attention = [layer for layer in layers if layer.kind == "attention"]
    if len(attention) < 2 or len(attention[-1].shape) != 3:
        return None
    *_, before, last = attention
    queries, keys = last.shape[1:]
    return last if queries == 1 < keys == before.shape[-1] else None


def pooled_tokens(mix: Float[Tensor, "n 1 t"]) -> Float[Tensor, "n t"]:
    """Return which tokens a `token_pool` reads, each image's shares summing to one.

    Args:
        mix: How the pool mixes tokens, 0 or more.

    Returns:
        The pool's shares; equal ones where it mixes nothing.
    """
    shares = mix[:, 0]
    shares = torch.where(shares.sum(1, keepdim=True) > 0, shares, 1)
    return shares / shares.sum(1, keepdim=True)


def read_tokens(gradient: Float[Tensor, "n heads t t"]) -> Float[Tensor, "n t"]:
    """Return which tokens the answer is read from, each image's shares summing to one.

    Args:
        gradient: Gradient of the logits with respect to the weights of the last attention layer;
            its rows are the tokens that attend, and only those that are read matter to the logits.

    Returns:
        Equal shares of the tokens that are read; of all where no gradient tells.
    """
    read = gradient.ne(0).any(-1).any(1).to(gradient.dtype)
    read = torch.where(read.any(1, keepdim=True), read, 1)
    return read / read.sum(1, keepdim=True)


def rollout(
    mixes: Sequence[Float[Tensor, "n t t"]],
    skip: float,
    spec: ModelSpec,
    read: Float[Tensor, "n t"],
) -> Float[Tensor, "n h w"]:
    """Return how much of each patch reaches the answer when layer after layer mixes the tokens.

    Args:
        mixes: How each layer mixes tokens besides what it keeps of them, first layer first.
        skip: Share of every token that a layer keeps as it is.
        spec: Gives the input size.
        read: Which tokens the answer is read from, see `read_tokens`.

    Returns:
        The mean row of the tokens that are read, on the grid of the patches.

    Raises:
        NotOfferedError: When the tokens have no grid.
    """
    tokens = mixes[0].shape[-1]
    grid = token_grid(tokens, (spec.height, spec.width))
    if grid is None:
        raise NotOfferedError(f"The {tokens} tokens of this network do not lie on a grid.")
    extra, height, width = grid
    identity = torch.eye(tokens, device=mixes[0].device, dtype=mixes[0].dtype)
    reached = identity.expand_as(mixes[0])
    for mix in mixes:
        reached = skip * reached + mix @ reached
    row = (read[:, None] @ reached)[:, 0]
    return row[:, extra:].reshape(-1, height, width)
