"""Gradient saliency."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.spec import Need


@method(
    "Gradient", kind="map", source="Simonyan et al. 2013, arXiv:1312.6034", needs={Need.GRADIENTS}
)
def gradient(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    signed: bool = False,
) -> Heatmap:
    """Where a small change of a pixel changes the target's logit most.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        signed: Show the sum over channels, with its sign, instead of the largest magnitude.

    Returns:
        Signed: sum over channels of d logit / d pixel. Otherwise: the largest |d logit / d pixel|
        over the channels. Same height and width as the pixels.

    Source:
        Simonyan et al. 2013, section 3.1.
    """
    pixel_gradient = classifier.trace(pixels, ()).pixel_gradient(target)
    values = pixel_gradient.sum(1) if signed else pixel_gradient.abs().amax(1)
    return Heatmap(values, signed)
