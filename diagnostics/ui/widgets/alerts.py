"""Errors on the page: messages name files, tensors and layers of strangers, so they are text."""

from __future__ import annotations

import textwrap

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from diagnostics.text import markdown


def show_error(message: str, container: DeltaGenerator | None = None) -> None:
    """Show an error as the text it is: no link and no picture that a name may hold is followed.

    Args:
        message: The error; lines after the first are ours, and code.
        container: Where it is shown; None shows it here.
    """
    sentence, _, code = message.partition("\n")
    block = f"\n\n```python\n{textwrap.dedent(code)}\n```" if code else ""
    error = st.error if container is None else container.error
    error(markdown(sentence) + block, icon=":material/error:")
