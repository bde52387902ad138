"""A network with a guard behind it: k classes and "none of the above" from one pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import MAX_STATISTICS, capture_statistics, spatial_layers
from diagnostics.models.guard import Guard, Outputs
from diagnostics.models.head import HeadInput, capture_head
from diagnostics.models.outputs import as_logits, class_scores
from diagnostics.schema.layouts import layout
from diagnostics.schema.spec import LayerInfo, ModelSpec

MAX_LAYERS = 4


class GuardedNetwork(nn.Module):
    """Takes pixels in [0, 1], gives logits of shape (n, k + 1), the last for none of the above.

    Args:
        classifier: The bare model.
        guard: What is added to its logits.
        layers: Layers whose means and deviations the guard reads.
    """

    def __init__(
        self, classifier: TorchClassifier, guard: Guard, layers: Sequence[LayerInfo]
    ) -> None:
        super().__init__()
        self.network, self.guard = classifier.network, guard
        self._spec, self._layers = classifier.spec, tuple(layers)
        settings = classifier.preprocessing
        self._bgr, self._value_range = settings.bgr, settings.value_range
        self.register_buffer("mean", torch.tensor(settings.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(settings.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the guarded logits of pixels of shape (n, c, h, w) in [0, 1]."""
        values = pixels.flip(1) if self._bgr else pixels
        values = values * self._value_range
        network_input = (values - self.get_buffer("mean")) / self.get_buffer("std")
        outputs = guard_outputs(self.network, network_input, self._spec, self._layers)
        logits: Tensor = self.guard(*outputs).to(pixels.dtype)
        return logits


def guard_outputs(
    network: nn.Module, network_input: Tensor, spec: ModelSpec, layers: Sequence[LayerInfo]
) -> Outputs:
    """Return what a guard reads, from one pass.

    Args:
        network: The network.
        network_input: Normalised pixels, shape (n, c, h, w).
        spec: Names its last layer, which receives the features; without one there are none.
        layers: Layers whose channels' means and deviations are given, side by side.
    """
    statistics: dict[str, Tensor] = {}
    head_inputs: list[HeadInput] = []
    with ExitStack() as stack:
        if spec.head:
            head_inputs = stack.enter_context(capture_head(network, spec.head))
        if layers:
            size = (spec.height, spec.width)
            statistics = stack.enter_context(capture_statistics(network, layers, size))
        scores = class_scores(network(network_input))
    nothing = scores[:, :0]
    features = head_inputs[0].features if head_inputs else nothing
    parts = [statistics[layer.name] for layer in layers]
    return Outputs(
        as_logits(scores, spec.output), features, torch.cat(parts, 1) if parts else nothing
    )


def spread_layers(classifier: TorchClassifier) -> tuple[LayerInfo, ...]:
    """Return a few layers, evenly spread over the depth, that a discriminator reads."""
    spec, modules = classifier.spec, dict(classifier.network.named_modules())
    size = (spec.height, spec.width)
    spatial = {layer.name for layer in spatial_layers(classifier.network, spec)}

    def is_fitting(layer: LayerInfo) -> bool:
        if layer.name not in modules or layer.name == spec.head:
            return False
        is_narrow = layout(layer, size) == "dense" and layer.shape[0] <= MAX_STATISTICS
        return layer.name in spatial or is_narrow

    fitting = [layer for layer in spec.layers if is_fitting(layer)]
    count = min(MAX_LAYERS, len(fitting))
    indices = torch.linspace(0, len(fitting) - 1, count).round().int().tolist()
    return tuple(fitting[index] for index in dict.fromkeys(indices))
