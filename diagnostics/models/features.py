"""What an OOD score may read of images, from one pass through the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.models import batchnorm
from diagnostics.models.classifier import Classifier, TorchClassifier
from diagnostics.models.head import HeadInput, affine, capture_head
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import Size, layout, token_grid
from diagnostics.schema.spec import LayerInfo, ModelSpec, Need

MAX_BATCH_PIXELS = 2**20  # of all images of a pass
MIN_BATCH, MAX_BATCH = 8, 256
SPATIAL = ("channels", "channels last", "tokens")
CACHED_VALUES = 2**19  # whose squares stay in the processor's cache
MAX_STATISTICS = 2048  # columns that an early layer may give


@dataclass(frozen=True)
class Features:
    """What one pass gave for n images.

    Args:
        logits: Shape (n, k), float32.
        features: What the last layer received, shape (n, d); d is 0 where it cannot be told.
        batchnorm: How far each image's channel statistics lie from those that the BatchNorm
            layers remember, shape (n,); see `batchnorm.deviation`. Empty without BatchNorm.
        layers: Mean and deviation of every channel of an early layer, shape (n, 2 channels); no
            columns where no layer has maps or tokens.
        pixel_statistics: Mean and deviation of every channel of the pixels, shape (n, 2 channels).
    """

    logits: Tensor
    features: Tensor
    batchnorm: Tensor
    layers: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    pixel_statistics: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def finite(self) -> Tensor:
        """Return which images' numbers are all finite, shape (n,)."""
        finite = self.logits.isfinite().all(1) & self.features.isfinite().all(1)
        finite = finite & self.layers.isfinite().all(1) if len(self.layers) else finite
        return finite & self.batchnorm.isfinite() if len(self.batchnorm) else finite

    @property
    def widths(self) -> tuple[int, int, int]:
        """How many logits, features and layer statistics there are of each image."""
        return self.logits.shape[1], self.features.shape[1], self.layers.shape[1]

    def select(self, rows: Tensor) -> Features:
        """Return the same of some of the images."""
        return Features(*(part[rows] if len(part) else part for part in vars(self).values()))


def batch_size(classifier: Classifier) -> int:
    """Return how many images go through the network at once."""
    spec = classifier.spec
    fitting = MAX_BATCH_PIXELS // (spec.channels * spec.height * spec.width)
    return max(MIN_BATCH, min(MAX_BATCH, fitting))


@torch.no_grad()
def extract_features(classifier: TorchClassifier, pixels: Tensor) -> Features:
    """Return what one pass gives for pixels of shape (n, c, h, w) in [0, 1]."""
    network, spec = classifier.network, classifier.spec
    head_inputs: list[HeadInput] = []
    batchnorm_inputs: list[batchnorm.InputStatistics] = []
    early = early_layer(network, spec)
    early_module = network.get_submodule(early.name) if early else None
    captured: dict[str, Tensor] = {}
    with ExitStack() as stack:
        if Need.FEATURES in spec.offers:
            head_inputs = stack.enter_context(capture_head(network, spec.head))
        if Need.BATCHNORM in spec.offers:
            batchnorm_inputs = stack.enter_context(_capture_batchnorm_inputs(network))
        norms = {layer.module for layer in batchnorm.batchnorm_layers(network)}
        if early is not None and early_module not in norms:
            size = (spec.height, spec.width)
            captured = stack.enter_context(capture_statistics(network, [early], size))
        logits = classifier.logits(pixels)
    nothing = torch.zeros(len(pixels), 0)
    features = head_inputs[0].features.cpu() if len(head_inputs) == 1 else nothing
    deviation = batchnorm.deviation(batchnorm_inputs).cpu() if batchnorm_inputs else torch.zeros(0)
    layers = [
        batchnorm.output_statistics(inputs)
        for inputs in batchnorm_inputs
        if inputs.layer.module is early_module
    ]
    layers += [captured[early.name]] if early and captured else []
    mean, variance = _moments_in_parts(pixels)
    return Features(
        logits.float().cpu(),
        features,
        deviation,
        layers[0].cpu() if layers else nothing,
        torch.cat([mean, variance.sqrt()], 1).cpu(),
    )


@torch.no_grad()
def head_weights(classifier: TorchClassifier, pixels: Tensor) -> dict[str, Tensor]:
    """Return the last layer's "head_weight" (k, d) and "head_bias" (k,), in float64."""
    with capture_head(classifier.network, classifier.spec.head) as inputs:
        logits = classifier.logits(pixels)
    weight, bias = affine(inputs[0], logits)
    return {"head_weight": weight.cpu(), "head_bias": bias.cpu()}


def concatenate(parts: Sequence[Features]) -> Features:
    """Return what several passes gave as one."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Features(*(torch.cat(column) for column in columns))


def early_layer(network: nn.Module, spec: ModelSpec) -> LayerInfo | None:
    """Return the first layer that normalises, else the first one; it must give maps or tokens."""
    layers = spatial_layers(network, spec)
    normalising = [layer for layer in layers if "norm" in layer.kind.lower()]
    return next(iter(normalising or layers), None)


def spatial_layers(network: nn.Module, spec: ModelSpec) -> list[LayerInfo]:
    """Return the modules that give maps, or tokens on a grid, in the order in which they run."""
    modules, size = dict(network.named_modules()), (spec.height, spec.width)
    found = []
    for layer in spec.layers:
        arrangement = layout(layer, size)
        on_grid = arrangement != "tokens" or token_grid(layer.shape[0], size) is not None
        if layer.name in modules and arrangement in SPATIAL and on_grid:
            channels = layer.shape[0] if arrangement == "channels" else layer.shape[-1]
            if 2 * channels <= MAX_STATISTICS:
                found.append(layer)
    return found


@contextmanager
def capture_statistics(
    network: nn.Module, layers: Sequence[LayerInfo], size: Size
) -> Iterator[dict[str, Tensor]]:
    """Note mean and deviation of every channel of some layers, shape (n, 2 channels), by name.

    A layer without maps or tokens gives its values as they are.
    """
    captured: dict[str, Tensor] = {}

    def capturing(layer: LayerInfo) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            values = output[0] if isinstance(output, tuple | list) else output
            maps = as_maps(values, layer, size)
            if maps is None:
                captured[layer.name] = values.flatten(1)
                return
            mean, variance = _moments(maps)
            captured[layer.name] = torch.cat([mean, variance.sqrt()], 1)

        return hook

    with ExitStack() as stack:
        for layer in layers:
            hook = network.get_submodule(layer.name).register_forward_hook(capturing(layer))
            stack.callback(hook.remove)
        yield captured


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every channel, so that it can be exported for any batch.

    var_mean is fifty times slower channels-last.
    """
    mean = maps.mean((2, 3))
    return mean, (maps - mean[..., None, None]).square().mean((2, 3))


def _moments_in_parts(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same, a few images at a time: what stays in the processor's cache is faster."""
    part_size = max(1, CACHED_VALUES // maps[0].numel())
    means, variances, room = [], [], torch.empty_like(maps[:part_size])
    for part in torch.split(maps, part_size):
        means.append(part.mean((2, 3)))
        centred = torch.sub(part, means[-1][..., None, None], out=room[: len(part)])
        variances.append(centred.mul_(centred).mean((2, 3)))
    return torch.cat(means), torch.cat(variances)


@contextmanager
def _capture_batchnorm_inputs(network: nn.Module) -> Iterator[list[batchnorm.InputStatistics]]:
    """Note mean and variance of what every BatchNorm receives, once for every time that it runs."""
    captured: list[batchnorm.InputStatistics] = []

    def observe(layer: batchnorm.BatchNorm, maps: Tensor) -> None:
        captured.append(batchnorm.InputStatistics(layer, *_moments_in_parts(maps)))

    with batchnorm.observe_inputs(network, observe):
        yield captured
