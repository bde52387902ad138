"""A network's last layer, and what it receives: the features that its classes are told apart by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

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
        with torch.no_grad(), capture_head(network, layer.name) as inputs:
            network(network_input)
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
        arguments: Its arguments; one of them, or of the list that is the first, is the features.
        images: How many there are.
    """

    def __init__(self, module: nn.Module, arguments: tuple[Any, ...], images: int) -> None:
        self._module, self._arguments = module, arguments
        self._in_list = isinstance(arguments[0], list)
        values = arguments[0] if self._in_list else arguments
        self._index = next(
            index
            for index, value in enumerate(values)
            if isinstance(value, Tensor)
            and not isinstance(value, nn.Parameter)
            and value.shape[0] == images  # len() would fix the number in an export
        )
        self._received: Tensor = values[self._index]
        self.features = self._received.flatten(1)

    def logits_of(self, features: Tensor) -> Tensor:
        """Return what the layer gives for other features, shape (m, k)."""
        received = self._received
        shaped = features.to(received.device, received.dtype).reshape(-1, *received.shape[1:])
        if not self._in_list:
            arguments: tuple[Any, ...] = (shaped, *self._arguments[1:])
        else:
            values = list(self._arguments[0])
            values[self._index] = shaped
            arguments = (values,)
        logits: Tensor = self._module.forward(*arguments)
        return logits.flatten(1)


@contextmanager
def capture_head(network: nn.Module, name: str) -> Iterator[list[HeadInput]]:
    """Note what a layer receives while the context is open, once for every time that it runs."""
    captured: list[HeadInput] = []
    images = 0

    def count_images(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        nonlocal images
        images = arguments[0].shape[0]

    def capture(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        captured.append(HeadInput(module, arguments, images))

    outer = network.register_forward_pre_hook(count_images)
    inner = network.get_submodule(name).register_forward_pre_hook(capture)
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
