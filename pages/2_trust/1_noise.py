"""Noise: how sure is the model of images that show nothing, and which class do they become?"""

import streamlit as st

from diagnostics import words
from diagnostics.report import depth_charts, noise_rows
from diagnostics.report import noise_charts as charts
from diagnostics.ui import controls, frame, noise_controls
from diagnostics.ui.ask import ask, try_to_ask
from diagnostics.ui.choices import stretched
from diagnostics.ui.folders import folder
from diagnostics.ui.show import Board
from diagnostics.ui.state import session

QUESTION = "How sure is the model of images that show nothing, and which class do they become?"
COMPARED, SURE = "Compared with", "How sure is it of noise?"
SWALLOWS, BLANK = "Which class swallows the noise?", "What does it say of a blank image?"
DEPTH = "Which layer turns noise into a class?"

spec, _ = frame.in_hand()
board = Board("Noise", QUESTION, spec)
if not session().shown and session().known is None:
    controls.offer_samples()

compared, sure, swallows, blank, depth = map(
    board.section, (COMPARED, SURE, SWALLOWS, BLANK, DEPTH)
)
with compared:
    folder("known")
    asked = noise_controls.about_noise(spec)
with sure:
    answer = ask(asked, st.empty()).scores
    found, classes = answer["families"], answer["classes"]
    st.markdown(f"**{words.markdown(noise_rows.headline(found, classes))}**")
    if not noise_rows.noise(found):
        board.offer_report()
        st.stop()
    stretch = stretched("noise", usual=True)
    figure = charts.confidence(found, classes, stretch=stretch)
    table = noise_rows.numbers(found, classes)
    clicked = board.chart(SURE, figure, table, "noise.confidence", asks=True)
    noise_controls.open_clicked(clicked, answer, asked)
    noise_controls.open_surest(found, asked)
    st.caption(words.markdown(" ".join([noise_rows.not_finite(found), *answer["notes"]])))
with swallows:
    st.markdown(f"**{words.markdown(noise_rows.sinks(found, classes))}**")
    table = noise_rows.share_numbers(found, classes)
    clicked = board.chart(SWALLOWS, charts.shares(found, classes), table, "noise.shares", asks=True)
    noise_controls.open_clicked(clicked, answer, asked)
with blank:
    if one := noise_rows.blanks(found):
        levels = answer["levels"]
        figure = charts.blank(one, levels, classes, stretch=stretch)
        table = noise_rows.blank_numbers(one, levels, classes)
        clicked = board.chart(BLANK, figure, table, "noise.blank", asks=True)
        noise_controls.open_clicked(clicked, answer, asked)
with depth:
    deep = noise_controls.about_depth(spec, found)
    followed = try_to_ask(deep, st.empty()) if deep else None
    if deep and followed:
        title = next(one["title"] for one in found if one["family"] == deep.options["family"])
        figure = depth_charts.curve(followed.scores, title)
        board.chart(DEPTH, figure, depth_charts.numbers(followed.scores), "noise.depth")
board.facts["Noise"] = f"{asked.options['draws']} draws of each kind, seed {asked.seed}"
board.offer_report()
