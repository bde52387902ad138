"""The page before all others, where the server lets only those in who sign in."""

from __future__ import annotations

import streamlit as st

from diagnostics.ui.server.startup import server_settings


def sign_in() -> None:
    """Stop here until somebody has signed in, if the server asks for that."""
    if server_settings().sign_in is None:
        return
    if not st.user.is_logged_in:
        st.title("Oversure")
        st.write("Why is an image classifier so sure, and should it be? Sign in to find out.")
        st.button("Sign in", type="primary", on_click=st.login)
        st.stop()
    with st.sidebar:
        name = st.user.get("name") or st.user.get("email") or "signed in"
        st.text(str(name)[:60])
        st.button("Sign out", on_click=st.logout)
