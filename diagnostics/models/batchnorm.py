"""What a network's BatchNorm layers remember of the training, and what they receive now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Received: TypeAlias = tuple[Any, Tensor, Tensor]  # a layer, mean and variance of its channels


def norms_of(network: nn.Module) -> list[Any]:
    """Return a network's BatchNorm layers that remember, in the order in which it names them."""
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    return [one for one in norms if one.running_mean is not None]


@contextmanager
def listening(network: nn.Module, note: Callable[[Any, Tensor], None]) -> Iterator[None]:
    """Tell what every BatchNorm layer receives, shape (n, c, h, w), while the context is open."""

    def listen(module: Any, given: tuple[Tensor, ...]) -> None:
        note(module, given[0])

    handles = [one.register_forward_pre_hook(listen) for one in norms_of(network)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def deviation(received: Sequence[Received]) -> Tensor:
    """Return how far channels' statistics lie from those that BatchNorm layers remember.

    |mean - running mean| / running std + |log(variance / running variance)|, averaged over the
    channels of a layer, then over the layers.

    Args:
        received: Layers, and the mean and variance of what each received, shape (..., c).

    Returns:
        Shape (...).
    """
    layers, means, variances = zip(*received, strict=True)
    mean, variance = torch.cat(means, -1), torch.cat(variances, -1)
    usual = torch.cat([one.running_mean for one in layers])
    eps = torch.cat([torch.full_like(one.running_var, one.eps) for one in layers])
    spread = torch.cat([one.running_var for one in layers]) + eps
    share = torch.cat([torch.full_like(one.running_var, 1 / one.num_features) for one in layers])
    off = (mean - usual).abs() / spread.sqrt() + ((variance + eps) / spread).log().abs()
    return off @ share / len(layers)


def given_by(module: Any, mean: Tensor, variance: Tensor) -> Tensor:
    """Return mean and deviation of what a BatchNorm layer gives, out of what it received.

    Args:
        module: The layer.
        mean: Of what it received, shape (n, c).
        variance: The same.

    Returns:
        Shape (n, 2 c).
    """
    scale = (module.running_var + module.eps).rsqrt()
    shift = torch.zeros_like(scale) if module.bias is None else module.bias
    scale = scale if module.weight is None else scale * module.weight
    given = (mean - module.running_mean) * scale + shift
    return torch.cat([given, variance.sqrt() * scale.abs()], 1)


def remembered(network: nn.Module) -> tuple[NDArray[np.float64], ...]:
    """Return running means and variances of all channels, and each channel's share of the mean.

    Channels of a layer are averaged, then layers.
    """
    norms = norms_of(network)
    if not norms:
        return np.zeros(0), np.ones(0), np.zeros(0)
    mean = torch.cat([one.running_mean for one in norms])
    variance = torch.cat([one.running_var + one.eps for one in norms])
    share = torch.cat(
        [torch.full_like(one.running_mean, 1 / len(one.running_mean)) for one in norms]
    )
    return tuple(one.double().cpu().numpy() for one in (mean, variance, share / len(norms)))


@contextmanager
def moments_of(network: nn.Module, images: int) -> Iterator[Callable[[], Tensor]]:
    """Note each image's mean and mean square of every channel that a BatchNorm receives.

    Yields:
        What returns them after the pass, shape (images, 2, channels), in the order of `norms_of`; a
        layer that did not run gave what it remembers.
    """
    norms = norms_of(network)
    heard: dict[Any, Tensor] = {}

    def note(module: Any, values: Tensor) -> None:
        heard[module] = torch.stack([values.mean((2, 3)), (values**2).mean((2, 3))], 1)

    def usual(module: Any) -> Tensor:
        square = module.running_var + module.eps + module.running_mean**2
        return torch.stack([module.running_mean, square])[None].expand(images, -1, -1)

    def noted() -> Tensor:
        parts = [heard[one] if one in heard else usual(one) for one in norms]
        return torch.cat(parts, 2).double().cpu() if parts else torch.zeros(images, 2, 0)

    with listening(network, note):
        yield noted
