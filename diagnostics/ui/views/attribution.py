"""The controls that say how to look for what the network used."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from diagnostics.schema.layouts import last_maps, layout
from diagnostics.schema.options import MethodChoice, MethodInfo, Methods, Value
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import shortened
from diagnostics.ui.session.choices import choose, choose_many, remember, shared_scale_toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.model_picker import pick_against, pick_target

KEY = (
    "Red raises the logit and blue lowers it; maps without signs run from dark, zero, to bright, "
    "most."
)
GRAD_CAM = "attribution/grad_cam"
OCCLUSION = "attribution/occlusion"  # which every model can answer
QUICK = ("attribution/gradient", "attribution/input_x_gradient", GRAD_CAM)


@dataclass(frozen=True)
class Looking:
    """How to look for what the network used.

    Args:
        methods: The methods; on Inspect only one.
        target: Class to explain; None takes each image's top class.
        against: Class whose logit is subtracted, or `STRONGEST`; None explains the logit alone.
        opacity: Of the maps over the images, 0 to 1.
        shared: One scale for all images of a method.
    """

    methods: tuple[MethodChoice, ...]
    target: int | None
    against: int | None
    opacity: float
    shared: bool


def looking(spec: ModelSpec, methods: Methods) -> Looking:
    """Draw one method, its options, what is explained, and opacity."""
    offered = {info.id: info for info in _maps(methods) if set(info.needs) <= spec.offers}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        identity = choose(
            "Method",
            "method",
            {name: info.title for name, info in offered.items()},
            "  \n".join(f"**{info.title}**: {info.summary}" for info in offered.values()),
            default=_usual(spec),
        )
        chosen = MethodChoice(offered[identity], _options(offered[identity], spec))
        target = pick_target(spec)
        against = pick_against(spec)
        opacity = opaque()
        shared = shared_scale_toggle("looked")
    st.caption(KEY)
    return Looking((chosen,), target, against, opacity, shared)


def gallery(spec: ModelSpec, methods: Methods) -> Looking:
    """Draw several methods, what all of them explain, and opacity."""
    offered = {info.id: info for info in _maps(methods) if set(info.needs) <= spec.offers}
    usual = [name for name in QUICK if name in offered and (name != GRAD_CAM or last_maps(spec))]
    titles = {name: info.title for name, info in offered.items()}
    names = choose_many("Methods", "gallery", titles, usual or [OCCLUSION])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = pick_target(spec)
        against = pick_against(spec)
        opacity = opaque()
        shared = shared_scale_toggle("looked")
    st.caption(KEY)
    chosen = tuple(MethodChoice(offered[name], {}) for name in names)
    return Looking(chosen, target, against, opacity, shared)


def settings(chosen: MethodChoice, spec: ModelSpec) -> MethodChoice:
    """Draw a method's own options and return it with them."""
    return MethodChoice(chosen.info, _options(chosen.info, spec))


def quick_methods() -> None:
    """Take the usual methods in the gallery again."""
    st.session_state.pop("gallery", None)
    current_session().choices.pop("gallery", None)


def missing_methods(spec: ModelSpec, methods: Methods) -> None:
    """Say of each method that this model cannot answer what it would need."""
    lacking = {info.title: sorted(set(info.needs) - spec.offers) for info in _maps(methods)}
    lines = [f"- **{title}** needs {', '.join(needs)}" for title, needs in lacking.items() if needs]
    if lines:
        with st.expander("Methods that this model cannot answer"):
            st.markdown("\n".join(lines))
            for need in sorted({need for needs in lacking.values() for need in needs}):
                st.text(f"{need.capitalize()}: {spec.why_not(Need(need))}")


def _maps(methods: Methods) -> list[MethodInfo]:
    """Return the methods that say where the network looked; others have pages of their own."""
    return [info for info in methods.values() if info.kind == "map"]


def _usual(spec: ModelSpec) -> str:
    return GRAD_CAM if last_maps(spec) else "attribution/gradient"


def opaque() -> float:
    """Draw the opacity of maps over images, 0 to 1."""
    remember("opacity", default=60, max_value=100)
    return st.slider("Opacity", 0, 100, step=5, format="%d %%", key="opacity", width=170) / 100


def _options(info: MethodInfo, spec: ModelSpec) -> dict[str, Value]:
    """Draw a method's options; a dear method is asked again only when they are applied."""
    if not info.options:
        return {}
    folded = len(info.options) > 1 or info.expensive
    place = st.popover("Settings") if folded else st.container(width="content")
    with place:
        form = st.form(f"form.{info.id}", border=False) if info.expensive else st.container()
        with form:
            values = forms.options(info, _fields(info, spec))
            if info.expensive:
                st.form_submit_button("Apply")
    return {name: value for name, value in values.items() if value != info.option(name).default}


def _fields(info: MethodInfo, spec: ModelSpec) -> dict[str, forms.Field]:
    """Return how a method's options are drawn; a layer is one of the model in hand."""
    image_size = (spec.height, spec.width)
    drawable = {"channels", "channels last", "tokens"}
    names = [item.name for item in spec.layers if layout(item, image_size) in drawable]
    default = f"usual: {shortened(last_maps(spec), 20)}"
    layer = forms.Field(
        label="Layer",
        choices=("", *names),
        title=lambda name: name or default,
        key=f"layer.{info.id.rpartition('/')[2]}",
    )
    return {
        option.name: layer if option.kind == "layer" else forms.AS_SIGNED for option in info.options
    }
