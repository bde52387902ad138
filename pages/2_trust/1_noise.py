"""Noise: how sure is the model of images that show nothing, and which class do they become?"""

import streamlit as st

from diagnostics.report.noise import charts, tables
from diagnostics.report.noise.depth import curve, numbers
from diagnostics.schema.results.noise import DepthAnswer, NoiseAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.choices import stretch_toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import noise
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder
from diagnostics.ui.widgets.run import run_request, try_request

TITLE, ICON = "Noise", "grain"
QUESTION = "How sure is the model of images that show nothing, and which class do they become?"
COMPARED, SURE = "Compared with", "How sure is it of noise?"
BECOMES, BLANK = "Which class does noise become?", "What does it say of a blank image?"
DEPTH = "Which layer turns noise into a class?"

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown and current_session().in_distribution is None:
    preprocessing.offer_samples()

compared, sure, becomes, blank, depth = map(board.section, (COMPARED, SURE, BECOMES, BLANK, DEPTH))
with compared:
    folder("in_distribution")
    request = noise.noise_request(spec, methods)
with sure:
    answer: NoiseAnswer = run_request(request, st.empty()).scores
    families, classes = answer["families"], answer["classes"]
    st.markdown(f"**{markdown(tables.headline(families, classes))}**")
    if not tables.noise(families):
        board.offer_report()
        st.stop()
    stretch = stretch_toggle("noise", default=True)
    figure = charts.confidence(families, classes, stretch=stretch)
    table = tables.numbers(families, classes)
    clicked = board.chart(SURE, figure, table, "noise.confidence", clickable=True)
    noise.open_clicked(clicked, answer, request)
    noise.open_most_confident(families, request)
    st.caption(markdown(" ".join([tables.not_finite(families), *answer["notes"]])))
with becomes:
    st.markdown(f"**{markdown(tables.sink(answer))}**")
    st.markdown(markdown(tables.majority_classes(families, classes)))
    table = tables.share_numbers(families, classes)
    clicked = board.chart(
        BECOMES, charts.shares(families, classes), table, "noise.shares", clickable=True
    )
    noise.open_clicked(clicked, answer, request)
with blank:
    if blanks := tables.blanks(families):
        levels = answer["levels"]
        figure = charts.blank(blanks, levels, classes, stretch=stretch)
        table = tables.blank_numbers(blanks, levels, classes)
        clicked = board.chart(BLANK, figure, table, "noise.blank", clickable=True)
        noise.open_clicked(clicked, answer, request)
with depth:
    depth_request = noise.depth_request(spec, families)
    result = try_request(depth_request, st.empty()) if depth_request else None
    if result:
        by_layer: DepthAnswer = result.scores
        titles = {family["family"]: family["title"] for family in families}
        figure = curve(by_layer, titles[by_layer["family"]])
        board.chart(DEPTH, figure, numbers(by_layer), "noise.depth")
board.facts["Noise"] = f"{request.options['draws']} draws of each kind, seed {request.seed}"
board.offer_report()
