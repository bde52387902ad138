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
MULTIPLY = {
    *("Linear", "Conv1d", "Conv2d", "Dense", "NormedLinear"),
    *("Gemm", "MatMul", "Conv", "linear", "addmm", "mm", "matmul", "convolution", "conv2d"),
}
CLOSE = 1e-3  # of the largest score


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
        with torch.no_grad(), capture_head(network, layer.name) as heard:
            network(network_input)
        if len(heard) != 1:
            return "", False
        try:
            weight, bias = affine(heard[0], scores)
            given = heard[0].features.double() @ weight.T + bias
        except (RuntimeError, ValueError, TypeError):
            return layer.name, False
        off = (given - scores.double()).abs().max() / scores.abs().max().clamp_min(1e-6)
        return layer.name, bool(off < CLOSE)
    return "", False


class HeadInput:
    """What the last layer received in one pass.

    Args:
        module: The layer.
        given: Its arguments.
        images: How many there are.
    """

    def __init__(self, module: nn.Module, given: tuple[Any, ...], images: int) -> None:
        self._module, self._given = module, given
        self._listed = isinstance(given[0], list)
        values = given[0] if self._listed else given
        self._place = next(
            place
            for place, value in enumerate(values)
            if isinstance(value, Tensor)
            and not isinstance(value, nn.Parameter)
            and value.shape[0] == images  # len() would fix the number in an export
        )
        self._received: Tensor = values[self._place]
        self.features = self._received.flatten(1)

    def answer(self, features: Tensor) -> Tensor:
        """Return what the layer gives for other features, shape (m, k)."""
        own = self._received
        shaped = features.to(own.device, own.dtype).reshape(-1, *own.shape[1:])
        if not self._listed:
            given: tuple[Any, ...] = (shaped, *self._given[1:])
        else:
            values = list(self._given[0])
            values[self._place] = shaped
            given = (values,)
        answered: Tensor = self._module.forward(*given)
        return answered.flatten(1)


@contextmanager
def capture_head(network: nn.Module, name: str) -> Iterator[list[HeadInput]]:
    """Note what a layer receives while the context is open, once for every time that it runs."""
    heard: list[HeadInput] = []
    images = 0

    def begin(_module: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal images
        images = given[0].shape[0]

    def listen(module: nn.Module, given: tuple[Any, ...]) -> None:
        heard.append(HeadInput(module, given, images))

    outer = network.register_forward_pre_hook(begin)
    inner = network.get_submodule(name).register_forward_pre_hook(listen)
    try:
        yield heard
    finally:
        outer.remove()
        inner.remove()


@torch.no_grad()
def affine(heard: HeadInput, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight (k, d) and bias (k,) with which the last layer makes logits of features.

    Found by asking the layer, so that it does not matter how it is written.
    """
    count = heard.features.shape[1]
    zero = heard.answer(torch.zeros(1, count)).double()
    rows = [heard.answer(part).double() - zero for part in torch.split(torch.eye(count), 256)]
    weight = torch.cat(rows).T
    bias = (logits.double() - heard.features.double() @ weight.T).mean(0)
    return weight, bias
