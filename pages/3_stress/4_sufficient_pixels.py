"""Sufficient pixels: which few pixels alone keep the class, and is that the image or the mask?"""

import streamlit as st

from diagnostics.report.sufficient_pixels import tables
from diagnostics.schema.results.sufficient_pixels import SufficientPixelsAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import sufficient_pixels
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
    request = sufficient_pixels.search_request(spec, methods)
    started = request is not None and sufficient_pixels.start(request, spec)
with read:
    answer = None
    if request and started:
        answer = try_request(request, st.empty(), sufficient_pixels.partial_chart(request))
    if request is None or answer is None:
        st.caption("" if started else NOT_YET)
        board.offer_report()
        st.stop()
    scores: SufficientPixelsAnswer = answer.scores
    image, arrays = scores["images"][0], tables.image_arrays(answer.arrays, 0)
    st.markdown(f"**{markdown(image['reading'])}**")
    if warning := tables.rise_warning(image):
        st.warning(markdown(warning), icon=":material/trending_up:")
    if image["checks"]:
        board.table(READ, tables.control_table(image))
    for text in (tables.random_pixels_text, tables.border_text, tables.background_text):
        st.caption(markdown(text(image)))
if "kept_counts/0" in arrays:
    with played:
        sufficient_pixels.draw_player(image, arrays, request.key)
        board.table(PLAYED, tables.curve_table(image, arrays), folded=True)
    with alone:
        board.row(ALONE, tables.picture_cells(image, arrays), "sufficient.pictures")
        if len(image["subsets"]) > 1:
            title = "Disjoint subsets, each enough by itself"
            cells = tables.subset_cells(image, arrays)
            board.row(ALONE, cells, "sufficient.others", title=title)
        sufficient_pixels.offer_kept_pixels(image, arrays, request)
    with others:
        if images := sufficient_pixels.search_models(request, spec):
            st.markdown(f"**{markdown(tables.comparison_text(images))}**")
            board.table(BESIDE, tables.comparison_table(images))
board.facts["Image"] = image["file"]
board.facts["Class"] = image["target_name"]
board.facts["Reading"] = image["reading"]
board.facts["Search"] = ", ".join(f"{name} {value}" for name, value in request.options.items())
board.offer_report()
