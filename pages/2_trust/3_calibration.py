"""Calibration: is the model right as often as its percentages say?"""

import streamlit as st

from diagnostics import words
from diagnostics.report import calibration_charts as charts
from diagnostics.report import calibration_rows as rows
from diagnostics.ui import calibration_controls, frame
from diagnostics.ui.ask import ask
from diagnostics.ui.folders import folder
from diagnostics.ui.show import Board

QUESTION = "Can the percentages be believed: is the model right as often as it says?"
MEASURED, VERDICT = "Measured on", "Can they be believed?"
BINS, TEMPERATURE = "How often is it right at each confidence?", "What would a temperature change?"
CLASSES, WRONG = "Which classes are hard?", "Where is it wrong and sure?"
NO_FOLDER = (
    "This page compares what the model says with what is true. Add a folder with labels: one "
    "folder for each class, named as the class, or a table of labels (labels.csv)."
)
NONE_WRONG = "No answer is wrong here."

spec, _ = frame.in_hand()
board = Board("Calibration", QUESTION, spec)

with board.section(MEASURED):
    known = folder("known")
    if known is None:
        st.markdown(NO_FOLDER)
        board.offer_report()
        st.stop()
    asked = calibration_controls.about_folder(spec, known)
    answer = ask(asked, st.empty())
    said = answer.scores
    st.caption(words.markdown(rows.left_out(said)))
with board.section(VERDICT):
    st.markdown(f"**{words.markdown(rows.verdict(said))}** {words.markdown(said['reason'])}")
    for name, cells in rows.measures(said).items():
        board.row(VERDICT, cells, f"calibration.{name}")
with board.section(BINS):
    board.chart(BINS, charts.reliability(said), rows.bins(said), "calibration.reliability")
with board.section(WRONG):
    if said["confident_errors"]:
        calibration_controls.wrong(said, asked, board, WRONG)
    else:
        st.markdown(NONE_WRONG)
with board.section(TEMPERATURE):
    st.markdown(f"**{words.markdown(rows.temperature(said))}**")
    board.table(TEMPERATURE, rows.after(said))
    st.caption(words.markdown(rows.fitted_on(said)))
    st.markdown(words.markdown(rows.NOISE))
with board.section(CLASSES):
    board.chart(CLASSES, charts.per_class(said), rows.classes(said), "calibration.classes")
    if matrix := charts.confusion(said):
        board.chart(CLASSES, matrix, rows.confused(said), "calibration.confusion")
    elif said["most_confused"]:
        st.markdown("**Most frequent confusions**")
        board.table(CLASSES, rows.confused(said))
board.facts["Labelled images"] = f"{known.name}, n = {said['n']}"
board.offer_report()
