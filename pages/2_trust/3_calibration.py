"""Calibration: is the model right as often as its percentages say?"""

import streamlit as st

from diagnostics.report.calibration import charts
from diagnostics.report.calibration import tables as rows
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

spec, _ = sidebar.selection()
board = Board(TITLE, QUESTION, spec)

with board.section(MEASURED):
    known = folder("in_distribution")
    if known is None:
        st.markdown(NO_FOLDER)
        board.offer_report()
        st.stop()
    asked = calibration.about_folder(spec, known)
    answer = run_request(asked, st.empty())
    said = answer.scores
    st.caption(markdown(rows.left_out(said)))
with board.section(VERDICT):
    st.markdown(f"**{markdown(rows.verdict(said))}** {markdown(said['reason'])}")
    for name, cells in rows.measures(said).items():
        board.row(VERDICT, cells, f"calibration.{name}")
with board.section(BINS):
    board.chart(BINS, charts.reliability(said), rows.bins(said), "calibration.reliability")
with board.section(WRONG):
    if said["confident_errors"]:
        calibration.wrong(said, asked, board, WRONG)
    else:
        st.markdown(NONE_WRONG)
with board.section(TEMPERATURE):
    st.markdown(f"**{markdown(rows.temperature(said))}**")
    board.table(TEMPERATURE, rows.after(said))
    st.caption(markdown(rows.fitted_on(said)))
    st.markdown(markdown(rows.NOISE))
with board.section(CLASSES):
    board.chart(CLASSES, charts.per_class(said), rows.classes(said), "calibration.classes")
    if matrix := charts.confusion(said):
        board.chart(CLASSES, matrix, rows.confused(said), "calibration.confusion")
    elif said["most_confused"]:
        st.markdown("**Most frequent confusions**")
        board.table(CLASSES, rows.confused(said))
board.facts["Labelled images"] = f"{known.name}, n = {said['n']}"
board.offer_report()
