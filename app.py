"""The frame of the app: its sections of pages."""

from pathlib import Path

import streamlit as st

from diagnostics.ui.sign_in import sign_in

HERE = Path(__file__).parent
PAGES = HERE / "pages"
ICON = HERE / "sample_images" / "letter-x-fuzzy.png"
LOOK = {"inspect": "visibility", "layers": "layers", "attributions": "center_focus_strong"}

SIDEBAR_PX = 256

st.set_page_config("Oversure", str(ICON), layout="wide", initial_sidebar_state=SIDEBAR_PX)

sign_in()
st.navigation(
    {
        "Look": [
            st.Page(
                PAGES / "1_look" / f"{place}_{name}.py",
                title=name.capitalize(),
                icon=f":material/{icon}:",
                url_path=name,
                default=place == 1,
            )
            for place, (name, icon) in enumerate(LOOK.items(), 1)
        ]
    }
).run()
