"""The controls at the head of Inspect's rows; what one would share is bound to the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import streamlit as st

from diagnostics import samples
from diagnostics.options import MethodInfo, Option, Value
from diagnostics.preprocessing import Preprocessing
from diagnostics.shapes import layout, representative
from diagnostics.spec import ModelSpec
from diagnostics.ui import forms
from diagnostics.ui.state import address, session

MOST_LAYERS = 12
TOP_CLASS = "top class of each image"


@dataclass(frozen=True)
class Looking:
    """How to look for what the network used.

    Args:
        attribution: A method with its settings, "family/name?option=value".
        target: Class to explain; None takes each image's top class.
        opacity: Of the map over the image, 0 to 1.
        shared: One scale for all images.
    """

    attribution: str
    target: int | None
    opacity: float
    shared: bool


@dataclass(frozen=True)
class Layers:
    """Which layers to draw, and whether all images share a layer's scale."""

    names: tuple[str, ...]
    shared: bool


def show_samples() -> None:
    """Take the sample images in hand again."""
    images = samples.image_files()
    session().add_images([images[name] for name in samples.FIRST_IMAGES if name in images])


def top(spec: ModelSpec) -> int:
    """Draw how many classes to rank."""
    most = min(20, len(spec.class_names))
    if most == 1:
        return 1
    return int(
        st.number_input("Classes", 1, most, min(5, most), key="top", bind="query-params", width=140)
    )


def preprocessing(spec: ModelSpec) -> Preprocessing:
    """Draw the editor of the preprocessing and return the settings in force."""
    held = session()
    with st.popover("Preprocessing", icon=":material/tune:"):
        st.button("Back to the model's own", on_click=held.use, args=(held.model,))
        held.preprocessing = forms.preprocessing(
            held.preprocessing or spec.preprocessing, f"preprocessing.{held.taken}"
        )
    if held.preprocessing != spec.preprocessing:
        st.caption("changed from the model's own", width="content")
    return held.preprocessing


def looking(spec: ModelSpec, known: Sequence[MethodInfo]) -> Looking:
    """Draw method, its options, class and opacity."""
    offered = {info.id: info for info in known if set(info.needs) <= spec.offers}
    first, second, third, fourth = st.columns([2, 2, 2, 1.6], vertical_alignment="bottom")
    with first:
        identity = _chosen(
            "Method",
            "method",
            {name: info.title for name, info in offered.items()},
            "  \n".join(f"**{info.title}**: {info.summary}" for info in offered.values()),
        )
    with second:
        options = [_option(offered[identity], option, spec) for option in offered[identity].options]
    with third:
        names = {str(index): f"{index} {name}" for index, name in enumerate(spec.class_names)}
        target = _chosen(
            "Class explained",
            "class",
            {"": TOP_CLASS, **names},
            "The map explains this class's logit, never its probability: a probability near "
            "one hardly changes whatever the pixels do.",
        )
    with fourth:
        opacity = st.slider("Opacity", 0, 100, 60, 5, format="%d %%", key="opacity") / 100
    settings = {option.name: value for option, value in options if value != option.default}
    written = urlencode({name: str(value) for name, value in settings.items()})
    return Looking(
        attribution=f"{identity}?{written}" if written else identity,
        target=int(target) if target else None,
        opacity=opacity,
        shared=_shared("looked"),
    )


def _option(info: MethodInfo, option: Option, spec: ModelSpec) -> tuple[Option, Value]:
    if option.kind == "layer":
        image_size = (spec.height, spec.width)
        maps = {"channels", "channels last", "tokens"}
        names = {item.name: item.name for item in spec.layers if layout(item, image_size) in maps}
        shown = {"": "last layer with maps", **names}
        return option, _chosen("Layer", "layer", shown, option.help)
    return option, forms.option(info, option)


def _chosen(label: str, key: str, shown: dict[str, str], explained: str) -> str:
    """Draw a choice among ids, and keep the id in the address unless it is the first.

    Streamlit's own binding writes what is shown, which for classes is a person's text.
    """
    asked = st.query_params.get(key, "")
    if key not in st.session_state and asked in shown:
        st.session_state[key] = asked
    chosen = str(
        st.selectbox(label, list(shown), format_func=shown.__getitem__, key=key, help=explained)
    )
    address(key, "" if chosen == next(iter(shown)) else chosen)
    return chosen


def layers(spec: ModelSpec) -> Layers:
    """Draw which layers to show."""
    names = [layer.name for layer in spec.layers]
    usual = list(representative(spec.layers, (spec.height, spec.width)))
    if "layers" not in st.session_state:
        asked = st.query_params.get("layers", "").split(",")
        st.session_state["layers"] = [name for name in asked if name in names][
            :MOST_LAYERS
        ] or usual
    first, second = st.columns([5, 2], vertical_alignment="bottom")
    with first:
        chosen = st.multiselect("Layers", names, key="layers", max_selections=MOST_LAYERS)
    address("layers", "" if chosen == usual else ",".join(chosen))
    with second:
        shared = _shared("layers")
    return Layers(tuple(name for name in names if name in chosen), shared)


def _shared(row: str) -> bool:
    return st.toggle(
        "One scale for all images",
        key=f"{row}.shared",
        help="On: equal colours are equal values, so images can be compared. "
        "Off: each image uses the whole scale.",
    )
