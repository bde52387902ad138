"""Input × gradient."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.spec import Need

BLANK = (
    "Every pixel is black, before mean and std are applied, or has no gradient, so that their "
    "product is zero."
)


@method(
    "Input × gradient",
    kind="map",
    source="Shrikumar et al. 2016, arXiv:1605.01713",
    needs={Need.GRADIENTS},
)
def input_x_gradient(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
) -> Heatmap:
    """How much each pixel adds to the target's logit, if the network were linear.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1]; a black pixel adds nothing by definition.
        target: Index of the class explained, one per image.

    Returns:
        Signed: sum over channels of pixel × d logit / d pixel, in logits. Same height and width as
        the pixels.

    Source:
        Shrikumar et al. 2016, section 3.
    """
    pixel_gradient = classifier.trace(pixels, ()).pixel_gradient(target)
    return Heatmap((pixels * pixel_gradient).sum(1).detach(), signed=True, blank=BLANK)
