"""Calibration: is the model right as often as its percentages say?"""

import streamlit as st

from diagnostics.report.calibration import charts, tables
from diagnostics.schema.results.calibration import CalibrationAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.views import calibration
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder
from diagnostics.ui.widgets.run import run_request

TITLE, ICON = "Calibration", "balance"
QUESTION = "Can the percentages be believed: is the model right as often as it says?"
MEASURED, VERDICT = "Measured on", "Can they be believed?"
BINS, TEMPERATURE = "How often is it right at each confidence?", "What would a temperature change?"
CLASSES, WRONG = "Which classes are hard?", "Where is it wrong and sure?"
NO_FOLDER = (
    "This page compares what the model says with what is true. Add a folder with labels: one "
    "folder for each class, named as the class, or a table of labels (labels.csv)."
)
NONE_WRONG = "No answer is wrong here."

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)

with board.section(MEASURED):
    images = folder("in_distribution")
    if images is None:
        st.markdown(NO_FOLDER)
        board.offer_report()
        st.stop()
    request = calibration.calibration_request(spec, methods, images)
    answer: CalibrationAnswer = run_request(request, st.empty()).scores
    st.caption(markdown(tables.left_out(answer)))
with board.section(VERDICT):
    st.markdown(f"**{markdown(tables.verdict(answer))}** {markdown(answer['reason'])}")
    for name, cells in tables.measures(answer).items():
        board.row(VERDICT, cells, f"calibration.{name}")
with board.section(BINS):
    board.chart(BINS, charts.reliability(answer), tables.bins(answer), "calibration.reliability")
with board.section(WRONG):
    if answer["confident_errors"]:
        calibration.wrong(answer, request, board, WRONG)
    else:
        st.markdown(NONE_WRONG)
with board.section(TEMPERATURE):
    st.markdown(f"**{markdown(tables.temperature(answer))}**")
    board.table(TEMPERATURE, tables.after(answer))
    st.caption(markdown(tables.fitted_on(answer)))
    st.markdown(markdown(tables.NOISE))
with board.section(CLASSES):
    board.chart(CLASSES, charts.per_class(answer), tables.classes(answer), "calibration.classes")
    if matrix := charts.confusion(answer):
        board.chart(CLASSES, matrix, tables.confused(answer), "calibration.confusion")
    elif answer["most_confused"]:
        st.markdown("**Most frequent confusions**")
        board.table(CLASSES, tables.confused(answer))
board.facts["Labelled images"] = f"{images.name}, n = {answer['n']}"
board.offer_report()
