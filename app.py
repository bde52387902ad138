"""The frame of the app: its sections of pages."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from diagnostics.ui.server.sign_in import sign_in

HERE = Path(__file__).parent
PAGES = HERE / "pages"
ICON = HERE / "sample_images" / "letter-x-fuzzy.png"
TITLES = {
    "novelty": "Strangeness",
    "adversarial": "Smallest changes",
    "fooling": "Fooling images",
    "sufficient_pixels": "Sufficient pixels",
}
SECTIONS = {
    "1_look": {
        "1_inspect": "visibility",
        "2_layers": "layers",
        "3_attributions": "center_focus_strong",
    },
    "2_trust": {
        "1_noise": "grain",
        "2_novelty": "troubleshoot",
        "3_calibration": "balance",
        "4_guard": "shield",
    },
    "3_stress": {
        "1_sweeps": "tune",
        "2_adversarial": "my_location",
        "3_fooling": "casino",
        "4_sufficient_pixels": "grid_4x4",
    },
    "4_release": {"2_compare": "compare"},
}

SIDEBAR_PX = 256

st.set_page_config("Oversure", str(ICON), layout="wide", initial_sidebar_state=SIDEBAR_PX)

sign_in()


def page(folder: str, file: str, icon: str) -> StreamlitPage:
    """Return a page of the navigation."""
    name = file.partition("_")[2]
    return st.Page(
        PAGES / folder / f"{file}.py",
        title=TITLES.get(name, name.capitalize()),
        icon=f":material/{icon}:",
        url_path=name,
        default=name == "inspect",
    )


st.navigation(
    {
        folder.partition("_")[2].capitalize(): [
            page(folder, file, icon) for file, icon in pages.items()
        ]
        for folder, pages in SECTIONS.items()
    }
).run()
