"""Sweeps: turn one knob, or two, and see where the answer breaks."""

import streamlit as st

from diagnostics.report.corruption import charts, heatmaps, quantiles, tables
from diagnostics.schema.results.corruption import SweepAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.choices import stretch_toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import corruption as sweeps
from diagnostics.ui.views import corruption_lesson
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder
from diagnostics.ui.widgets.run import run_request, try_request

TITLE, ICON = "Sweeps", "tune"
QUESTION = "Which change of the image changes the answer, and how much of it does it take?"
AXIS, CHANGES, IMAGE = "What changes", "Where does the answer change?", "One image, step by step"
PAIRS, FOLDER = "Two changes together", "Many images at once"
VERDICT, LESSON = "Does it rely on fuzzy edges?", "Lesson: the letter experiment"

spec, methods = sidebar.selection()
sweep = methods["corruption/sweep"]
board = Board(TITLE, QUESTION, spec)
if not current_session().shown:
    preprocessing.offer_samples()

headings = (AXIS, CHANGES, IMAGE, PAIRS, FOLDER, VERDICT, LESSON)
axis, changes, single, pairs, many, verdict, lesson = map(board.section, headings)
with axis:
    options = sweeps.axis_options(spec, sweep)
    request = sweeps.sweep_request(spec, options)
with changes:
    swept = run_request(request, st.empty(), sweeps.partial_chart())
    answer: SweepAnswer = swept.scores
    st.markdown(f"**{markdown(tables.headline(answer))}**")
    figure, table = charts.strips(answer), tables.label_change_table(answer)
    clicked = board.chart(CHANGES, figure, table, "sweep.strips", clickable=True)
    sweeps.open_clicked(clicked, answer, request)
    sweeps.notes(answer)
    sweeps.offer_example()
with single:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = sweeps.choose_image(answer, request)
        stretch = stretch_toggle("sweep", default=False)
    image = answer["images"][row]
    figure = charts.curves(row, answer, swept.arrays, stretch=stretch)
    table = tables.step_table(image, answer)
    clicked = board.chart(IMAGE, figure, table, "sweep.curves", clickable=True)
    sweeps.open_clicked(clicked, answer, request)
    cells = tables.cells_at_changes(row, answer, swept.arrays)
    board.row(IMAGE, cells, "sweep.moments", title="Just before and after it changes")
    sweeps.open_step(row, answer, request, "sweep.step")
with pairs:
    pair = sweeps.two_axes_request(spec, sweep, options, sweeps.files_of(answer, request)[row])
    result = try_request(pair, st.empty(), sweeps.partial_chart()) if pair else None
    if pair and result:
        both: SweepAnswer = result.scores
        table = heatmaps.pair_table(0, both)
        board.chart(PAIRS, heatmaps.maps(0, both, answer), table, "sweep.map")
        sweeps.notes(both)
        sweeps.open_step(0, both, pair, "sweep.pair")
with many:
    folder("in_distribution")
    has_folder = current_session().in_distribution is not None
    of_folder = sweeps.folder_request(spec, sweep, options) if has_folder else None
    result = try_request(of_folder, st.empty(), sweeps.partial_chart()) if of_folder else swept
    if result:
        together: SweepAnswer = result.scores
        st.markdown(f"**{markdown(tables.quantile_headline(together))}**")
        figure = quantiles.bands(together, stretch=stretch)
        board.chart(FOLDER, figure, tables.quantile_table(together), "sweep.bands")
        sweeps.notes(together)
with verdict:
    probe = sweeps.transitions_request(spec, methods["corruption/transitions"])
    result = try_request(probe, st.empty()) if probe else None
    if result:
        sweeps.verdict(result.scores, board, VERDICT)
with lesson:
    corruption_lesson.show(spec, board, LESSON)
board.facts["Sweep"] = f"{tables.facts(answer)}, seed {request.seed}"
board.offer_report()
