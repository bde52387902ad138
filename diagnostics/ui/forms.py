"""Forms drawn from plain data: a method's options, and the preprocessing."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, get_type_hints

import streamlit as st

from diagnostics.options import MethodInfo, Option, Range, Value
from diagnostics.preprocessing import Preprocessing
from diagnostics.presets import PRESETS

FITS = {
    "crop": "shortest side, then centre crop",
    "stretch": "stretch to the input size",
    "letterbox": "whole image, padded",
    "none": "as it is",
}


def preprocessing(current: Preprocessing, published: Preprocessing) -> Preprocessing:
    """Draw the editor and return the settings that stand in it.

    Args:
        current: Settings in force.
        published: The model's own, to go back to.
    """
    if st.button("Back to the model's own", disabled=current == published):
        for name in vars(current):
            st.session_state.pop(f"preprocessing.{name}", None)
        return published
    left, middle, right = st.columns(3)
    with left:
        shape = _shape(current)
    with middle:
        looks = _looks(current)
    with right:
        numbers = _numbers(current)
    return replace(current, **shape, **looks, **numbers)  # type: ignore[arg-type]


def _shape(current: Preprocessing) -> dict[str, object]:
    kernels = get_args(get_type_hints(Preprocessing)["interpolation"])
    fit = st.selectbox(
        "Fit", list(FITS), list(FITS).index(current.fit), FITS.__getitem__, key="preprocessing.fit"
    )
    return {
        "fit": fit,
        "resize_px": st.number_input(
            "Shortest side, px",
            1,
            4096,
            current.resize_px,
            key="preprocessing.resize_px",
            disabled=fit != "crop",
        ),
        "interpolation": st.selectbox(
            "Kernel",
            kernels,
            kernels.index(current.interpolation),
            key="preprocessing.interpolation",
        ),
        "antialias": st.checkbox("Antialias", current.antialias, key="preprocessing.antialias"),
    }


def _looks(current: Preprocessing) -> dict[str, object]:
    on = st.checkbox("Threshold", current.threshold is not None, key="preprocessing.threshold_on")
    level = st.slider(
        "Threshold at",
        0.0,
        1.0,
        0.5 if current.threshold is None else current.threshold,
        key="preprocessing.threshold",
        disabled=not on,
    )
    return {
        "invert": st.checkbox("Invert black and white", current.invert, key="preprocessing.invert"),
        "grey": st.checkbox(
            "Turn colours to grey",
            current.grey,
            key="preprocessing.grey",
            disabled=not current.colour,
        ),
        "contrast": st.slider(
            "Contrast slope",
            0.0,
            100.0,
            min(current.contrast, 100.0),
            key="preprocessing.contrast",
            help="Slope s of the logistic curve 1/(1+exp(−s(v−0.5))); 0 leaves values alone.",
        ),
        "contrast_keeps_range": st.checkbox(
            "Contrast keeps 0 and 1",
            current.contrast_keeps_range,
            key="preprocessing.contrast_keeps_range",
        ),
        "blur": st.slider("Blur, px", 0.0, 10.0, current.blur, key="preprocessing.blur"),
        "threshold": level if on else None,
    }


def _numbers(current: Preprocessing) -> dict[str, object]:
    known = ["as now", *PRESETS]
    name = st.selectbox("Mean and std", known, key="preprocessing.preset")
    base = current if name == "as now" else PRESETS[name].applied_to(current)
    return {
        "bgr": st.checkbox(
            "Feed blue, green, red", base.bgr, key="preprocessing.bgr", disabled=not base.colour
        ),
        "value_range": st.segmented_control(
            "Largest value fed",
            (1, 255),
            default=base.value_range,
            key="preprocessing.value_range",
            required=True,
        ),
        "mean": _per_channel("Mean", base.mean, f"preprocessing.mean.{name}"),
        "std": _per_channel("Std", base.std, f"preprocessing.std.{name}"),
    }


def _per_channel(label: str, values: tuple[float, ...], key: str) -> tuple[float, ...]:
    columns = st.columns(len(values))
    return tuple(
        column.number_input(
            f"{label} {index}", value=value, format="%.4f", key=f"{key}.{index}", step=0.01
        )
        for index, (column, value) in enumerate(zip(columns, values, strict=True))
    )


def option(info: MethodInfo, one: Option) -> Value:
    """Draw the widget of one option of a method."""
    label, key = one.name.replace("_", " ").capitalize(), f"{info.id}.{one.name}"
    if one.kind == "bool":
        return st.toggle(label, bool(one.default), key=key, help=one.help)
    if one.kind == "choice":
        place = one.choices.index(str(one.default))
        return st.selectbox(label, one.choices, place, key=key, help=one.help)
    if one.kind == "text":
        return st.text_input(label, str(one.default), key=key, help=one.help)
    limits = one.range or Range(-1e9, 1e9)
    if one.kind == "int":
        low, high = int(limits.low), int(limits.high)
        return int(st.number_input(label, low, high, int(one.default or 0), key=key, help=one.help))
    return st.number_input(
        label, limits.low, limits.high, float(one.default or 0), key=key, help=one.help
    )
