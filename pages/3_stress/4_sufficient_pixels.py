"""Sufficient pixels: which few pixels alone keep the class, and is that the image or the mask?"""

import streamlit as st

from diagnostics.report.sufficient_pixels import tables as rows
from diagnostics.schema.results.sufficient_pixels import SufficientPixelsAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import sufficient_pixels as own
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.run import try_request

TITLE, ICON = "Sufficient pixels", "grid_4x4"
QUESTION = "Which few pixels alone keep the model sure, and is that the image or the mask?"
SEARCHED, READ = "What is searched", "Is it the image or the mask?"
PLAYED, ALONE = "Remove pixels in their order", "The pixels that suffice"
BESIDE = "Beside other models"
NOT_YET = "Press Search to remove pixels until few are left."

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown:
    preprocessing.offer_samples()

headings = (SEARCHED, READ, PLAYED, ALONE, BESIDE)
searched, read, played, alone, others = map(board.section, headings)
with searched:
    asked = own.about(spec, methods)
    started = asked is not None and own.wanted(asked, spec)
with read:
    answer = try_request(asked, st.empty(), own.live(asked)) if asked and started else None
    if asked is None or answer is None:
        st.caption("" if started else NOT_YET)
        board.offer_report()
        st.stop()
    scores: SufficientPixelsAnswer = answer.scores
    one, arrays = scores["images"][0], rows.image_arrays(answer.arrays, 0)
    st.markdown(f"**{markdown(one['reading'])}**")
    if said := rows.rise_warning(one):
        st.warning(markdown(said), icon=":material/trending_up:")
    if one["checks"]:
        board.table(READ, rows.control_table(one))
    for line in (rows.random_pixels_text(one), rows.border_text(one), rows.background_text(one)):
        st.caption(markdown(line))
if "kept_counts/0" in arrays:
    with played:
        own.play(one, arrays, asked.key)
        board.table(PLAYED, rows.curve_table(one, arrays), folded=True)
    with alone:
        board.row(ALONE, rows.picture_cells(one, arrays), "sufficient.pictures")
        if len(one["subsets"]) > 1:
            title = "Disjoint subsets, each enough by itself"
            board.row(ALONE, rows.subset_cells(one, arrays), "sufficient.others", title=title)
        own.open_alone(one, arrays, asked)
    with others:
        compared = own.beside(asked, spec)
        if compared:
            st.markdown(f"**{markdown(rows.comparison_text(compared))}**")
            board.table(BESIDE, rows.comparison_table(compared))
for name, text in {
    "Image": one["file"],
    "Class": one["target_name"],
    "Reading": one["reading"],
}.items():
    board.facts[name] = text
board.facts["Search"] = ", ".join(f"{name} {value}" for name, value in asked.options.items())
board.offer_report()
