"""Say what went wrong: messages name files, tensors and layers of strangers, so they are text."""

from __future__ import annotations

import textwrap

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from diagnostics.text import markdown


def show_error(message: str, place: DeltaGenerator | None = None) -> None:
    """Show an error as the text it is: no link and no picture that a name may hold is followed.

    Lines after the first are ours, and code.
    """
    box = st.error if place is None else place.error
    sentence, _, code = message.partition("\n")
    shown = f"\n\n```python\n{textwrap.dedent(code)}\n```" if code else ""
    box(markdown(sentence) + shown, icon=":material/error:")
