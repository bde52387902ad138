"""Layers: one layer in depth, two images side by side, and what one cell can see."""

import streamlit as st

from diagnostics.report.inspection import layer_detail as depth
from diagnostics.schema.request import FIELD, INSPECT, Options, Request
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import layers
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.preprocessing import offer_samples
from diagnostics.ui.widgets.run import run_request

TITLE, ICON = "Layers", "layers"
spec, _ = sidebar.selection()
session = current_session()

board = Board(TITLE, "What did one layer make of two images, and where do they part?", spec)
if not session.shown:
    offer_samples()

files = session.shown_images()
with st.container(horizontal=True, vertical_alignment="bottom"):
    name = layers.layer_choice(spec)
    first = layers.image_choice("A", "one", files, 0)
    second = layers.image_choice("B", "other", files, 1)
    order = layers.map_order() if depth.has_cells(spec, name) else "number"
    scale = layers.layer_scale()
    query = layers.query_token() if depth.attends(spec, name) else None

progress = st.empty()
preprocessing = session.preprocessing or spec.preprocessing
all_layers: Options = {"layers": (), "attributions": ()}
overview = run_request(
    Request(INSPECT, session.model, files, preprocessing, options=all_layers), progress
)
options: Options = {
    "layers": (name,),
    "attributions": (),
    "maps": depth.max_maps(spec, name),
    "shared_maps": True,
    "query": query,
}
pair = run_request(
    Request(INSPECT, session.model, (first, second), preprocessing, options=options), progress
)

cells = depth.pair(pair, spec, name, scale, order)
clicked = board.row(name, cells, f"depth.{name}", clickable=depth.has_cells(spec, name))
if depth.has_cells(spec, name):
    st.caption("Click a cell to see which part of the image it can see.")
if clicked:
    cell: Options = {"layer": name, "row": clicked.row, "column": clicked.column}
    field = run_request(
        Request(FIELD, session.model, preprocessing=preprocessing, options=cell), progress
    )
    title = depth.cell_title(clicked.number, clicked.row, clicked.column)
    position = depth.CellPosition(row=clicked.row, column=clicked.column)
    patches = depth.patches(pair, name, clicked.number, position, field)
    board.row("What one cell can see", patches, "patches", title=title)

st.subheader("Statistics")
st.dataframe(depth.statistics(pair, overview, name), hide_index=True)
st.caption(depth.SILENT_EXPLAINED)
with st.expander(depth.table_title(overview)):
    st.dataframe(depth.table(overview), hide_index=True)
board.offer_report()
