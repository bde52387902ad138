"""How far images lie from the statistics that a network's BatchNorm layers remember."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def batchnorm_deviation(network: nn.Module, network_input: Tensor) -> float | None:
    """Return how far the images' channel statistics lie from the remembered ones.

    For every channel: |mean - running mean| / running std + |log(variance / running variance)|,
    averaged over the channels of a layer and then over the layers. A network with other padding
    or another order than the one that was trained shifts its own statistics, also where its
    tensors fit.

    Args:
        network: In evaluation mode.
        network_input: Normalised images, shape (n, c, h, w).

    Returns:
        0 or more, lower fits better; None without BatchNorm.
    """
    found: list[float] = []

    def listen(module: Any, arguments: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(arguments[0], (0, 2, 3), correction=0)
        remembered = module.running_var + module.eps
        shift = (mean - module.running_mean).abs() / remembered.sqrt()
        spread = ((variance + module.eps) / remembered).log().abs()
        found.append(float((shift + spread).mean()))

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [module.register_forward_pre_hook(listen) for module in norms]
    try:
        network(network_input)
    finally:
        for handle in handles:
            handle.remove()
    return sum(found) / len(found) if found else None
