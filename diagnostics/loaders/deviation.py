"""How far images lie from the statistics that a network's BatchNorm layers remember."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.models.batchnorm import InputStatistics, deviation, observe_inputs


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
    inputs: list[InputStatistics] = []

    def observe(layer: Any, values: Tensor) -> None:
        variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
        inputs.append(InputStatistics(layer, mean, variance))

    with observe_inputs(network, observe):
        network(network_input)
    return float(deviation(inputs)) if inputs else None
