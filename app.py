"""The frame of the app: its sections of pages."""

from pathlib import Path

import streamlit as st

PAGES = Path(__file__).parent / "pages"

st.set_page_config("Oversure", ":material/visibility:", layout="wide")

st.navigation(
    {
        "Look": [
            st.Page(
                PAGES / "1_look" / "1_inspect.py",
                title="Inspect",
                icon=":material/visibility:",
                url_path="inspect",
                default=True,
            )
        ]
    }
).run()
