"""Fooling images: how sure can the model be of a picture that was made from nothing?"""

import streamlit as st

from diagnostics.report.fooling import detection as judged_rows
from diagnostics.report.fooling import tables as rows
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import fooling as controls
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder, require_reference
from diagnostics.ui.widgets.run import try_request

TITLE, ICON = "Fooling images", "casino"
QUESTION = "How sure can the model be of a picture that was made from nothing, and how soon?"
MADE, GALLERY, SURE = "What is made", "The surest picture of each class", "How soon is it so sure?"
CAUGHT, OTHER = "Which score would have caught them?", "Do they fool another model?"
LOOK = "Whether a picture shows its class is for you to see: no number here says it."
EMPTY = (
    "Pictures grow here from noise or from an even grey, by nothing but what the model says of "
    "them, until it is sure of each class. A model that can tell when it knows nothing would stay "
    "unsure of them."
)

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)

with board.section(MADE):
    request = controls.asked(spec, methods)
    if request is None:
        st.markdown(EMPTY)
        board.offer_report()
        st.stop()
    answer = controls.made(request)
    if answer is None:
        board.offer_report()
        st.stop()
    said = answer.scores
    st.markdown(f"**{markdown(rows.headline(said))}**")
    st.caption(markdown(rows.how_far(said)))
if not said["pictures"]:
    board.offer_report()
    st.stop()
settings = current_session().preprocessing or spec.preprocessing
with board.section(GALLERY):
    entries = controls.gallery(answer, settings, board, GALLERY)
    st.caption(f"{LOOK} {open_in_inspect.reprocessing_note(settings)}")
with board.section(SURE):
    controls.how_sure(answer, board, SURE)
with board.section(CAUGHT):
    folder("in_distribution")
    measured = require_reference(spec, st.empty())
    pictures = controls.files(answer, entries, settings)
    judged = try_request(controls.strangeness(spec, pictures, measured), st.empty())
    if judged:
        controls.caught(judged.scores, board, CAUGHT)
with board.section(OTHER):
    if other := controls.another_model(controls.files(answer, entries)):
        name, found = other
        st.markdown(f"**{markdown(judged_rows.others_headline(entries, found, name))}**")
        st.caption(markdown(judged_rows.size_note(said, found)))
        board.table(OTHER, judged_rows.others_numbers(entries, found))
board.facts["Pictures"] = f"{said['way']}. {rows.how_far(said)}"
board.offer_report()
