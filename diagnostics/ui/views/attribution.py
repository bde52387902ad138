"""The options of attribution: which methods, what they explain, and how maps are drawn."""

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
GRADIENT, GRAD_CAM = "attribution/gradient", "attribution/grad_cam"
OCCLUSION = "attribution/occlusion"  # which every model can answer
QUICK = (GRADIENT, "attribution/input_x_gradient", GRAD_CAM)


@dataclass(frozen=True)
class AttributionOptions:
    """What is attributed, by which methods, and how it is drawn.

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


def pick_method(spec: ModelSpec, methods: Methods) -> AttributionOptions:
    """Draw one method, its options, what is explained, and opacity."""
    offered = {info.id: info for info in _maps(methods) if set(info.needs) <= spec.offers}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        identity = choose(
            "Method",
            "method",
            {name: info.title for name, info in offered.items()},
            "  \n".join(f"**{info.title}**: {info.summary}" for info in offered.values()),
            default=GRAD_CAM if last_maps(spec) else GRADIENT,
        )
        choice = MethodChoice(offered[identity], _options(offered[identity], spec))
        options = _pick_common(spec, (choice,))
    st.caption(KEY)
    return options


def pick_methods(spec: ModelSpec, methods: Methods) -> AttributionOptions:
    """Draw several methods, what all of them explain, and opacity."""
    offered = {info.id: info for info in _maps(methods) if set(info.needs) <= spec.offers}
    default = [name for name in QUICK if name in offered and (name != GRAD_CAM or last_maps(spec))]
    titles = {name: info.title for name, info in offered.items()}
    names = choose_many("Methods", "gallery", titles, default or [OCCLUSION])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        options = _pick_common(spec, tuple(MethodChoice(offered[name], {}) for name in names))
    st.caption(KEY)
    return options


def pick_settings(choice: MethodChoice, spec: ModelSpec) -> MethodChoice:
    """Draw a method's own options and return it with them."""
    return MethodChoice(choice.info, _options(choice.info, spec))


def reset_methods() -> None:
    """Take the default methods in the gallery again."""
    st.session_state.pop("gallery", None)
    current_session().choices.pop("gallery", None)


def list_unavailable(spec: ModelSpec, methods: Methods) -> None:
    """Say of each method that this model cannot answer what it would need."""
    missing = {info.title: sorted(set(info.needs) - spec.offers) for info in _maps(methods)}
    lines = [f"- **{title}** needs {', '.join(needs)}" for title, needs in missing.items() if needs]
    if lines:
        with st.expander("Methods that this model cannot answer"):
            st.markdown("\n".join(lines))
            for need in sorted({need for needs in missing.values() for need in needs}):
                st.text(f"{need.capitalize()}: {spec.why_not(Need(need))}")


def _maps(methods: Methods) -> list[MethodInfo]:
    """Return the methods that say where the network looked; others have pages of their own."""
    return [info for info in methods.values() if info.kind == "map"]


def _pick_common(spec: ModelSpec, choices: tuple[MethodChoice, ...]) -> AttributionOptions:
    """Draw what all methods explain, and how their maps are drawn."""
    target = pick_target(spec)
    against = pick_against(spec)
    remember("opacity", default=60, max_value=100)
    percent = st.slider("Opacity", 0, 100, step=5, format="%d %%", key="opacity", width=170)
    shared = shared_scale_toggle("looked")
    return AttributionOptions(choices, target, against, percent / 100, shared)


def _options(info: MethodInfo, spec: ModelSpec) -> dict[str, Value]:
    """Draw a method's options; an expensive method runs again only when they are applied."""
    if not info.options:
        return {}
    folded = len(info.options) > 1 or info.expensive
    area = st.popover("Settings") if folded else st.container(width="content")
    with area:
        form = st.form(f"form.{info.id}", border=False) if info.expensive else st.container()
        with form:
            values = forms.options(info, _fields(info, spec))
            if info.expensive:
                st.form_submit_button("Apply")
    return {name: value for name, value in values.items() if value != info.option(name).default}


def _fields(info: MethodInfo, spec: ModelSpec) -> dict[str, forms.Field]:
    """Return how a method's options are drawn; a layer is one of the model's."""
    image_size = (spec.height, spec.width)
    drawable = {"channels", "channels last", "tokens"}
    names = [layer.name for layer in spec.layers if layout(layer, image_size) in drawable]
    default = f"usual: {shortened(last_maps(spec), 20)}"
    layer_field = forms.Field(
        label="Layer",
        choices=("", *names),
        title=lambda name: name or default,
        key=f"layer.{info.id.rpartition('/')[2]}",
    )
    return {
        option.name: layer_field if option.kind == "layer" else forms.AS_SIGNED
        for option in info.options
    }
