"""The controls that say which layers are drawn, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import streamlit as st

from diagnostics.report.inspection.layer_detail import Order
from diagnostics.report.inspection.layers import LayerScale
from diagnostics.schema.layouts import representative
from diagnostics.schema.request import File
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import markdown, shortened
from diagnostics.ui.session.choices import WIDTH, choose, choose_many

MAX_LAYERS = 12
LAYERS_PX = 680
LAYER_PX = 330


@dataclass(frozen=True)
class Layers:
    """Which layers to draw and how.

    Args:
        names: The layers, in the order in which they run.
        scale: Which values share a scale.
        query: Token whose attention is drawn; None takes the class token, or the middle one.
    """

    names: tuple[str, ...]
    scale: LayerScale
    query: int | None


def layers(spec: ModelSpec) -> Layers:
    """Draw which layers to show."""
    if not spec.layers:
        st.text(spec.why_not(Need.LAYERS))
        return Layers((), "each image", None)
    names = {layer.name: layer.name for layer in spec.layers}
    default = list(representative(spec.layers, (spec.height, spec.width)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=LAYERS_PX):
            chosen = choose_many("Layers", "layers", names, default, max_selections=MAX_LAYERS)
        drawn = tuple(name for name in names if name in chosen)
        attends = any(layer.kind == "attention" and layer.name in drawn for layer in spec.layers)
        scale = layer_scale()
        query = query_token() if attends else None
    return Layers(drawn, scale, query)


def layer_choice(spec: ModelSpec) -> str:
    """Draw which layer is looked at in depth."""
    if not spec.layers:
        st.info(markdown(spec.why_not(Need.LAYERS)))
        st.stop()
    default = representative(spec.layers, (spec.height, spec.width))
    shapes = {
        item.name: " × ".join(str(side) for side in item.shape) or "did not run"
        for item in spec.layers
    }
    return choose(
        "Layer",
        "deep",
        {name: f"{name} · {shape}" for name, shape in shapes.items()},
        "Every module, and every functional operation that the network does in between.",
        default=next(iter(default), ""),
        width=LAYER_PX,
    )


def image_choice(label: str, key: str, files: Sequence[File], default: int) -> File:
    """Draw which of the images shown is looked at; by default the one with that index."""
    known = {file.sha256: file for file in files}
    first = files[min(default, len(files) - 1)]
    names = {digest: shortened(file.name, 30) for digest, file in known.items()}
    if st.session_state.get(key) not in known:
        st.session_state[key] = first.sha256
    return known[
        st.selectbox(label, list(names), format_func=names.__getitem__, key=key, width=WIDTH)
    ]


def map_order() -> Order:
    """Draw how the maps of a layer are sorted."""
    orders: dict[str, Order] = {order: order for order in get_args(Order)}
    labels = {"strongest": "strongest in A first", "number": "by number"}
    return orders[
        choose(
            "Maps",
            "order",
            {order: labels.get(order, f"{order} first") for order in orders},
            "Strength is the mean magnitude of a map.",
        )
    ]


def layer_scale() -> LayerScale:
    """Draw which values share a scale."""
    scales: dict[str, LayerScale] = {scale: scale for scale in get_args(LayerScale)}
    chosen = choose(
        "One scale for",
        "scale",
        {scale: scale for scale in scales},
        "Equal colours are equal values within each image, across all images, or only "
        "within one map.",
    )
    return scales[chosen]


def query_token() -> int | None:
    """Draw whose attention is shown."""
    token = st.number_input(
        "Query token",
        0,
        None,
        None,
        key="query",
        placeholder="class token",
        width=WIDTH,
        help="Whose attention is drawn: the class token, or the middle one where there is none, "
        "unless you name another by its number.",
    )
    return None if token is None else int(token)
