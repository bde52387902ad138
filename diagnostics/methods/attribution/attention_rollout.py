"""Attention rollout."""

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
from diagnostics.models.classifier import Classifier
from diagnostics.schema.spec import Need


@method(
    "Attention rollout",
    kind="map",
    source="Abnar & Zuidema 2020, arXiv:2005.00928",
    needs={Need.ATTENTION, Need.GRADIENTS},
)
def attention_rollout(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
) -> Heatmap:
    """How much of each patch attention mixes into the answer, the same for every class.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Says nothing about the map: attention alone knows no class.

    Returns:
        Magnitude: share of each patch, on the grid of the patches.

    Raises:
        NotOfferedError: When tokens change from layer to layer.

    Source:
        Abnar & Zuidema 2020, section 3: every layer keeps half of a token and mixes the other
        half by the mean of its heads.
    """
    spec = classifier.spec
    names = [layer.name for layer in global_layers(spec.layers, (spec.height, spec.width))]
    pool = token_pool(spec.layers)
    trace = classifier.trace(pixels, [*names, *([pool.name] if pool else [])])
    mixes = [0.5 * trace.activations[name].detach().mean(1) for name in names]
    read = read_tokens(trace.layer_gradient(target, names[-1]))
    if pool and trace.layer_gradient(target, pool.name).any():
        read = pooled_tokens(trace.activations[pool.name].detach().mean(1))
    rolled = rollout(mixes, 0.5, spec, read)
    return Heatmap(rolled, signed=False, any_class=True)
