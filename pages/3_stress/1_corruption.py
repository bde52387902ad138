"""Sweeps: turn one knob, or two, and see where the answer breaks."""

import streamlit as st

from diagnostics.report.corruption import charts, heatmaps, quantiles, tables
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.choices import stretched
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import corruption as sweeps
from diagnostics.ui.views import corruption_lesson
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder
from diagnostics.ui.widgets.run import run_request, try_request

TITLE, ICON = "Sweeps", "tune"
QUESTION = "Which change of the image changes the answer, and how much of it does it take?"
KNOB, BREAKS, ONE = "What changes", "Where does the answer change?", "One image, step by step"
TWO, MANY = "Two changes together", "Many images at once"
READING, LESSON = "Does it rely on fuzzy edges?", "Lesson: the letter experiment"

spec, methods = sidebar.selection()
sweep = methods["corruption/sweep"]
board = Board(TITLE, QUESTION, spec)
if not current_session().shown:
    preprocessing.offer_samples()

headings = (KNOB, BREAKS, ONE, TWO, MANY, READING, LESSON)
knob, breaks, one, two, many, reading, lesson = map(board.section, headings)
with knob:
    options = sweeps.axis(spec, sweep)
    asked = sweeps.about_images(spec, options)
with breaks:
    result = run_request(asked, st.empty(), sweeps.live())
    answer, arrays = result.scores, result.arrays
    st.markdown(f"**{markdown(tables.headline(answer))}**")
    figure, table = charts.strips(answer), tables.turn_numbers(answer)
    clicked = board.chart(BREAKS, figure, table, "sweep.strips", asks=True)
    sweeps.open_clicked(clicked, answer, asked)
    sweeps.notes(answer)
    sweeps.offer_example()
with one:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = sweeps.one_image(answer, asked)
        stretch = stretched("sweep", usual=False)
    image = answer["images"][row]
    figure = charts.curves(row, answer, arrays, stretch=stretch)
    table = tables.numbers(image, answer)
    clicked = board.chart(ONE, figure, table, "sweep.curves", asks=True)
    sweeps.open_clicked(clicked, answer, asked)
    cells = tables.moments(row, answer, arrays)
    board.row(ONE, cells, "sweep.moments", title="Just before and after it changes")
    sweeps.open_step(row, answer, asked, "sweep.step")
with two:
    pair = sweeps.about_two(spec, sweep, options, sweeps.files_of(answer, asked)[row])
    found = try_request(pair, st.empty(), sweeps.live()) if pair else None
    if pair and found:
        table = heatmaps.numbers(0, found.scores)
        board.chart(TWO, heatmaps.maps(0, found.scores, answer), table, "sweep.map")
        sweeps.notes(found.scores)
        sweeps.open_step(0, found.scores, pair, "sweep.pair")
with many:
    folder("in_distribution")
    of_many = sweeps.about_many(spec, sweep, options) if current_session().in_distribution else None
    swept = try_request(of_many, st.empty(), sweeps.live()) if of_many else result
    if swept:
        st.markdown(f"**{markdown(tables.band_headline(swept.scores))}**")
        table = tables.band_numbers(swept.scores)
        figure = quantiles.bands(swept.scores, stretch=stretch)
        board.chart(MANY, figure, table, "sweep.bands")
        sweeps.notes(swept.scores)
with reading:
    probe = sweeps.about_transitions(spec, methods["corruption/transitions"])
    read = try_request(probe, st.empty()) if probe else None
    if read:
        sweeps.reading(read.scores, board, READING)
with lesson:
    corruption_lesson.show(spec, board, LESSON)
board.facts["Sweep"] = f"{tables.facts(answer)}, seed {asked.seed}"
board.offer_report()
