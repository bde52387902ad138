"""A network with a guard behind it: k classes and "none of the above" from one pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import MAX_STATISTICS, capture_statistics, spatial_layers
from diagnostics.models.guard import Guard
from diagnostics.models.head import HeadInput, capture_head
from diagnostics.models.outputs import as_logits, head
from diagnostics.schema.layouts import layout
from diagnostics.schema.spec import LayerInfo, ModelSpec

MOST_LAYERS = 4


class Guarded(nn.Module):
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
        self._bgr, self._top = settings.bgr, settings.value_range
        self.register_buffer("mean", torch.tensor(settings.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(settings.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the guarded logits of pixels of shape (n, c, h, w) in [0, 1]."""
        values = pixels.flip(1) if self._bgr else pixels
        fed = (values * self._top - self.get_buffer("mean")) / self.get_buffer("std")
        scores, features, means = read(self.network, fed, self._spec, self._layers)
        logits = as_logits(scores, self._spec.output)
        guarded: Tensor = self.guard(logits, features, means).to(pixels.dtype)
        return guarded


def read(
    network: nn.Module, fed: Tensor, spec: ModelSpec, layers: Sequence[LayerInfo]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores, features and layer statistics of one pass.

    Args:
        network: The network.
        fed: What it receives.
        spec: Names its last layer, which receives the features; without one there are none.
        layers: Layers whose channels' means and deviations are given, side by side.
    """
    summed: dict[str, Tensor] = {}
    heard: list[HeadInput] = []
    with ExitStack() as stack:
        if spec.head:
            heard = stack.enter_context(capture_head(network, spec.head))
        if layers:
            summed = stack.enter_context(
                capture_statistics(network, layers, (spec.height, spec.width))
            )
        scores = head(network(fed))
    features = heard[0].features if heard else scores[:, :0]
    means = [summed[layer.name] for layer in layers]
    return scores, features, torch.cat(means, 1) if means else scores[:, :0]


def telling_layers(classifier: TorchClassifier) -> tuple[LayerInfo, ...]:
    """Return a few layers, evenly spread over the depth, that a discriminator reads."""
    spec, modules = classifier.spec, dict(classifier.network.named_modules())
    size = (spec.height, spec.width)
    maps = {layer.name for layer in spatial_layers(classifier.network, spec)}
    fitting = [
        layer
        for layer in spec.layers
        if layer.name in modules
        and layer.name != spec.head
        and (
            layer.name in maps
            or (layout(layer, size) == "dense" and layer.shape[0] <= MAX_STATISTICS)
        )
    ]
    places = torch.linspace(0, len(fitting) - 1, min(MOST_LAYERS, len(fitting))).round().int()
    return tuple(fitting[place] for place in dict.fromkeys(places.tolist()))
