"""The frame of the app: its sections of pages."""

import ast
from collections import defaultdict
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from diagnostics.ui.server.sign_in import sign_in

HERE = Path(__file__).parent
ICON = HERE / "sample_images" / "letter-x-fuzzy.png"
SIDEBAR_PX = 256

st.set_page_config("Oversure", str(ICON), layout="wide", initial_sidebar_state=SIDEBAR_PX)

sign_in()


def page(file: Path) -> StreamlitPage:
    """Return a page of the navigation, called by the TITLE and ICON that its file assigns."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assigned = next(node for node in tree.body if isinstance(node, ast.Assign))
    title, icon = ast.literal_eval(assigned.value)
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
