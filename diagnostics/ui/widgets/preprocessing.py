"""The controls that stand at the head of a page and of its first rows."""

from __future__ import annotations

from typing import NoReturn

import streamlit as st

from diagnostics.data import samples
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import ModelSpec
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms


def offer_samples() -> NoReturn:
    """Say that no image is shown, offer the samples, and end the page there."""
    st.info("No image is shown. Choose one at the left, add one, or begin with the samples.")
    st.button("Show the samples", on_click=_show_samples, type="primary")
    st.stop()


def _show_samples() -> None:
    images = samples.image_files()
    current_session().add_images([images[name] for name in samples.FIRST_IMAGES if name in images])


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
    session = current_session()
    with st.popover("Preprocessing", icon=":material/tune:"):
        st.button("Back to the model's own", on_click=session.select_model, args=(session.model,))
        session.preprocessing = forms.preprocessing(
            session.preprocessing or spec.preprocessing, f"preprocessing.{session.selections}"
        )
    if session.preprocessing != spec.preprocessing:
        st.caption("changed from the model's own", width="content")
    return session.preprocessing
