"""One look at a running network: what leaves it, which layers it has, what methods may use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from diagnostics.errors import NotOfferedError
from diagnostics.models.attention import global_layers
from diagnostics.models.batchnorm import BatchNorm, observe_inputs
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.ending import Ending, ending_of_scores
from diagnostics.models.head import find_head
from diagnostics.models.layers import list_layers
from diagnostics.models.outputs import (
    as_logits,
    as_stated,
    class_scores,
    recognise,
    relative_difference,
)
from diagnostics.schema.layouts import Size
from diagnostics.schema.spec import Check, LayerInfo, ModelSpec, Need, Output

PROBES = 8
MIXED = 0.01  # of the largest score, by which it differs from batch to batch


def probe(
    network: nn.Module,
    spec: ModelSpec,
    output: str | None = None,
    ending: Ending | None = None,
) -> ModelSpec:
    """Return the spec with what one look at the running network adds: output, layers, offers.

    Args:
        network: Frozen and in evaluation mode.
        spec: Gives the input size and the preprocessing.
        output: What a person says the outputs are; None recognises them.
        ending: What its file shows of its end; None looks at what a pass records.

    Raises:
        ModelError: When the network gives no class scores.
    """
    classifier = TorchClassifier(network, spec, spec.preprocessing)
    pixels = _probe_pixels(spec)
    norms: list[BatchNorm] = []
    with torch.no_grad(), observe_inputs(network, lambda norm, _: norms.append(norm)):
        scores = class_scores(network(classifier.network_input(pixels)))
    two = classifier.network_input(pixels[:2])
    # Scripts that torch optimises record no operations.
    with torch.enable_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        scores_of_two = class_scores(network(two.detach().requires_grad_()))
    if output is None:
        kind, checks = recognise(scores, ending or ending_of_scores(scores_of_two))
    else:
        kind, checks = as_stated(scores, Output(output))
    layers = list_layers(network, two)
    offers = _offers(layers, (spec.height, spec.width))
    offers |= {Need.BATCHNORM} if norms else set()
    head, has_weights = find_head(network, two, layers, as_logits(scores[:2], kind))
    offers |= {Need.FEATURES} if head else set()
    offers |= {Need.HEAD} if has_weights else set()
    if scores_of_two.requires_grad:
        offers |= {Need.GRADIENTS}
    difference = relative_difference(scores_of_two.detach(), scores[:2])
    if difference > MIXED:
        message = (
            f"An image's scores change with the others in its batch, by up to {difference:.0%} "
            "here; what is shown of it holds among the images beside it."
        )
        checks = (*checks, Check("batch", "warned", message))
    return replace(
        spec,
        output=kind,
        layers=layers,
        offers=offers,
        checks=(*spec.checks, *checks),
        head=head,
    )


def _probe_pixels(spec: ModelSpec) -> Tensor:
    """Return images that a network answers differently: black, white, noise, and extreme noise."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(PROBES, spec.channels, spec.height, spec.width, generator=generator)
    pixels[0], pixels[1], pixels[PROBES // 2 :] = 0, 1, pixels[PROBES // 2 :].round()
    return pixels


def _offers(layers: Sequence[LayerInfo], image_size: Size) -> frozenset[Need]:
    """Say what methods may use of a network, besides its gradients."""
    offers = {Need.LAYERS} if layers else set()
    with suppress(NotOfferedError):
        global_layers(layers, image_size)
        offers.add(Need.ATTENTION)
    return frozenset(offers)
