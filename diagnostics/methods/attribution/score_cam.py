"""Score-CAM."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from diagnostics.methods.attribution._batch_size import forward_batch_size
from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.attribution._layer_maps import layer_maps, layer_with_maps
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.layouts import layout
from diagnostics.schema.options import Layer
from diagnostics.schema.spec import ModelSpec, Need

BLANK = "The weighted sum of the layer's maps is zero or below everywhere."


def _forward_passes(spec: ModelSpec, layer: str) -> int:
    """Return one for the image itself and one for each map of the layer."""
    info = layer_with_maps(spec, layer)
    channels_first = layout(info, (spec.height, spec.width)) == "channels"
    return 1 + info.shape[0 if channels_first else -1]


@method(
    "Score-CAM",
    kind="map",
    source="Wang et al. 2020, arXiv:1910.01279",
    needs={Need.LAYERS},
    forward_passes=_forward_passes,
)
def score_cam(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    layer: Annotated[str, Layer()] = "",
) -> Heatmap:
    """Which cells of a layer's maps keep the logit high when only they are left of the image.

    Args:
        classifier: The classifier explained; no gradients are needed.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        layer: Layer whose maps cover the image; empty takes the one that Grad-CAM takes.

    Returns:
        Magnitude: the positive part of the maps' sum, weighed by the softmax over the maps of the
        logits that the covered images get; height and width of the layer's maps.

    Raises:
        NotOfferedError: When the layer gives no maps.

    Source:
        Wang et al. 2020, equations 5 to 8.
    """
    info = layer_with_maps(classifier.spec, layer)
    trace = classifier.trace(pixels, (info.name,))
    maps = layer_maps(trace.activations[info.name], info, classifier.spec).detach().contiguous()
    values = []
    for row, image in enumerate(pixels):
        with torch.no_grad():
            scores = [
                classifier.logits(image * _masks(part, image))[:, target[row]]
                for part in torch.split(maps[row], forward_batch_size(pixels))
            ]
        weights = torch.cat(scores).softmax(0)
        values.append(torch.einsum("c,chw->hw", weights, maps[row]).relu())
    return Heatmap(torch.stack(values), signed=False, layer=info.name, blank=BLANK)


def _masks(maps: Float[Tensor, "m rows columns"], image: Tensor) -> Float[Tensor, "m 1 h w"]:
    """Return maps made as large as the image, each from 0 to 1."""
    masks = functional.interpolate(maps[:, None], image.shape[1:], mode="bilinear")
    low, high = masks.amin((1, 2, 3), keepdim=True), masks.amax((1, 2, 3), keepdim=True)
    return masks.sub_(low).div_((high - low).clamp_min(1e-7))
