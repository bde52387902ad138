"""The controls that stand at the head of a page: samples, ranking, and the preprocessing."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn, get_args, get_type_hints

import streamlit as st

from diagnostics.data import samples
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS
from diagnostics.schema.spec import ModelSpec
from diagnostics.ui.session.state import current_session

UNCHANGED = "keep as they are"
FITS = {
    "crop": "shortest side, then centre crop",
    "stretch": "stretch to the size",
    "letterbox": "whole image, padded",
    "none": "as it is",
}


def offer_samples() -> NoReturn:
    """Say that no image is shown, offer the samples, and end the page there."""
    st.info("No image is shown. Choose one at the left, add one, or begin with the samples.")
    st.button("Show the samples", on_click=_show_samples, type="primary")
    st.stop()


def _show_samples() -> None:
    images = samples.image_files()
    current_session().add_images([images[name] for name in samples.FIRST_IMAGES if name in images])


def top_classes(spec: ModelSpec) -> int:
    """Draw how many classes to rank."""
    count = min(20, len(spec.class_names))
    if count == 1:
        return 1
    return int(
        st.number_input(
            "Classes", 1, count, min(5, count), key="top", bind="query-params", width=140
        )
    )


def preprocessing(spec: ModelSpec) -> Preprocessing:
    """Draw the editor of the preprocessing and return the settings in force."""
    session = current_session()
    with st.popover("Preprocessing", icon=":material/tune:"):
        st.button("Back to the model's own", on_click=session.select_model, args=(session.model,))
        session.preprocessing = _editor(
            session.preprocessing or spec.preprocessing, f"preprocessing.{session.model_changes}"
        )
    if session.preprocessing != spec.preprocessing:
        st.caption("changed from the model's own", width="content")
    return session.preprocessing


def _editor(current: Preprocessing, prefix: str) -> Preprocessing:
    """Draw the fields of the preprocessing and return the settings that stand in them.

    Args:
        current: Settings that stand there at first.
        prefix: Begins the widgets' keys; a new one forgets what was set before.
    """
    left, middle, right = st.columns(3)
    with left:
        shape = _shape(current, prefix)
    with middle:
        looks = _looks(current, prefix)
    with right:
        name, base = _scaling(current, prefix)
    scaled = _per_channel(base, f"{prefix}.{name}")
    return replace(base, **shape, **looks, **scaled)  # type: ignore[arg-type]


def _shape(current: Preprocessing, prefix: str) -> dict[str, object]:
    kernels = get_args(get_type_hints(Preprocessing)["interpolation"])
    fit = st.selectbox(
        "Fit", list(FITS), list(FITS).index(current.fit), FITS.__getitem__, key=f"{prefix}.fit"
    )
    return {
        "fit": fit,
        "resize_px": st.number_input(
            "Shortest side, px",
            1,
            4096,
            current.resize_px,
            key=f"{prefix}.resize_px",
            disabled=fit != "crop",
        ),
        "interpolation": st.selectbox(
            "Kernel",
            kernels,
            kernels.index(current.interpolation),
            key=f"{prefix}.interpolation",
        ),
        "antialias": st.checkbox("Antialias", current.antialias, key=f"{prefix}.antialias"),
    }


def _looks(current: Preprocessing, prefix: str) -> dict[str, object]:
    on = st.checkbox("Threshold", current.threshold is not None, key=f"{prefix}.threshold_on")
    level = st.slider(
        "Threshold at",
        0.0,
        1.0,
        0.5 if current.threshold is None else current.threshold,
        key=f"{prefix}.threshold",
        disabled=not on,
    )
    return {
        "invert": st.checkbox("Invert black and white", current.invert, key=f"{prefix}.invert"),
        "grey": st.checkbox(
            "Turn colours to grey",
            current.grey,
            key=f"{prefix}.grey",
            disabled=not current.colour,
        ),
        "contrast": st.slider(
            "Contrast slope",
            0.0,
            100.0,
            min(current.contrast, 100.0),
            key=f"{prefix}.contrast",
            help="Slope s of the logistic curve 1/(1+exp(−s(v−0.5))); 0 leaves values alone.",
        ),
        "contrast_keeps_range": st.checkbox(
            "Contrast keeps 0 and 1",
            current.contrast_keeps_range,
            key=f"{prefix}.contrast_keeps_range",
        ),
        "blur": st.slider("Blur, px", 0.0, 10.0, current.blur, key=f"{prefix}.blur"),
        "threshold": level if on else None,
    }


def _scaling(current: Preprocessing, prefix: str) -> tuple[str, Preprocessing]:
    """Return the name of the mean and std chosen, and the settings with its scaling."""
    name = st.selectbox("Mean and std", [UNCHANGED, *PRESETS], key=f"{prefix}.preset")
    base = current if name == UNCHANGED else PRESETS[name].applied_to(current)
    bgr = st.checkbox(
        "Feed blue, green, red", base.bgr, key=f"{prefix}.{name}.bgr", disabled=not base.colour
    )
    top = st.segmented_control(
        "Largest value fed",
        (1, 255),
        default=base.value_range,
        key=f"{prefix}.{name}.value_range",
        required=True,
    )
    return name, replace(base, bgr=bgr, value_range=top)


def _per_channel(base: Preprocessing, prefix: str) -> dict[str, tuple[float, ...]]:
    """Draw mean and std of each channel, in the order in which the channels are fed."""
    channels = ("blue", "green", "red") if base.bgr else ("red", "green", "blue")
    names = channels if base.colour else ("",)
    columns = iter(st.columns(2 * len(names)))

    def numbers(label: str, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(
            next(columns).number_input(
                f"{label} {name}".strip(),
                value=value,
                format="%.4f",
                step=0.01,
                key=f"{prefix}.{label}.{channel}",
            )
            for channel, (name, value) in enumerate(zip(names, values, strict=True))
        )

    return {"mean": numbers("Mean", base.mean), "std": numbers("Std", base.std)}
