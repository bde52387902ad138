"""Strangeness: does an image look like what the model knows, and how sure is that?"""

import streamlit as st

from diagnostics.report.ood import charts, roc, tables
from diagnostics.report.preprocessing.tables import doubt
from diagnostics.schema.request import INSPECT, Options, Request
from diagnostics.schema.results.ood import DetectionAnswer
from diagnostics.schema.results.preprocessing import PreprocessingAnswer
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import ood
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder, require_reference
from diagnostics.ui.widgets.preprocessing_alert import preprocessing_request
from diagnostics.ui.widgets.run import run_request, try_request

TITLE, ICON = "Strangeness", "troubleshoot"
QUESTION = "Does this image look like what the model knows, and how sure is that?"
PREPROCESSING, FOLDERS = "Is the preprocessing right?", "Compared with"
DETECTION, SPREAD = "Is it strange?", "Where the images lie"
EVALUATION = "How many strangers would be missed?"
SCORES = "What each score sees, and what it cannot"
NO_STRANGERS = "Add a folder of known-good images and one of strangers to count both errors."
NO_KNOWN = "Add a folder of known-good images to see where the images in hand lie among them."
PICTURES: Options = {"layers": (), "attributions": ()}

spec, methods = sidebar.selection()
session = current_session()
board = Board(TITLE, QUESTION, spec)
if not session.shown:
    preprocessing.offer_samples()

headings = (PREPROCESSING, FOLDERS, DETECTION, SPREAD, EVALUATION, SCORES)
check_part, folders_part, detection_part, spread_part, evaluation_part, scores_part = map(
    board.section, headings
)
with folders_part:
    folder("in_distribution")
    folder("out_of_distribution")
    progress = st.empty()
with check_part:
    checked: PreprocessingAnswer = run_request(preprocessing_request(spec), st.empty()).scores
    ood.preprocessing(checked["preprocessing"], board, PREPROCESSING, spec)
with detection_part:
    if warning := doubt(checked["preprocessing"]):
        st.warning(warning, icon=":material/warning:")
    reference = require_reference(spec, progress)
    settings = session.preprocessing or spec.preprocessing
    shown = Request(INSPECT, session.model, session.shown_images(), settings, options=PICTURES)
    pictures = run_request(shown, st.empty())
    detected = run_request(ood.detection_request(spec, reference), st.empty())
    answer: DetectionAnswer = detected.scores
    ood.distribution_shift(answer["distribution_shift"])
    detection = ood.detection(answer, board, methods["ood/detect"])
    board.row(DETECTION, tables.verdicts(detection), "novelty.verdicts")
    board.row(DETECTION, tables.images(pictures), "novelty.images")
    st.markdown(detection.promise)
    ood.several(detection, detected.arrays, board)
    if detection.has_reference:
        board.row(DETECTION, tables.places(detection), "novelty.places", title=tables.PLACES)
    board.table(DETECTION, tables.numbers(detection), folded=detection.has_reference)
with evaluation_part:
    request = ood.evaluation_request(spec, reference)
    evaluated = request and try_request(request, st.empty())
    arrays = {**detected.arrays, **(evaluated.arrays if evaluated else {})}
    if evaluated:
        ood.evaluation(evaluated.scores, arrays, detection, board, EVALUATION)
    else:
        st.caption(NO_STRANGERS)
with spread_part:
    id_scores, ood_scores = roc.sides(arrays, detection.score)
    if detection.has_reference:
        table = charts.spread_numbers(detection, id_scores, ood_scores)
        figure = charts.spread(detection, id_scores, ood_scores)
        board.chart(SPREAD, figure, table, "novelty.spread")
    else:
        st.caption(NO_KNOWN)
with scores_part:
    ood.scores(answer, board)
board.offer_report()
