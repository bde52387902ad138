"""Fooling images: how sure can the model be of a picture that was made from nothing?"""

import streamlit as st

from diagnostics.report.fooling import tables
from diagnostics.schema.results.fooling import FoolingAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import fooling
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
    request = fooling.fooling_request(spec, methods)
    if request is None:
        st.markdown(EMPTY)
        board.offer_report()
        st.stop()
    answer = fooling.run(request)
    if answer is None:
        board.offer_report()
        st.stop()
    scores: FoolingAnswer = answer.scores
    st.markdown(f"**{markdown(tables.headline(scores))}**")
    st.caption(markdown(tables.effort_text(scores)))
if not scores["image_indices"]:
    board.offer_report()
    st.stop()
settings = current_session().preprocessing or spec.preprocessing
with board.section(GALLERY):
    classes = fooling.draw_gallery(answer, settings, board, GALLERY)
    st.caption(f"{LOOK} {open_in_inspect.reprocessing_note(settings)}")
with board.section(SURE):
    fooling.draw_confidence(answer, board, SURE)
with board.section(CAUGHT):
    folder("in_distribution")
    reference = require_reference(spec, st.empty())
    files = fooling.image_files(answer, classes, settings)
    detection = try_request(fooling.detection_request(spec, files, reference), st.empty())
    if detection:
        fooling.draw_detection(detection.scores, board, CAUGHT)
with board.section(OTHER):
    fooling.draw_transfer(answer, classes, board, OTHER)
board.facts["Pictures"] = f"{scores['algorithm']}. {tables.effort_text(scores)}"
board.offer_report()
