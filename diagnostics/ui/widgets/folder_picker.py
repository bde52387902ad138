"""Folders of in-distribution and out-of-distribution images, and the reference of the first."""

from __future__ import annotations

from typing import Literal

import streamlit as st
import streamlit.elements.plotly_chart  # gives figures made after it the colours of the theme
from streamlit.delta_generator import DeltaGenerator

from diagnostics.data import samples
from diagnostics.report import export
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource, Request
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown, shortened
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.file_upload import upload
from diagnostics.ui.widgets.run import try_request

Role = Literal["in_distribution", "out_of_distribution"]

TITLES: dict[Role, str] = {
    "in_distribution": "Known-good images",
    "out_of_distribution": "Strangers",
}
HELP: dict[Role, str] = {
    "in_distribution": "Images like those that the model was trained on, but not those very ones; "
    "best in one folder for each class. 50 or more tell something, 500 tell more.",
    "out_of_distribution": "Images that belong to none of the classes, such as will come by "
    "mistake.",
}


def folder(role: Role) -> File | None:
    """Draw which folder there is, with the way to bring another; return it."""
    session = current_session()
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        file: File | None = getattr(session, role)
        name = markdown(shortened(file.name, 40)) if file else "none yet"
        st.markdown(f"**{TITLES[role]}** · {name}", width="stretch", help=HELP[role])
        is_sample = session.model.file in samples.model_files().values()
        if is_sample and samples.folders(session.model.file)[role] != file:
            st.button("Sample folder", on_click=_take_sample, args=(role,), key=f"sample.{role}")
        if st.button("Change" if file else "Add a folder", key=f"bring.{role}"):
            _bring(role)
        if file:
            st.button("Put away", on_click=_put_away, args=(role,), key=f"away.{role}")
    return file


def offer_known_good() -> None:
    """Draw the one button that brings known-good images: the sample's, or a person's own."""
    session = current_session()
    if samples.known_good(session.model.file):
        st.button(
            "Compare with the sample's known-good images",
            on_click=_take_sample,
            args=("in_distribution",),
            key="sample.in_distribution",
            type="primary",
        )
    elif st.button(
        "Add known-good images",
        key="bring.in_distribution",
        help=HELP["in_distribution"],
        type="primary",
    ):
        _bring("in_distribution")


def require_reference(spec: ModelSpec, place: DeltaGenerator) -> File | None:
    """Return the reference of the selected model, or end the page where it cannot be measured.

    Args:
        spec: Of the model.
        place: Where progress is shown, and why there is no answer.

    Returns:
        None where there is no folder to measure it on.
    """
    session = current_session()
    found = reference(session.model, session.preprocessing or spec.preprocessing, place)
    if found is None and session.in_distribution is not None:
        st.stop()
    return found


def reference(model: ModelSource, settings: Preprocessing, place: DeltaGenerator) -> File | None:
    """Return a model's reference, measured once; None without a folder or without an answer.

    Args:
        model: Any model of this session.
        settings: Its preprocessing.
        place: Where progress is shown, and why there is no answer.
    """
    session, request = current_session(), _measuring(model, settings)
    if request is None:
        return None
    if request.key not in session.derived_files:
        answer = try_request(request, place)
        if answer is None:
            return None
        content = export.parts(answer, "file")
        session.results.pop(request.key, None)
        session.derived_files[request.key] = session.store_upload(content, "reference.safetensors")
    return session.derived_files[request.key]


def measured_reference(model: ModelSource, settings: Preprocessing) -> File | None:
    """Return a model's reference where it was measured already; nothing is asked."""
    request = _measuring(model, settings)
    return current_session().derived_files.get(request.key) if request else None


def _measuring(model: ModelSource, settings: Preprocessing) -> Request | None:
    folder = current_session().in_distribution
    if folder is None:
        return None
    return Request("ood/fit_reference", model, (), settings, folder=folder)


@st.dialog("Bring a folder", width="large")
def _bring(role: Role) -> None:
    st.caption(HELP[role])
    file = upload(TITLES[role], key=f"upload.{role}", folder=True)
    if file is not None:
        setattr(current_session(), role, file)
        current_session().uploaded.pop(f"upload.{role}")
        st.rerun()


def _take_sample(role: Role) -> None:
    session = current_session()
    setattr(session, role, samples.folders(session.model.file)[role])


def _put_away(role: Role) -> None:
    setattr(current_session(), role, None)
