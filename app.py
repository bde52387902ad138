"""The frame of the app: its sections of pages."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from diagnostics.ui.server.sign_in import sign_in

HERE = Path(__file__).parent
ICON = HERE / "sample_images" / "letter-x-fuzzy.png"
SIDEBAR_PX = 256
TITLE_AND_ICON = re.compile(r"^TITLE, ICON = (.+)$", re.MULTILINE)

st.set_page_config("Oversure", str(ICON), layout="wide", initial_sidebar_state=SIDEBAR_PX)

sign_in()


def page(file: Path) -> StreamlitPage:
    """Return a page of the navigation, with the TITLE and ICON that stand in its file."""
    (assigned,) = TITLE_AND_ICON.findall(file.read_text(encoding="utf-8"))
    title, icon = ast.literal_eval(assigned)
    name = file.stem.partition("_")[2]
    return st.Page(
        file,
        title=title,
        icon=f":material/{icon}:",
        url_path=name,
        default=name == "inspect",
    )


sections = defaultdict(list)
for file in sorted(HERE.glob("pages/*/*.py")):
    sections[file.parent.name.partition("_")[2].capitalize()].append(page(file))

st.navigation(sections).run()
