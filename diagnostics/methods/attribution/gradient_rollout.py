"""Gradient-weighted attention rollout."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.registry import method
from diagnostics.models.attention import global_layers, read_tokens, rollout
from diagnostics.models.classifier import Classifier
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
    trace = classifier.trace(pixels, names)
    mixes = [
        (trace.layer_gradient(target, name) * trace.activations[name].detach()).relu().mean(1)
        for name in names
    ]
    read = read_tokens(trace.layer_gradient(target, names[-1]))
    rolled = rollout(mixes, 1.0, spec, read)
    return Heatmap(rolled, signed=False, blank=BLANK)
