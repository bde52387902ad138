"""Gradient-weighted attention rollout."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.registry import method
from diagnostics.models.attention import (
    global_layers,
    pooled_tokens,
    read_tokens,
    rollout,
    token_pool,
)
from diagnostics.models.classifier import Classifier, Trace
from diagnostics.schema.spec import Need

BLANK = "More attention to a patch raises the logit nowhere."


@method(
    "Gradient-weighted rollout",
    kind="map",
    source="Chefer et al. 2021, arXiv:2103.15679",
    needs={Need.ATTENTION, Need.GRADIENTS},
)
def gradient_rollout(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
) -> Heatmap:
    """How much of each patch reaches the logit through the attention that raises it.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.

    Returns:
        Magnitude: relevance of each patch, on the grid of the patches.

    Raises:
        NotOfferedError: When tokens change from layer to layer.

    Source:
        Chefer et al. 2021, equations 5 and 6, for self-attention.
    """
    spec = classifier.spec
    names = [layer.name for layer in global_layers(spec.layers, (spec.height, spec.width))]
    pool = token_pool(spec.layers)
    trace = classifier.trace(pixels, [*names, *([pool.name] if pool else [])])
    mixes = [_raising(trace, target, name) for name in names]
    read = read_tokens(trace.layer_gradient(target, names[-1]))
    if pool and trace.layer_gradient(target, pool.name).any():
        read = pooled_tokens(_raising(trace, target, pool.name))
    rolled = rollout(mixes, 1.0, spec, read)
    return Heatmap(rolled, signed=False, blank=BLANK)


def _raising(trace: Trace, target: Tensor, name: str) -> Tensor:
    """Return how a layer mixes tokens by the attention that raises the logit, the heads' mean."""
    return (trace.layer_gradient(target, name) * trace.activations[name].detach()).relu().mean(1)
