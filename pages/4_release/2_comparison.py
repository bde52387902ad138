"""Compare: several models on the same images, and their answer together."""

import streamlit as st

from diagnostics.report.comparison import tables as rows
from diagnostics.report.inspection.answers import heatmaps, originals
from diagnostics.report.table import SEPARATOR
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.dialogs.open_model import open_model
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import comparison
from diagnostics.ui.views.attribution import looking
from diagnostics.ui.views.sufficient_pixels import sufficing
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.model_picker import pick_models

TITLE, ICON = "Compare", "compare"
QUESTION = "Do two models, checkpoints or formats answer alike, and where do they differ?"
MODELS, SAID = "Which models", "What each says"
CHANGED, AGREED = "Which images change their answer?", "How far do they agree?"
STRANGE, SUFFICE = "Which images are strange to each?", "Which few pixels suffice for each?"
LOOKED, DEEP = "Where each looked", "What its last maps are"

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown:
    preprocessing.offer_samples()

headings = (MODELS, SAID, CHANGED, AGREED, STRANGE, SUFFICE, LOOKED, DEEP)
which, said, changed, agreed, strange, suffice, looks, deep = map(board.section, headings)
with which:
    chosen = pick_models(open_model)
    offered = st.container()
with looks:
    look = looking(spec, methods)
    method = look.methods[0]
with said:
    compared = comparison.ask_all(chosen, method.text)
    if not compared:
        board.offer_report()
        st.stop()
    with offered:
        comparison.together(chosen, compared)
    first = next(iter(compared.values()))
    pictures = originals(first.scores["images"], first.arrays)
    board.row(SAID, pictures, "compare.images")
    for name, answer in compared.items():
        board.row(SAID, rows.answers(answer), f"compare.said.{name}", title=name)
with changed:
    st.markdown(f"**{markdown(rows.headline(compared))}**")
    board.table(CHANGED, rows.changes(compared))
with agreed:
    if why := rows.why_not(compared):
        st.caption(why)
    else:
        files, found = rows.agreed(compared)
        table = rows.doubts(files, found, first.scores["model"]["classes"])
        board.chart(AGREED, rows.doubt(files, found), table, "compare.doubt")
with strange:
    comparison.strangeness(board, STRANGE, chosen, compared)
with suffice:
    sufficing(spec, board, SUFFICE, chosen, compared)
with looks:
    for name, answer in compared.items():
        cells = heatmaps(answer, look.opacity, look.shared)
        board.row(LOOKED, cells, f"compare.looked.{name}", title=name)
    board.facts["Method"] = method.title
with deep:
    for name, answer in compared.items():
        for heading, cells in rows.layers(answer):
            title = f"{name}{SEPARATOR}{heading.replace(SEPARATOR, ', ')}"
            board.row(DEEP, cells, f"compare.deep.{name}.{heading}", title=title)
board.facts["Models"] = ", ".join(compared)
board.offer_report()
