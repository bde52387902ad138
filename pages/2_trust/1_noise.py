"""Noise: how sure is the model of images that show nothing, and which class do they become?"""

import streamlit as st

from diagnostics.report.noise import charts, tables
from diagnostics.report.noise.depth import curve, numbers
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.choices import stretched
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import noise
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder
from diagnostics.ui.widgets.run import run_request, try_request

TITLE, ICON = "Noise", "grain"
QUESTION = "How sure is the model of images that show nothing, and which class do they become?"
COMPARED, SURE = "Compared with", "How sure is it of noise?"
SWALLOWS, BLANK = "Which class swallows the noise?", "What does it say of a blank image?"
DEPTH = "Which layer turns noise into a class?"

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown and current_session().in_distribution is None:
    preprocessing.offer_samples()

compared, sure, swallows, blank, depth = map(
    board.section, (COMPARED, SURE, SWALLOWS, BLANK, DEPTH)
)
with compared:
    folder("in_distribution")
    asked = noise.about_noise(spec, methods)
with sure:
    answer = run_request(asked, st.empty()).scores
    found, classes = answer["families"], answer["classes"]
    st.markdown(f"**{markdown(tables.headline(found, classes))}**")
    if not tables.noise(found):
        board.offer_report()
        st.stop()
    stretch = stretched("noise", usual=True)
    figure = charts.confidence(found, classes, stretch=stretch)
    table = tables.numbers(found, classes)
    clicked = board.chart(SURE, figure, table, "noise.confidence", asks=True)
    noise.open_clicked(clicked, answer, asked)
    noise.open_surest(found, asked)
    st.caption(markdown(" ".join([tables.not_finite(found), *answer["notes"]])))
with swallows:
    st.markdown(f"**{markdown(tables.sinks(found, classes))}**")
    table = tables.share_numbers(found, classes)
    clicked = board.chart(SWALLOWS, charts.shares(found, classes), table, "noise.shares", asks=True)
    noise.open_clicked(clicked, answer, asked)
with blank:
    if one := tables.blanks(found):
        levels = answer["levels"]
        figure = charts.blank(one, levels, classes, stretch=stretch)
        table = tables.blank_numbers(one, levels, classes)
        clicked = board.chart(BLANK, figure, table, "noise.blank", asks=True)
        noise.open_clicked(clicked, answer, asked)
with depth:
    deep = noise.about_depth(spec, found)
    followed = try_request(deep, st.empty()) if deep else None
    if deep and followed:
        title = next(one["title"] for one in found if one["family"] == deep.options["family"])
        figure = curve(followed.scores, title)
        board.chart(DEPTH, figure, numbers(followed.scores), "noise.depth")
board.facts["Noise"] = f"{asked.options['draws']} draws of each kind, seed {asked.seed}"
board.offer_report()
