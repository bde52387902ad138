"""Strangeness: does an image look like what the model knows, and how sure is that?"""

import streamlit as st

from diagnostics.report.ood import charts, roc
from diagnostics.report.ood import tables as rows
from diagnostics.report.preprocessing import tables
from diagnostics.schema.request import INSPECT, Options, Request
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import ood
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder, reference
from diagnostics.ui.widgets.run import run_request, try_request

TITLE, ICON = "Strangeness", "troubleshoot"
QUESTION = "Does this image look like what the model knows, and how sure is that?"
PREPARED, FOLDERS, STRANGE = "Is the preprocessing right?", "Compared with", "Is it strange?"
SPREAD, TOLD = "Where the images lie", "How many strangers would be missed?"
SCORES = "What each score sees, and what it cannot"
NO_STRANGERS = "Add a folder of known-good images and one of strangers to count both errors."
NO_KNOWN = "Add a folder of known-good images to see where the images in hand lie among them."
PICTURES: Options = {"layers": (), "attributions": ()}

spec, methods = sidebar.selection()
session = current_session()
board = Board(TITLE, QUESTION, spec)
if not session.shown:
    preprocessing.offer_samples()

headings = (PREPARED, FOLDERS, STRANGE, SPREAD, TOLD, SCORES)
prepared, folders, strange, spread, told, scores = map(board.section, headings)
with folders:
    known, strangers = folder("in_distribution"), folder("out_of_distribution")
    measuring = st.empty()
with prepared:
    found = run_request(ood.examination(spec), st.empty()).scores["preprocessing"]
    ood.prepared(found, board, PREPARED, spec)
with strange:
    if doubt := tables.doubt(found):
        st.warning(doubt, icon=":material/warning:")
    measured = reference(spec, measuring)
    settings = session.preprocessing or spec.preprocessing
    shown = Request(INSPECT, session.model, session.shown_images(), settings, options=PICTURES)
    pictures = run_request(shown, st.empty())
    answer = run_request(ood.about_images(spec, measured), st.empty())
    ood.beside(answer.scores["likeness"])
    judged = ood.judge(answer.scores, board, methods["ood/detect"])
    board.row(STRANGE, rows.verdicts(judged), "novelty.verdicts")
    board.row(STRANGE, rows.images(pictures), "novelty.images")
    st.markdown(judged.promise)
    if judged.placed:
        board.row(STRANGE, rows.places(judged), "novelty.places", title=rows.PLACES)
    board.table(STRANGE, rows.numbers(judged), folded=judged.placed)
with told:
    asked = ood.about_strangers(spec, measured)
    both = asked and try_request(asked, st.empty())
    arrays = {**answer.arrays, **(both.arrays if both else {})}
    if both:
        ood.told_apart(both, arrays, judged, board, TOLD)
    else:
        st.caption(NO_STRANGERS)
with spread:
    good, others = roc.sides(arrays, judged.score)
    if judged.placed:
        table = charts.spread_numbers(judged, good, others)
        board.chart(SPREAD, charts.spread(judged, good, others), table, "novelty.spread")
    else:
        st.caption(NO_KNOWN)
with scores:
    ood.about(answer.scores, board)
board.offer_report()
