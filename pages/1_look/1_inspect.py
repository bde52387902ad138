"""Inspect: what the network received, what it said, where it looked, what each layer did."""

import streamlit as st

from diagnostics.report.inspection import answers, difference
from diagnostics.report.inspection.layers import heading, layer
from diagnostics.schema.request import INSPECT, Options, Request
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import layers as layer_controls
from diagnostics.ui.views.attribution import looking
from diagnostics.ui.views.faithfulness import trusted
from diagnostics.ui.widgets import preprocessing as controls
from diagnostics.ui.widgets.board import Board, numbers
from diagnostics.ui.widgets.run import run_request

TITLE, ICON = "Inspect", "visibility"
SAID, IMAGE, RECEIVED = "What it says", "The image", "What the network receives"
LOOKED, LAYERS = "Where it looked", "What each layer did"
QUESTION = "Why is the network so sure? Read down a column: the answer first, then the reasons."

spec, methods = sidebar.selection()
session = current_session()
board = Board(TITLE, QUESTION, spec)
if not session.shown:
    controls.offer_samples()
progress = st.empty()
said, image, received, looked, layers = map(board.section, (SAID, IMAGE, RECEIVED, LOOKED, LAYERS))
with said, st.container(horizontal=True, vertical_alignment="bottom"):
    top = controls.top(spec)
    asks_numbers = st.button("Numbers", icon=":material/table:", key="numbers")
with received, st.container(horizontal=True, vertical_alignment="center"):
    preprocessing = controls.preprocessing(spec)
    every_stage = st.toggle("Every stage", key="stages", bind="query-params")
with looked:
    look = looking(spec, methods)
    waiting = st.empty()
with layers:
    drawn = layer_controls.layers(spec)

(method,), pinned = look.methods, session.compares
everything: Options = {
    "top": top,
    "layers": drawn.names,
    "attributions": () if method.info.expensive else (method.text,),
    "query": drawn.query,
    "alike": pinned,
}
asked = (session.model, session.shown_images(), preprocessing, look.target, look.against)
answer = run_request(Request(INSPECT, *asked, everything), progress)
images, arrays = answer.scores["images"], answer.arrays
pinned = pinned and not images[0]["error"]

with said:
    cells = answers.said(images, arrays, independent=spec.output.independent, pinned=pinned)
    board.row(SAID, cells, "row.said")
    if asks_numbers:
        numbers(images)
with image:
    board.row(IMAGE, answers.originals(images, arrays), "row.image")
with received:
    st.caption(answers.RECEIVED_EXPLAINED)
    board.row(RECEIVED, answers.received(images, arrays), "row.received")
    if pinned:
        board.difference(RECEIVED, difference.received(images, arrays), "row.received.minus")
    for place, name in enumerate(answers.stage_names(images) if every_stage else []):
        cells = answers.stage(images, arrays, place)
        board.row(RECEIVED, cells, f"row.stage.{place}", title=f"{place + 1}. {name}")
with layers:
    for name in drawn.names:
        title = heading(images, name, pinned=pinned)
        cells = layer(images, arrays, name, scale=drawn.scale, spec=spec, pinned=pinned)
        board.row(LAYERS, cells, f"row.layer.{name}", title=title)
        if pinned:
            board.difference(LAYERS, difference.layer(images, arrays, name), f"minus.{name}")
with looked:
    dear = Request(method.info.id, *asked, method.options)
    answer = run_request(dear, waiting) if method.info.expensive else answer
    board.facts["Method"] = method.title
    board.row(LOOKED, answers.looked(answer, look.opacity, look.shared), "row.looked")
    if pinned:
        board.difference(LOOKED, difference.looked(answer), "row.looked.minus")
    trusted(board, LOOKED, method, dear, answer, spec)
board.offer_report()
