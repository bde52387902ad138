"""What a score of strangeness may read of images, from one pass through the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.models import batchnorm as norms
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.head import HeadInput, affine, capture_head
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import Size, layout, token_grid
from diagnostics.schema.spec import LayerInfo, ModelSpec, Need

PIXELS_AT_ONCE = 2**20  # of all images of a pass
MOST_AT_ONCE = 256
ARRANGED = ("channels", "channels last", "tokens")
CACHED = 2**19  # values whose squares stay in the processor's cache
WIDEST = 2048  # columns that an early layer may give


@dataclass(frozen=True)
class Features:
    """What one pass gave for n images.

    Args:
        logits: Shape (n, k), float32.
        features: What the last layer received, shape (n, d); d is 0 where it cannot be told.
        batchnorm: How far each image's own channel statistics lie from those that the BatchNorm
            layers remember, shape (n,); see `norms.deviation`. Empty without BatchNorm.
        layers: Mean and deviation of every channel of an early layer, shape (n, 2 channels); no
            columns where no layer has maps or tokens.
        shades: Mean and deviation of every channel of the pixels, shape (n, 2 channels).
    """

    logits: Tensor
    features: Tensor
    batchnorm: Tensor
    layers: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    shades: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def finite(self) -> Tensor:
        """Return which images' numbers are all finite, shape (n,)."""
        fine = self.logits.isfinite().all(1) & self.features.isfinite().all(1)
        fine = fine & self.layers.isfinite().all(1) if len(self.layers) else fine
        return fine & self.batchnorm.isfinite() if len(self.batchnorm) else fine

    @property
    def widths(self) -> tuple[int, int, int]:
        """How many logits, features and layer statistics there are of each image."""
        return self.logits.shape[1], self.features.shape[1], self.layers.shape[1]

    def of(self, rows: Tensor) -> Features:
        """Return the same of some of the images."""
        return Features(*(part[rows] if len(part) else part for part in _parts(self)))


def batch_size(classifier: TorchClassifier) -> int:
    """Return how many images go through the network at once."""
    spec = classifier.spec
    return max(8, min(MOST_AT_ONCE, PIXELS_AT_ONCE // (spec.channels * spec.height * spec.width)))


@torch.no_grad()
def extract_features(classifier: TorchClassifier, pixels: Tensor) -> Features:
    """Return what one pass gives for pixels of shape (n, c, h, w) in [0, 1]."""
    network, spec = classifier.network, classifier.spec
    heard: list[HeadInput] = []
    received: list[norms.Received] = []
    early = early_layer(network, spec)
    first = network.get_submodule(early.name) if early else None
    summed: dict[str, Tensor] = {}
    with ExitStack() as stack:
        if Need.FEATURES in spec.offers:
            heard = stack.enter_context(capture_head(network, spec.head))
        if Need.BATCHNORM in spec.offers:
            received = stack.enter_context(_receiving(network))
        if early is not None and first not in norms.norms_of(network):
            summed = stack.enter_context(summing(network, [early], (spec.height, spec.width)))
        logits = classifier.logits(pixels)
    features = heard[0].features.cpu() if len(heard) == 1 else torch.zeros(len(pixels), 0)
    own = norms.deviation(received).cpu() if received else torch.zeros(0)
    layers = [norms.given_by(*one) for one in received if one[0] is first]
    layers += [summed[early.name]] if early and summed else []
    layers += [torch.zeros(len(pixels), 0)]
    mean, variance = _moments_in_parts(pixels)
    shades = torch.cat([mean, variance.sqrt()], 1).cpu()
    return Features(logits.float().cpu(), features, own, layers[0].cpu(), shades)


@torch.no_grad()
def head_weights(classifier: TorchClassifier, pixels: Tensor) -> dict[str, Tensor]:
    """Return the last layer's "head_weight" (k, d) and "head_bias" (k,), in float64."""
    with capture_head(classifier.network, classifier.spec.head) as heard:
        logits = classifier.logits(pixels)
    weight, bias = affine(heard[0], logits)
    return {"head_weight": weight.cpu(), "head_bias": bias.cpu()}


def concatenated(parts: Sequence[Features]) -> Features:
    """Return what was seen in several passes as one."""
    return Features(*(torch.cat(part) for part in zip(*map(_parts, parts), strict=True)))


def _parts(seen: Features) -> tuple[Tensor, ...]:
    return tuple(vars(seen).values())


def early_layer(network: nn.Module, spec: ModelSpec) -> LayerInfo | None:
    """Return the first layer that normalises, else the first one; it must give maps or tokens."""
    fitting = with_channels(network, spec)
    normalise = [layer for layer in fitting if "norm" in layer.kind.lower()]
    return next(iter(normalise or fitting), None)


def with_channels(network: nn.Module, spec: ModelSpec) -> list[LayerInfo]:
    """Return the modules that give maps, or tokens on a grid, in the order in which they run."""
    modules, size = dict(network.named_modules()), (spec.height, spec.width)
    found = []
    for layer in spec.layers:
        arranged = layout(layer, size)
        on_grid = arranged != "tokens" or token_grid(layer.shape[0], size) is not None
        if layer.name in modules and arranged in ARRANGED and on_grid:
            channels = layer.shape[0] if arranged == "channels" else layer.shape[-1]
            found += [layer] if 2 * channels <= WIDEST else []
    return found


@contextmanager
def summing(
    network: nn.Module, layers: Sequence[LayerInfo], size: Size
) -> Iterator[dict[str, Tensor]]:
    """Note mean and deviation of every channel of some layers, shape (n, 2 channels), by name.

    A layer without maps or tokens gives its values as they are.
    """
    found: dict[str, Tensor] = {}

    def keep(layer: LayerInfo) -> Any:
        def listen(_module: nn.Module, _given: Any, output: Any) -> None:
            values = output[0] if isinstance(output, tuple | list) else output
            maps = as_maps(values, layer, size)
            if maps is None:
                found[layer.name] = values.flatten(1)
                return
            mean, variance = _moments(maps)
            found[layer.name] = torch.cat([mean, variance.sqrt()], 1)

        return listen

    with ExitStack() as stack:
        for layer in layers:
            hook = network.get_submodule(layer.name).register_forward_hook(keep(layer))
            stack.callback(hook.remove)
        yield found


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every channel, so that it can be exported for any batch.

    var_mean is fifty times slower channels-last.
    """
    mean = maps.mean((2, 3))
    return mean, (maps - mean[..., None, None]).square().mean((2, 3))


def _moments_in_parts(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same, a few images at a time: what stays in the processor's cache is faster."""
    at_once = max(1, CACHED // maps[0].numel())
    means, variances, room = [], [], torch.empty_like(maps[:at_once])
    for part in torch.split(maps, at_once):
        means.append(part.mean((2, 3)))
        centred = torch.sub(part, means[-1][..., None, None], out=room[: len(part)])
        variances.append(centred.mul_(centred).mean((2, 3)))
    return torch.cat(means), torch.cat(variances)


@contextmanager
def _receiving(network: nn.Module) -> Iterator[list[norms.Received]]:
    """Note mean and variance of what every BatchNorm receives, once for every time that it runs."""
    found: list[norms.Received] = []

    def note(module: Any, values: Tensor) -> None:
        found.append((module, *_moments_in_parts(values)))

    with norms.listening(network, note):
        yield found
