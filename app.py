"""The frame of the app: its sections of pages."""

from pathlib import Path

import streamlit as st

from diagnostics.ui.sign_in import sign_in

HERE = Path(__file__).parent
PAGES = HERE / "pages"
ICON = HERE / "sample_images" / "letter-x-fuzzy.png"
TITLES = {
    "novelty": "Strangeness",
    "adversarial": "Smallest changes",
    "fooling": "Fooling images",
}
SECTIONS = {
    "1_look": {
        "inspect": "visibility",
        "layers": "layers",
        "attributions": "center_focus_strong",
    },
    "2_trust": {
        "noise": "grain",
        "novelty": "troubleshoot",
        "calibration": "balance",
        "guard": "shield",
    },
    "3_stress": {
        "sweeps": "tune",
        "adversarial": "my_location",
        "fooling": "casino",
        "sufficient_pixels": "grid_4x4",
    },
}

SIDEBAR_PX = 256

st.set_page_config("Oversure", str(ICON), layout="wide", initial_sidebar_state=SIDEBAR_PX)

sign_in()
st.navigation(
    {
        folder.partition("_")[2].capitalize(): [
            st.Page(
                PAGES / folder / f"{place}_{name}.py",
                title=TITLES.get(name, name.replace("_", " ").capitalize()),
                icon=f":material/{icon}:",
                url_path=name,
                default=name == "inspect",
            )
            for place, (name, icon) in enumerate(pages.items(), 1)
            if (PAGES / folder / f"{place}_{name}.py").exists()
        ]
        for folder, pages in SECTIONS.items()
    }
).run()
