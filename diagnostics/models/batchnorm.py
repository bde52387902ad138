"""What a network's BatchNorm layers remember of the training, and what they receive now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class InputStatistics(NamedTuple):
    """What a BatchNorm layer received.

    Args:
        layer: The layer.
        mean: Of each channel, shape (..., c).
        variance: The same.
    """

    layer: Any
    mean: Tensor
    variance: Tensor


class RunningStatistics(NamedTuple):
    """What all BatchNorm layers remember, channel after channel, in the order of their names.

    Args:
        mean: Running means, shape (channels,).
        variance: Running variances, with each layer's epsilon; shape (channels,).
        share: Of each channel in a mean over the channels of a layer, then over the layers; they
            sum to one.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    share: NDArray[np.float64]


def batchnorm_layers(network: nn.Module) -> list[Any]:
    """Return a network's BatchNorm layers that remember, in the order in which it names them."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return [layer for layer in layers if layer.running_mean is not None]


@contextmanager
def observe_inputs(network: nn.Module, observe: Callable[[Any, Tensor], None]) -> Iterator[None]:
    """Call a function with every BatchNorm layer and its input while the context is open.

    Args:
        network: The network.
        observe: Is given the layer, and what it receives, shape (n, c, h, w).
    """

    def hook(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        observe(layer, inputs[0])

    handles = [layer.register_forward_pre_hook(hook) for layer in batchnorm_layers(network)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def deviation(inputs: Sequence[InputStatistics]) -> Tensor:
    """Return how far channels' statistics lie from those that BatchNorm layers remember.

    |mean - running mean| / running std + |log(variance / running variance)|, averaged over the
    channels of a layer, then over the layers.

    Args:
        inputs: What each layer received, one entry or more.

    Returns:
        Shape (...).
    """
    layers, means, variances = zip(*inputs, strict=True)
    mean, variance = torch.cat(means, -1), torch.cat(variances, -1)
    running_mean = torch.cat([layer.running_mean for layer in layers])
    eps = torch.cat([torch.full_like(layer.running_var, layer.eps) for layer in layers])
    running_variance = torch.cat([layer.running_var for layer in layers]) + eps
    share = torch.cat(
        [torch.full_like(layer.running_var, 1 / layer.num_features) for layer in layers]
    )
    shift = (mean - running_mean).abs() / running_variance.sqrt()
    spread = ((variance + eps) / running_variance).log().abs()
    return (shift + spread) @ share / len(layers)


def output_statistics(inputs: InputStatistics) -> Tensor:
    """Return mean and deviation of what a BatchNorm layer gives, out of what it received.

    Args:
        inputs: What it received of each image, shapes (n, c).

    Returns:
        Shape (n, 2 c).
    """
    layer = inputs.layer
    scale = (layer.running_var + layer.eps).rsqrt()
    shift = torch.zeros_like(scale) if layer.bias is None else layer.bias
    scale = scale if layer.weight is None else scale * layer.weight
    mean = (inputs.mean - layer.running_mean) * scale + shift
    return torch.cat([mean, inputs.variance.sqrt() * scale.abs()], 1)


def running_statistics(network: nn.Module) -> RunningStatistics:
    """Return what a network's BatchNorm layers remember; no channels where there are none."""
    layers = batchnorm_layers(network)
    if not layers:
        return RunningStatistics(np.zeros(0), np.ones(0), np.zeros(0))
    mean = torch.cat([layer.running_mean for layer in layers])
    variance = torch.cat([layer.running_var + layer.eps for layer in layers])
    share = torch.cat(
        [torch.full_like(layer.running_mean, 1 / len(layer.running_mean)) for layer in layers]
    )
    parts = (mean, variance, share / len(layers))
    return RunningStatistics(*(part.double().cpu().numpy() for part in parts))


@contextmanager
def capture_moments(network: nn.Module, images: int) -> Iterator[Callable[[], Tensor]]:
    """Note each image's mean and mean square of every channel that a BatchNorm receives.

    Yields:
        What returns them after the pass, shape (images, 2, channels), in the order of
        `batchnorm_layers`; a layer that did not run gave what it remembers.
    """
    layers = batchnorm_layers(network)
    captured: dict[Any, Tensor] = {}

    def observe(layer: Any, values: Tensor) -> None:
        captured[layer] = torch.stack([values.mean((2, 3)), (values**2).mean((2, 3))], 1)

    def remembered(layer: Any) -> Tensor:
        square = layer.running_var + layer.eps + layer.running_mean**2
        return torch.stack([layer.running_mean, square])[None].expand(images, -1, -1)

    def moments() -> Tensor:
        parts = [captured[layer] if layer in captured else remembered(layer) for layer in layers]
        return torch.cat(parts, 2).double().cpu() if parts else torch.zeros(images, 2, 0)

    with observe_inputs(network, observe):
        yield moments
