"""How layers' outputs are arranged, and which layers are worth seeing first."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.spec import LayerInfo, ModelSpec


def layout(shape: Sequence[int], image_size: tuple[int, int]) -> str:
    """Say how a layer's output is arranged: "channels", "dense", "tokens" or "other".

    Args:
        shape: Shape for one image, without the batch axis.
        image_size: Height and width of the network's input, in px.

    Returns:
        "channels" for (c, h, w) maps, "channels last" for (h, w, c) maps, "dense" for (k,)
        vectors, "tokens" for (t, c), "not captured" for (), "other" for the rest.
    """
    if len(shape) == 3:
        height, width = image_size
        first = abs(shape[1] * width - shape[2] * height)
        last = abs(shape[0] * width - shape[1] * height)
        return "channels last" if last < first else "channels"
    return {0: "not captured", 1: "dense", 2: "tokens"}.get(len(shape), "other")


def representative(layers: Sequence[LayerInfo], image_size: tuple[int, int]) -> tuple[str, ...]:
    """Pick the layers worth seeing first: the last map at each size, and the last dense ones.

    Returns:
        At most four map layers and three dense layers, in the order in which they run.
    """
    maps: dict[tuple[int, ...], str] = {}
    dense: dict[tuple[int, ...], str] = {}
    for layer in layers:
        kind = layout(layer.shape, image_size)
        if kind == "channels" and layer.shape[1:] != (1, 1):
            maps[layer.shape[1:]] = layer.name
        elif kind == "dense" and layer.kind != "Flatten":
            dense[layer.shape] = layer.name
    chosen = {*list(maps.values())[-4:], *list(dense.values())[-3:]}
    return tuple(layer.name for layer in layers if layer.name in chosen)


def last_maps(spec: ModelSpec) -> str:
    """Return the last layer whose maps have more than one cell; empty when there is none."""
    for layer in reversed(spec.layers):
        arranged = layout(layer.shape, (spec.height, spec.width))
        cells = layer.shape[1:] if arranged == "channels" else layer.shape[:2]
        if arranged.startswith("channels") and cells != (1, 1):
            return layer.name
    return ""
