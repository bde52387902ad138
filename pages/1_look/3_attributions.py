"""Attributions: a gallery of methods that say where the network looked, for every image."""

import streamlit as st

from diagnostics.report import files, minus, rows
from diagnostics.request import Request
from diagnostics.ui import controls, frame, looking
from diagnostics.ui.ask import try_to_ask
from diagnostics.ui.show import Board
from diagnostics.ui.state import session
from diagnostics.ui.trust_controls import trusted

QUESTION = "Where did the network look? Each method answers a question of its own; compare them."

spec, methods = frame.in_hand()
held = session()

board = Board("Attributions", QUESTION, spec)
if not held.shown:
    controls.offer_samples()

look = looking.gallery(spec, methods)
if not look.methods:
    st.info("No method is chosen. Choose some above, or begin with the three quickest.")
    st.button("Show the quickest", on_click=looking.quick_methods, type="primary")

preprocessing = held.preprocessing or spec.preprocessing
head, titled = st.container(border=bool(look.methods)), False
asked = (held.model, held.shown_images(), preprocessing, look.target, look.against)
for method in look.methods:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.markdown(f"**{method.info.title}**", help=f"Source: {method.info.source}")
                st.caption(method.info.summary)
            method = looking.settings(method, spec)
            download = st.container(width="content")
        request = Request(method.info.id, *asked, method.options)
        answer = try_to_ask(request, st.empty())
        if answer is None:
            continue
        if not titled:
            with head:
                board.row("What it says", rows.titles(answer), "titles")
        titled = True
        cells = rows.looked(answer, look.opacity, look.shared)
        board.row(method.described, cells, f"row.{method.info.id}")
        if held.compares:
            board.difference(method.described, minus.looked(answer), f"minus.{method.info.id}")
        trusted(board, method.described, method, request, answer, spec)
        download.download_button(
            "Arrays",
            files.arrays(answer),
            f"{method.info.id.replace('/', '-')}.npz",
            "application/octet-stream",
            key=f"arrays.{method.info.id}",
            help="The maps as numbers, float32, an array for each image; numpy.load reads them.",
        )

looking.missing_methods(spec, methods)
board.offer_report()
