"""What a page's address says of its state, so that it can be shared and survives a reload."""

from __future__ import annotations

import streamlit as st


def set_query_param(name: str, value: str) -> None:
    """Write a value to the page's address; an empty one leaves it out."""
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]
