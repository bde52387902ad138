"""Grad-CAM at any layer that gives maps."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.classifier import Classifier
from diagnostics.errors import NotOfferedError
from diagnostics.layers import as_maps
from diagnostics.method import method
from diagnostics.methods.attribution import Heatmap
from diagnostics.options import Layer
from diagnostics.shapes import last_maps
from diagnostics.spec import Need

BLANK = (
    "No cell of this layer raises the logit: every weighted sum of its maps is zero or below, "
    "and Grad-CAM keeps the positive part only."
)


@method(
    "Grad-CAM",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    needs={Need.GRADIENTS, Need.LAYERS},
)
def grad_cam(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    layer: Annotated[str, Layer()] = "",
) -> Heatmap:
    """Which cells of a layer's maps raise the target's logit.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        layer: Layer whose maps are weighed; empty takes the last one that gives maps, or the
            normalised tokens before the last attention.

    Returns:
        Magnitude: the positive part of the maps' sum, each map weighed by its mean gradient;
        height and width of the layer's maps, or of the grid of its tokens.

    Raises:
        NotOfferedError: When the layer gives no maps.

    Source:
        Selvaraju et al. 2017, equations 1 and 2.
    """
    layer = layer or last_maps(classifier.spec)
    if not layer:
        raise NotOfferedError(
            "Grad-CAM needs a layer that gives maps; this network has dense layers only. "
            "Gradient saliency works here."
        )
    info, image_size = classifier.spec.layer(layer), (classifier.spec.height, classifier.spec.width)
    trace = classifier.trace(pixels, (layer,))
    if info is None or layer not in trace.activations:
        raise NotOfferedError(f"Layer {layer} did not run, so Grad-CAM has nothing to weigh there.")
    maps = as_maps(trace.activations[layer].detach(), info, image_size)
    gradient = as_maps(trace.layer_gradient(target, layer), info, image_size)
    if maps is None or gradient is None:
        shape = list(info.shape)
        raise NotOfferedError(f"Grad-CAM needs a layer that gives maps; {layer} gives {shape}.")
    weights = gradient.mean((2, 3), keepdim=True)
    return Heatmap((weights * maps).sum(1).relu(), signed=False, layer=layer, blank=BLANK)
