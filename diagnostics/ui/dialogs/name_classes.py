"""The dialog that names the classes of a model that has none."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from diagnostics.data import class_names
from diagnostics.errors import ClassesError
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error


def offer_class_names(spec: ModelSpec, place: str) -> None:
    """Offer to name the classes.

    Args:
        spec: A model whose classes are numbered.
        place: Where the button stands; one stands there once.
    """
    help = "The file of this model says no class names, so its classes are numbered"
    if st.button("Add class names", key=f"names.{place}", icon=":material/label:", help=help):
        name_classes(spec)


@st.dialog("Name the classes")
def name_classes(spec: ModelSpec) -> None:
    """Take a list of names, as a file or typed, and give them to the model in hand."""
    outputs = len(spec.class_names)
    file = st.file_uploader(
        "A list from training: .txt, .json, .csv or .yaml",
        key="names.file",
        max_upload_size=class_names.LARGEST_MIB,
    )
    typed = st.text_area("Or one name a line, in the order of the outputs", key="names.typed")
    content, name = (file.getvalue(), file.name) if file else (typed.encode(), "names.txt")
    listed = class_names.ClassNames((), "")
    if content.strip():
        try:
            listed = class_names.read(content, name)
        except ClassesError as error:
            show_error(error.message)
    count = len(listed.names)
    if count:
        st.caption(f"Read as {listed.read_as}.")
    if count and count != outputs:
        show_error(f"{counted(count, 'name')} for {counted(outputs, 'output')}; give one for each.")
    if st.button("Use these names", type="primary", disabled=count != outputs, key="names.use"):
        session = current_session()
        named = replace(session.model, class_names=listed.names, class_names_read_as=listed.read_as)
        session.select_model(named, session.preprocessing)
        st.rerun()
