"""Guided backpropagation."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution._backward_rules import guided
from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.spec import Need

BLANK = "No positive gradient reaches a pixel through the ReLUs."
NO_RELU = (
    "This network has no ReLU on the way from the pixels to the logits, so guided backpropagation "
    "would be the plain gradient."
)


@method(
    "Guided backpropagation",
    kind="map",
    source="Springenberg et al. 2015, arXiv:1412.6806",
    needs={Need.GRADIENTS},
)
def guided_backprop(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    signed: bool = False,
) -> Heatmap:
    """Where a change of a pixel raises the logit through ReLUs that all agree.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        signed: Show the sum over channels, with its sign, instead of the largest magnitude.

    Returns:
        Like gradient saliency, with the negative part of the gradient set to zero at every ReLU.
        It hardly depends on the later layers, see whether the map can be trusted.

    Raises:
        NotOfferedError: When the network has no ReLU, or other activations.

    Source:
        Springenberg et al. 2015, section 3.4; sanity checks: Adebayo et al. 2018, arXiv:1810.03292.
    """
    pixels = pixels.detach().requires_grad_()
    with guided(classifier.spec, len(pixels)) as relus:
        logit = classifier.logits(pixels).gather(1, target[:, None]).sum()
    if not relus:
        raise NotOfferedError(NO_RELU)
    (gradient,) = torch.autograd.grad(logit, pixels)
    values = gradient.sum(1) if signed else gradient.abs().amax(1)
    return Heatmap(values, signed, blank=BLANK)
