"""How layers' outputs are arranged, and which layers are worth seeing first."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.schema.spec import LayerInfo, ModelSpec

Size = tuple[int, int]
MAX_EXTRA_TOKENS = 8
SCORES = "attention scores"  # kind of a layer whose values are arranged like attention weights


def layout(layer: LayerInfo, image_size: Size) -> str:
    """Say how a layer's output is arranged for one image.

    Args:
        layer: Its kind, and its shape without the batch axis.
        image_size: Height and width of the network's input, in px.

    Returns:
        "channels" for (c, h, w) maps with the image's proportions, "channels last" for (h, w, c)
        maps, "dense" for (k,) vectors, "tokens" for (t, c), "attention" for (heads, queries,
        keys), "windows" for the same in each of several windows, "not captured" for (), "other"
        for the rest.
    """
    shape = layer.shape
    if layer.kind == "attention" and len(shape) in (3, 4):
        return "attention" if len(shape) == 3 or shape[0] == 1 else "windows"
    if layer.kind == SCORES:
        return "other"
    if len(shape) == 3:
        height, width = image_size
        first = abs(shape[1] * width - shape[2] * height)
        last = abs(shape[0] * width - shape[1] * height)
        if min(first, last) > max(height, width):  # not even within a cell of its proportions
            return "other"
        return "channels last" if last < first else "channels"
    return {0: "not captured", 1: "dense", 2: "tokens"}.get(len(shape), "other")


def token_grid(tokens: int, image_size: Size) -> tuple[int, int, int] | None:
    """Return how many tokens stand before the grid, and its height and width.

    Patches are square, so the grid has the image's proportions; what is left over are class and
    other extra tokens, which come first. None when no such grid fits.
    """
    height, width = image_size
    for extra in range(min(MAX_EXTRA_TOKENS, tokens - 2) + 1):
        rows = round(((tokens - extra) * height / width) ** 0.5)
        patch = height // rows if rows else 0
        if patch and (rows, (tokens - extra) / rows) == (height // patch, width // patch):
            return extra, rows, width // patch
    return None


def representative(layers: Sequence[LayerInfo], image_size: Size) -> tuple[str, ...]:
    """Pick the layers worth seeing first: the last map at each size, attention, the last dense.

    Returns:
        At most four layers of maps, the first and last attention, the last layer of tokens and
        three dense layers, in the order in which they run.
    """
    maps: dict[Size, str] = {}
    dense: dict[tuple[int, ...], str] = {}
    attention, tokens = [], []
    for layer in layers:
        kind = layout(layer, image_size)
        size = _map_size(layer, kind)
        if size:
            maps[size] = layer.name
        elif kind == "dense" and layer.kind.lower() not in ("flatten", "identity", "dropout"):
            dense[layer.shape] = layer.name
        elif kind in ("attention", "windows"):
            attention.append(layer.name)
        elif kind == "tokens" and token_grid(layer.shape[0], image_size):
            tokens.append(layer.name)
    chosen = {*list(maps.values())[-4:], *list(dense.values())[-3:], *tokens[-1:]}
    chosen |= {*attention[:1], *attention[-1:]}
    return tuple(layer.name for layer in layers if layer.name in chosen)


def last_maps(spec: ModelSpec) -> str:
    """Return the layer at which Grad-CAM is usually taken; empty when there is none.

    The last layer that gives maps; in a vision transformer, whose patches come after them, the
    normalised tokens before the last attention.
    """
    image_size = (spec.height, spec.width)
    last = norm = ""
    for layer in spec.layers:
        kind = layout(layer, image_size)
        if _map_size(layer, kind):
            last = layer.name
        elif (
            kind == "tokens"
            and "norm" in layer.kind.lower()
            and token_grid(layer.shape[0], image_size)
        ):
            norm = layer.name
        elif kind == "attention":
            last = norm or last
    return last


def _map_size(layer: LayerInfo, kind: str) -> Size | None:
    """Return height and width of maps with more than one cell; None for everything else."""
    if kind not in ("channels", "channels last"):
        return None
    height, width = layer.shape[1:] if kind == "channels" else layer.shape[:2]
    return (height, width) if (height, width) != (1, 1) else None
