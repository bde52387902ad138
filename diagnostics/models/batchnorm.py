"""What a network's BatchNorm layers remember of the training, and what they receive now.

A BatchNorm is found in whatever format it came: a module of torch, a layer of Keras, a node of a
graph. One that an exporter folded into the convolution before it has left nothing to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.models.graph.network import GraphNetwork

MAP_AXES = 4  # images, channels, height, width


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """A layer that normalises maps by a mean and a variance that it remembers.

    Args:
        module: Runs the layer; hooks go there.
        mean: Running mean of each channel, shape (c,).
        variance: Running variance, without epsilon.
        eps: Its epsilon.
        weight: What each channel is multiplied by afterwards; None for one.
        bias: What is added then; None for nothing.
        axis: Of the channels in what the layer receives.
        in_list: Whether the module is called with a list of values, the first of them the maps.
    """

    module: nn.Module
    mean: Tensor
    variance: Tensor
    eps: float
    weight: Tensor | None
    bias: Tensor | None
    axis: int = 1
    in_list: bool = False

    def received(self, arguments: tuple[Any, ...]) -> Tensor | None:
        """Return the maps that the module was called with, shape (n, c, h, w); None for others."""
        values: Tensor = arguments[0][0] if self.in_list else arguments[0]
        if self.in_list and values.ndim == MAP_AXES + 1:  # each image is a batch of one
            values = values.flatten(0, 1)
        return values.movedim(self.axis, 1) if values.ndim == MAP_AXES else None

    def called_with(self, arguments: tuple[Any, ...], maps: Tensor) -> tuple[Any, ...]:
        """Return the module's arguments with other maps, shape (n, c, h, w), in their place."""
        if not self.in_list:
            return (maps.movedim(1, self.axis), *arguments[1:])
        values = arguments[0]
        return ([maps.reshape(values[0].shape), *values[1:]], *arguments[1:])


class InputStatistics(NamedTuple):
    """What a BatchNorm layer received.

    Args:
        layer: The layer.
        mean: Of each channel, shape (..., c).
        variance: The same.
    """

    layer: BatchNorm
    mean: Tensor
    variance: Tensor


class RunningStatistics(NamedTuple):
    """What all BatchNorm layers remember, channel after channel, in the order of their names.

    Args:
        mean: Running means, shape (channels,).
        variance: Running variances, with each layer's epsilon; shape (channels,).
        eps: Each layer's epsilon, shape (channels,).
        share: Of each channel in a mean over the channels of a layer, then over the layers; they
            sum to one.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    eps: NDArray[np.float64]
    share: NDArray[np.float64]


def batchnorm_layers(network: nn.Module) -> list[BatchNorm]:
    """Return a network's BatchNorm layers that remember, in the order in which it names them."""
    layers = []
    for module in network.modules():
        if isinstance(module, GraphNetwork):
            layers += [
                BatchNorm(node, mean, variance, eps, weight, bias, in_list=True)
                for node, (weight, bias, mean, variance), eps in module.batch_norms()
            ]
        elif (layer := _of_torch(module) or _of_keras(module)) is not None:
            layers.append(layer)
    return layers


def _of_torch(module: Any) -> BatchNorm | None:
    """Return a module of torch, or of a library that writes its own, as a BatchNorm."""
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
        return None
    mean, variance = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    eps = getattr(module, "eps", None)
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor) or eps is None:
        return None
    return BatchNorm(module, mean, variance, float(eps), module.weight, module.bias)


def _of_keras(module: Any) -> BatchNorm | None:
    """Return a layer of Keras as a BatchNorm; its axis of channels is mostly the last."""
    is_built = type(module).__name__ == "BatchNormalization" and hasattr(module, "moving_mean")
    if not is_built or len(getattr(module.input_spec, "axes", None) or {}) != 1:
        return None
    mean, variance = module.moving_mean.value, module.moving_variance.value
    weight = module.gamma.value if module.scale else None
    bias = module.beta.value if module.center else None
    return BatchNorm(module, mean, variance, float(module.epsilon), weight, bias, module.axis)


@contextmanager
def observe_inputs(
    network: nn.Module, observe: Callable[[BatchNorm, Tensor], None]
) -> Iterator[None]:
    """Call a function with every BatchNorm layer and its input while the context is open.

    Args:
        network: The network.
        observe: Is given the layer, and the maps that it receives, shape (n, c, h, w).
    """

    def observing(layer: BatchNorm) -> Any:
        def hook(_module: Any, arguments: tuple[Any, ...]) -> None:
            maps = layer.received(arguments)
            if maps is not None:
                observe(layer, maps)

        return hook

    with _before_each(network, observing):
        yield


@contextmanager
def statistics_of_batch(network: nn.Module) -> Iterator[None]:
    """Let every BatchNorm normalise by the batch that it receives while the context is open.

    What it receives is moved and scaled so that its own mean and variance then fit; the network
    stays as it was.
    """

    def normalising(layer: BatchNorm) -> Any:
        shape = (1, -1, 1, 1)

        def hook(_module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            maps = layer.received(arguments)
            if maps is None:
                return None
            variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0)
            scale = ((layer.variance + layer.eps) / (variance + layer.eps)).sqrt()
            shift = layer.mean - mean * scale
            return layer.called_with(arguments, maps * scale.view(shape) + shift.view(shape))

        return hook

    with _before_each(network, normalising):
        yield


@contextmanager
def _before_each(network: nn.Module, hook_of: Callable[[BatchNorm], Any]) -> Iterator[None]:
    """Run a hook before every BatchNorm layer while the context is open."""
    with ExitStack() as stack:
        for layer in batchnorm_layers(network):
            handle = layer.module.register_forward_pre_hook(hook_of(layer))
            stack.callback(handle.remove)
        yield


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
    running_mean = torch.cat([layer.mean for layer in layers])
    eps = torch.cat([torch.full_like(layer.variance, layer.eps) for layer in layers])
    running_variance = torch.cat([layer.variance for layer in layers]) + eps
    share = torch.cat([torch.full_like(layer.mean, 1 / len(layer.mean)) for layer in layers])
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
    scale = (layer.variance + layer.eps).rsqrt()
    shift = torch.zeros_like(scale) if layer.bias is None else layer.bias
    scale = scale if layer.weight is None else scale * layer.weight
    mean = (inputs.mean - layer.mean) * scale + shift
    return torch.cat([mean, inputs.variance.sqrt() * scale.abs()], 1)


def running_statistics(network: nn.Module) -> RunningStatistics:
    """Return what a network's BatchNorm layers remember; no channels where there are none."""
    layers = batchnorm_layers(network)
    if not layers:
        return RunningStatistics(np.zeros(0), np.ones(0), np.zeros(0), np.zeros(0))
    mean = torch.cat([layer.mean for layer in layers])
    eps = torch.cat([torch.full_like(layer.mean, layer.eps) for layer in layers])
    variance = torch.cat([layer.variance for layer in layers]) + eps
    share = torch.cat([torch.full_like(layer.mean, 1 / len(layer.mean)) for layer in layers])
    parts = (mean, variance, eps, share / len(layers))
    return RunningStatistics(*(part.detach().double().cpu().numpy() for part in parts))


@contextmanager
def capture_moments(network: nn.Module, images: int) -> Iterator[Callable[[], Tensor]]:
    """Note each image's mean and mean square of every channel that a BatchNorm receives.

    Yields:
        What returns them after the pass, shape (images, 2, channels), in the order of
        `batchnorm_layers`; a layer that did not run gave what it remembers.
    """
    layers = batchnorm_layers(network)
    captured: dict[nn.Module, Tensor] = {}

    def observe(layer: BatchNorm, maps: Tensor) -> None:
        captured[layer.module] = torch.stack([maps.mean((2, 3)), (maps**2).mean((2, 3))], 1)

    def remembered(layer: BatchNorm) -> Tensor:
        square = layer.variance + layer.mean**2
        return torch.stack([layer.mean, square])[None].expand(images, -1, -1)

    def moments() -> Tensor:
        parts = [captured.get(layer.module, remembered(layer)) for layer in layers]
        return torch.cat(parts, 2).double().cpu() if parts else torch.zeros(images, 2, 0)

    with observe_inputs(network, observe):
        yield moments
