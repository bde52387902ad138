"""Attributions: a gallery of methods that say where the network looked, for every image."""

import streamlit as st

from diagnostics.report import export
from diagnostics.report.inspection import answers, difference
from diagnostics.schema.request import Request
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import attribution
from diagnostics.ui.views.faithfulness import trust
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.preprocessing import offer_samples
from diagnostics.ui.widgets.run import try_request

TITLE, ICON = "Attributions", "center_focus_strong"
QUESTION = "Where did the network look? Each method answers a question of its own; compare them."

spec, methods = sidebar.selection()
session = current_session()

board = Board(TITLE, QUESTION, spec)
if not session.shown:
    offer_samples()

options = attribution.pick_methods(spec, methods)
if not options.methods:
    st.info("No method is chosen. Choose some above, or begin with the three quickest.")
    st.button("Show the quickest", on_click=attribution.reset_methods, type="primary")

preprocessing = session.preprocessing or spec.preprocessing
head, titled = st.container(border=bool(options.methods)), False
about = (session.model, session.shown_images(), preprocessing, options.target, options.against)
for method in options.methods:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.markdown(f"**{method.info.title}**", help=f"Source: {method.info.source}")
                st.caption(method.info.summary)
            method = attribution.pick_settings(method, spec)
            download = st.container(width="content")
        request = Request(method.info.id, *about, method.options)
        answer = try_request(request, st.empty())
        if answer is None:
            continue
        if not titled:
            with head:
                board.row("What it says", answers.titles(answer), "titles")
        titled = True
        cells = answers.heatmaps(answer, options.opacity, options.shared)
        board.row(method.title, cells, f"row.{method.info.id}")
        if session.is_comparing:
            board.difference(method.title, difference.heatmaps(answer), f"minus.{method.info.id}")
        trust(board, method.title, method, request, answer, spec)
        download.download_button(
            "Arrays",
            export.arrays(answer),
            f"{method.info.id.replace('/', '-')}.npz",
            "application/octet-stream",
            key=f"arrays.{method.info.id}",
            help="The maps as numbers, float32, an array for each image; numpy.load reads them.",
        )

attribution.list_unavailable(spec, methods)
board.offer_report()
