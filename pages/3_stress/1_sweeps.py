"""Sweeps: turn one knob, or two, and see where the answer breaks."""

import streamlit as st

from diagnostics import words
from diagnostics.report import sweep_bands, sweep_charts, sweep_maps, sweep_rows
from diagnostics.ui import controls, frame, sweep_lesson
from diagnostics.ui import sweep_controls as sweeps
from diagnostics.ui.ask import ask, try_to_ask
from diagnostics.ui.choices import stretched
from diagnostics.ui.folders import folder
from diagnostics.ui.show import Board
from diagnostics.ui.state import session

QUESTION = "Which change of the image changes the answer, and how much of it does it take?"
KNOB, BREAKS, ONE = "What changes", "Where does the answer change?", "One image, step by step"
TWO, MANY = "Two changes together", "Many images at once"
READING, LESSON = "Does it rely on fuzzy edges?", "Lesson: the letter experiment"

spec, _ = frame.in_hand()
board = Board("Sweeps", QUESTION, spec)
if not session().shown:
    controls.offer_samples()

headings = (KNOB, BREAKS, ONE, TWO, MANY, READING, LESSON)
knob, breaks, one, two, many, reading, lesson = map(board.section, headings)
with knob:
    options = sweeps.axis(spec)
    asked = sweeps.about_images(spec, options)
with breaks:
    result = ask(asked, st.empty(), sweeps.live())
    answer, arrays = result.scores, result.arrays
    st.markdown(f"**{words.markdown(sweep_rows.headline(answer))}**")
    figure, table = sweep_charts.strips(answer), sweep_rows.turn_numbers(answer)
    clicked = board.chart(BREAKS, figure, table, "sweep.strips", asks=True)
    sweeps.open_clicked(clicked, answer, asked)
    sweeps.notes(answer)
    sweep_lesson.offer_example()
with one:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = sweeps.one_image(answer, asked)
        stretch = stretched("sweep", usual=False)
    image = answer["images"][row]
    figure = sweep_charts.curves(row, answer, arrays, stretch=stretch)
    table = sweep_rows.numbers(image, answer)
    clicked = board.chart(ONE, figure, table, "sweep.curves", asks=True)
    sweeps.open_clicked(clicked, answer, asked)
    cells = sweep_rows.moments(row, answer, arrays)
    board.row(ONE, cells, "sweep.moments", title="Just before and after it changes")
    sweeps.open_step(row, answer, asked, "sweep.step")
with two:
    pair = sweeps.about_two(spec, options, sweeps.files_of(answer, asked)[row])
    found = try_to_ask(pair, st.empty(), sweeps.live()) if pair else None
    if pair and found:
        table = sweep_maps.numbers(0, found.scores)
        board.chart(TWO, sweep_maps.maps(0, found.scores, answer), table, "sweep.map")
        sweeps.notes(found.scores)
        sweeps.open_step(0, found.scores, pair, "sweep.pair")
with many:
    folder("known")
    of_many = sweeps.about_many(spec, options) if session().known else None
    swept = try_to_ask(of_many, st.empty(), sweeps.live()) if of_many else result
    if swept:
        st.markdown(f"**{words.markdown(sweep_rows.band_headline(swept.scores))}**")
        table = sweep_rows.band_numbers(swept.scores)
        figure = sweep_bands.bands(swept.scores, stretch=stretch)
        board.chart(MANY, figure, table, "sweep.bands")
        sweeps.notes(swept.scores)
with reading:
    probe = sweeps.about_transitions(spec)
    read = try_to_ask(probe, st.empty()) if probe else None
    if read:
        sweeps.reading(read.scores, board, READING)
with lesson:
    sweep_lesson.show(spec, board, LESSON)
board.facts["Sweep"] = f"{sweep_rows.facts(answer)}, seed {asked.seed}"
board.offer_report()
