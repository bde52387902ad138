"""Fooling images: how sure can the model be of a picture that was made from nothing?"""

import streamlit as st

from diagnostics import words
from diagnostics.report import fooling_judged as judged_rows
from diagnostics.report import fooling_rows as rows
from diagnostics.ui import fooling_controls as controls
from diagnostics.ui import fooling_judging, frame, opened
from diagnostics.ui.ask import try_to_ask
from diagnostics.ui.folders import folder, reference
from diagnostics.ui.show import Board
from diagnostics.ui.state import session

QUESTION = "How sure can the model be of a picture that was made from nothing, and how soon?"
MADE, GALLERY, SURE = "What is made", "The surest picture of each class", "How soon is it so sure?"
CAUGHT, OTHER = "Which score would have caught them?", "Do they fool another model?"
LOOK = "Whether a picture shows its class is for you to see: no number here says it."
EMPTY = (
    "Pictures grow here from noise or from an even grey, by nothing but what the model says of "
    "them, until it is sure of each class. A model that can tell when it knows nothing would stay "
    "unsure of them."
)

spec, _ = frame.in_hand()
board = Board("Fooling images", QUESTION, spec)

with board.section(MADE):
    request = controls.asked(spec)
    if request is None:
        st.markdown(EMPTY)
        board.offer_report()
        st.stop()
    answer = controls.made(request)
    if answer is None:
        board.offer_report()
        st.stop()
    said = answer.scores
    st.markdown(f"**{words.markdown(rows.headline(said))}**")
    st.caption(words.markdown(rows.how_far(said)))
if not said["pictures"]:
    board.offer_report()
    st.stop()
settings = session().preprocessing or spec.preprocessing
with board.section(GALLERY):
    entries = controls.gallery(answer, settings, board, GALLERY)
    st.caption(f"{LOOK} {opened.again(settings)}")
with board.section(SURE):
    controls.how_sure(answer, board, SURE)
with board.section(CAUGHT):
    folder("known")
    measured = reference(spec, st.empty())
    pictures = controls.files(answer, entries, settings)
    judged = try_to_ask(fooling_judging.strangeness(spec, pictures, measured), st.empty())
    if judged:
        fooling_judging.caught(judged.scores, board, CAUGHT)
with board.section(OTHER):
    if other := fooling_judging.another_model(controls.files(answer, entries)):
        name, found = other
        st.markdown(f"**{words.markdown(judged_rows.others_headline(entries, found, name))}**")
        st.caption(words.markdown(judged_rows.size_note(said, found)))
        board.table(OTHER, judged_rows.others_numbers(entries, found))
board.facts["Pictures"] = f"{said['way']}. {rows.how_far(said)}"
board.offer_report()
