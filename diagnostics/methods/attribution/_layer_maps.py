"""The maps that a layer gives, for methods that weigh them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import NotOfferedError
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import last_maps, layout, token_grid
from diagnostics.schema.spec import LayerInfo, ModelSpec


def layer_with_maps(spec: ModelSpec, name: str) -> LayerInfo:
    """Return the layer of that name, or the default one when it is empty.

    Raises:
        NotOfferedError: When the layer gives no maps, or none does.
    """
    default = last_maps(spec)
    info = spec.layer(name or default)
    if not default:
        raise NotOfferedError(
            "This needs a layer that gives maps; this network has dense layers only. Gradient "
            "saliency works here."
        )
    if info is None or not info.shape:
        raise NotOfferedError(f"Layer {name} did not run, so there are no maps to weigh.")
    arranged = layout(info, (spec.height, spec.width))
    grid = arranged == "tokens" and token_grid(info.shape[0], (spec.height, spec.width))
    if not grid and not arranged.startswith("channels"):
        raise NotOfferedError(
            f"This needs a layer that gives maps; {info.name} gives {list(info.shape)}."
        )
    return info


def layer_maps(values: Tensor, layer: LayerInfo, spec: ModelSpec) -> Float[Tensor, "n c h w"]:
    """Return a layer's values as maps, outside the autograd graph, see `layer_with_maps`."""
    maps = as_maps(values.detach(), layer, (spec.height, spec.width))
    if maps is None:
        raise ValueError(f"{layer.name} gives no maps.")
    return maps
