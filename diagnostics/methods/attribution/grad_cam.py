"""Grad-CAM at any layer that gives maps."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.attribution._layer_maps import layer_maps, layer_with_maps
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Layer
from diagnostics.schema.spec import Need

BLANK = (
    "No cell of this layer raises the logit: every weighted sum of its maps is zero or below, "
    "and Grad-CAM keeps the positive part only."
)


@method(
    "Grad-CAM",
    kind="map",
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
    info = layer_with_maps(classifier.spec, layer)
    trace = classifier.trace(pixels, (info.name,))
    maps = layer_maps(trace.activations[info.name], info, classifier.spec)
    gradient = layer_maps(trace.layer_gradient(target, info.name), info, classifier.spec)
    weights = gradient.mean((2, 3), keepdim=True)
    return Heatmap((weights * maps).sum(1).relu(), signed=False, layer=info.name, blank=BLANK)
