"""Folders in hand: known-good images and strangers, and what was measured on them."""

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
ASKED: dict[Role, str] = {
    "in_distribution": "Images like those that the model was trained on, but not those very ones; "
    "best in one folder for each class. 50 or more tell something, 500 tell more.",
    "out_of_distribution": "Images that belong to none of the classes, such as will come by "
    "mistake.",
}


def folder(role: Role) -> File | None:
    """Draw which folder is in hand, with the way to bring another; return it."""
    session = current_session()
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        in_hand: File | None = getattr(session, role)
        name = markdown(shortened(in_hand.name, 40)) if in_hand else "none yet"
        st.markdown(f"**{TITLES[role]}** · {name}", width="stretch", help=ASKED[role])
        is_sample = session.model.file in samples.model_files().values()
        if is_sample and samples.folders()[role] != in_hand:
            st.button("Sample folder", on_click=_take_sample, args=(role,), key=f"sample.{role}")
        if st.button("Change" if in_hand else "Add a folder", key=f"bring.{role}"):
            _bring(role)
        if in_hand:
            st.button("Put away", on_click=_put_away, args=(role,), key=f"away.{role}")
    return in_hand


def reference(spec: ModelSpec, place: DeltaGenerator) -> File | None:
    """Return what the model in hand gives for the known-good images, or end the page without."""
    session = current_session()
    found = measured(session.model, session.preprocessing or spec.preprocessing, place)
    if found is None and session.in_distribution is not None:
        st.stop()
    return found


def measured(model: ModelSource, settings: Preprocessing, place: DeltaGenerator) -> File | None:
    """Return what a model gives for the known-good images, measured once.

    Args:
        model: Any model of this session.
        settings: Its preprocessing.
        place: Where progress is shown, and why there is no answer.
    """
    session = current_session()
    if session.in_distribution is None:
        return None
    request = Request("ood/fit_reference", model, (), settings, folder=session.in_distribution)
    if request.key not in session.measured:
        answer = try_request(request, place)
        if answer is None:
            return None
        content = export.parts(answer, "file")
        session.results.pop(request.key, None)
        session.measured[request.key] = session.store_upload(content, "reference.safetensors")
    return session.measured[request.key]


@st.dialog("Bring a folder", width="large")
def _bring(role: Role) -> None:
    st.caption(ASKED[role])
    file = upload(TITLES[role], key=f"upload.{role}", folder=True)
    if file is not None:
        setattr(current_session(), role, file)
        current_session().sent.pop(f"upload.{role}")
        st.rerun()


def _take_sample(role: Role) -> None:
    setattr(current_session(), role, samples.folders()[role])


def _put_away(role: Role) -> None:
    setattr(current_session(), role, None)
