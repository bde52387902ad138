"""The frame of the app: its sections of pages."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
PAGES = HERE / "pages"
ICON = HERE / "sample_images" / "letter-x-fuzzy.png"

st.set_page_config("Oversure", str(ICON), layout="wide")

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
