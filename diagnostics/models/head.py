"""A network's last layer, and what it receives: the features that its classes are told apart by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from diagnostics.schema.spec import LayerInfo

# Of modules and of graphs' operators: what multiplies by weights.
MULTIPLY = {"Linear", "Conv1d", "Conv2d", "Dense", "NormedLinear"} | {
    "Gemm",
    "MatMul",
    "Conv",
    "linear",
    "addmm",
    "mm",
    "matmul",
    "convolution",
    "conv2d",
}
Arguments: TypeAlias = Mapping[int | str, Any]

TOLERANCE = 1e-3  # of the largest score


def find_head(
    network: nn.Module, network_input: Tensor, layers: Sequence[LayerInfo], scores: Tensor
) -> tuple[str, bool]:
    """Return the name of the last layer, and whether it gives the logits by weights and bias alone.

    Args:
        network: Frozen and in evaluation mode.
        network_input: Two different images or more, as the network receives them.
        layers: In the order in which they run.
        scores: The logits, shape (n, k).

    Returns:
        An empty name where no layer multiplies features into as many values as there are classes.
    """
    classes = scores.shape[1]
    modules = dict(network.named_modules())
    for layer in reversed(layers):
        module = modules.get(layer.name)
        if module is None or layer.kind not in MULTIPLY or prod(layer.shape or (0,)) != classes:
            continue
        try:
            with torch.no_grad(), capture_head(network, layer.name) as inputs:
                network(network_input)
        except ValueError:
            return "", False
        if len(inputs) != 1:
            return "", False
        try:
            weight, bias = affine(inputs[0], scores)
            logits = inputs[0].features.double() @ weight.T + bias
        except (RuntimeError, ValueError, TypeError):
            return layer.name, False
        error = (logits - scores.double()).abs().max() / scores.abs().max().clamp_min(1e-6)
        return layer.name, bool(error < TOLERANCE)
    return "", False


class HeadInput:
    """What the last layer received in one pass.

    Args:
        module: The layer.
        arguments: Its arguments by position and by name; one of them, or of the list that is the
            first, is the features.
        images: How many there are.

    Raises:
        ValueError: When no argument has a row for each image.
    """

    def __init__(self, module: nn.Module, arguments: Arguments, images: int) -> None:
        self._module, self._arguments = module, arguments
        self._in_list = isinstance(arguments.get(0), list)
        values: Arguments = _by_place(arguments[0]) if self._in_list else arguments
        rows = [
            key
            for key, value in values.items()
            if isinstance(value, Tensor)
            and not isinstance(value, nn.Parameter)
            and value.ndim > 0
            and value.shape[0] == images  # len() would fix the number in an export
        ]
        if not rows:
            raise ValueError("the last layer receives nothing of the images by rows")
        self._key = rows[0]
        self._received: Tensor = values[self._key]
        self.features = self._received.flatten(1)

    def logits_of(self, features: Tensor) -> Tensor:
        """Return what the layer gives for other features, shape (m, k)."""
        received = self._received
        shaped = features.to(received.device, received.dtype).reshape(-1, *received.shape[1:])
        arguments = dict(self._arguments)
        if self._in_list:
            arguments[0] = list({**_by_place(arguments[0]), self._key: shaped}.values())
        else:
            arguments[self._key] = shaped
        named = {key: value for key, value in arguments.items() if isinstance(key, str)}
        placed = [value for key, value in arguments.items() if isinstance(key, int)]
        logits: Tensor = self._module.forward(*placed, **named)
        return logits.flatten(1)


def _by_place(values: Sequence[Any]) -> dict[int | str, Any]:
    return dict(enumerate(values))


@contextmanager
def capture_head(network: nn.Module, name: str) -> Iterator[list[HeadInput]]:
    """Note what a layer receives while the context is open, once for every time that it runs."""
    captured: list[HeadInput] = []
    images = 0

    def count_images(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        nonlocal images
        images = arguments[0].shape[0]

    def capture(module: nn.Module, placed: tuple[Any, ...], named: dict[Any, Any]) -> None:
        captured.append(HeadInput(module, {**_by_place(placed), **named}, images))

    outer = network.register_forward_pre_hook(count_images)
    inner = network.get_submodule(name).register_forward_pre_hook(capture, with_kwargs=True)
    try:
        yield captured
    finally:
        outer.remove()
        inner.remove()


@torch.no_grad()
def affine(head_input: HeadInput, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight (k, d) and bias (k,) with which the last layer makes logits of features.

    Measured by running the layer, so that it does not matter how it is written.
    """
    count = head_input.features.shape[1]
    zero = head_input.logits_of(torch.zeros(1, count)).double()
    rows = [
        head_input.logits_of(part).double() - zero for part in torch.split(torch.eye(count), 256)
    ]
    weight = torch.cat(rows).T
    bias = (logits.double() - head_input.features.double() @ weight.T).mean(0)
    return weight, bias
