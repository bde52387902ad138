"""Score-CAM."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from diagnostics.methods.attribution import Heatmap, at_once, layer_with_maps, maps_of
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.layouts import layout
from diagnostics.schema.options import Layer
from diagnostics.schema.spec import ModelSpec, Need

BLANK = "The weighted sum of the layer's maps is zero or below everywhere."


def _maps(spec: ModelSpec, layer: str) -> int:
    """Return how many images the network is asked about for each image."""
    info = layer_with_maps(spec, layer)
    last = layout(info, (spec.height, spec.width)) != "channels"
    return 1 + info.shape[-1 if last else 0]


@method(
    "Score-CAM",
    kind="map",
    source="Wang et al. 2020, arXiv:1910.01279",
    needs={Need.LAYERS},
    forward_passes=_maps,
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
    maps = maps_of(trace.activations, info, classifier.spec)
    found = []
    for row, image in enumerate(pixels):
        masks = functional.interpolate(maps[row, :, None], image.shape[1:], mode="bilinear")
        low, high = masks.amin((1, 2, 3), keepdim=True), masks.amax((1, 2, 3), keepdim=True)
        masks = (masks - low) / (high - low).clamp_min(1e-7)
        with torch.no_grad():
            scores = [
                classifier.logits(image * part)[:, target[row]]
                for part in torch.split(masks, at_once(pixels))
            ]
        weights = torch.cat(scores).softmax(0)
        found.append(torch.einsum("c,chw->hw", weights, maps[row]).relu())
    return Heatmap(torch.stack(found), signed=False, layer=info.name, blank=BLANK)
