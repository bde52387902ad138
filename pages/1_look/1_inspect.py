"""Inspect: what the network said, whether to believe it, what it received and made of that."""

import streamlit as st

from diagnostics.report.inspection import answers, difference
from diagnostics.report.inspection.layers import heading, layer
from diagnostics.schema.request import INSPECT, Options, Request
from diagnostics.schema.results.inspection import InspectAnswer
from diagnostics.ui import sidebar
from diagnostics.ui.dialogs.name_classes import offer_class_names
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import layers as layer_controls
from diagnostics.ui.views.attribution import pick_method
from diagnostics.ui.views.diagnosis import Verdicts
from diagnostics.ui.views.faithfulness import trust
from diagnostics.ui.widgets import preprocessing as controls
from diagnostics.ui.widgets.board import Board, numbers
from diagnostics.ui.widgets.run import run_request

TITLE, ICON = "Inspect", "visibility"
PREDICTION, INPUT = "What it says", "What the network receives"
HEATMAP, LAYERS = "Where it looked", "What each layer did"
QUESTION = (
    "Why is the network so sure, and should one believe it? Read down a column: the answer, the "
    "verdict, then the reasons."
)

spec, methods = sidebar.selection()
session = current_session()
board = Board(TITLE, QUESTION, spec)
if not session.shown:
    controls.offer_samples()
progress = st.empty()
headings = (PREDICTION, INPUT, HEATMAP, LAYERS)
prediction, network_input, heatmap, layers = map(board.section, headings)
first = prediction.container()
with prediction, st.container(horizontal=True, vertical_alignment="bottom"):
    top = controls.top_classes(spec)
    shows_numbers = st.button("Numbers", icon=":material/table:", key="numbers")
    if not spec.has_class_names:
        offer_class_names(spec, "inspect")
with network_input, st.container(horizontal=True, vertical_alignment="center"):
    preprocessing = controls.preprocessing(spec)
    every_stage = st.toggle("Every stage", key="stages", bind="query-params")
with heatmap:
    attribution = pick_method(spec, methods)
    waiting = st.empty()
with layers:
    drawn = layer_controls.layers(spec)

(method,), pinned = attribution.methods, session.is_comparing
options: Options = {
    "top": top,
    "layers": drawn.names,
    "attributions": () if method.info.expensive else (method.text,),
    "query": drawn.query,
    "shared_maps": pinned,
}
about = (
    session.model,
    session.shown_images(),
    preprocessing,
    attribution.target,
    attribution.against,
)
answer = run_request(Request(INSPECT, *about, options), progress)
scores: InspectAnswer = answer.scores
images, arrays = scores["images"], answer.arrays
pinned = pinned and not images[0]["error"]

independent = spec.output.independent
cells = answers.predictions(images, arrays, independent=independent, pinned=pinned)
with first:
    board.row(PREDICTION, answers.pictured(cells, images, arrays), "row.prediction")
    verdicts = Verdicts(board, PREDICTION, spec)
with prediction:
    board.row(PREDICTION, answers.rankings(cells), "row.ranking")
    if shows_numbers:
        numbers(images)
with network_input:
    st.caption(answers.RECEIVED_EXPLAINED)
    board.row(INPUT, answers.network_inputs(images, arrays), "row.input")
    if pinned:
        board.difference(INPUT, difference.network_inputs(images, arrays), "row.input.minus")
    if every_stage:
        board.row(INPUT, answers.originals(images, arrays), "row.image", title="As decoded")
    for position, name in enumerate(answers.stage_names(images) if every_stage else []):
        cells = answers.stage(images, arrays, position)
        board.row(INPUT, cells, f"row.stage.{position}", title=f"{position + 1}. {name}")
with layers:
    for name in drawn.names:
        title = heading(images, name, pinned=pinned)
        cells = layer(images, arrays, name, scale=drawn.scale, spec=spec, pinned=pinned)
        board.row(LAYERS, cells, f"row.layer.{name}", title=title)
        if pinned:
            board.difference(LAYERS, difference.layer(images, arrays, name), f"minus.{name}")
expensive = Request(method.info.id, *about, method.options)
if method.info.expensive:
    verdicts.draw()  # soon after the answers, whatever the map takes
    answer = run_request(expensive, waiting)
with heatmap:
    board.facts["Method"] = method.title
    cells = answers.heatmaps(answer, attribution.opacity, attribution.shared)
    board.row(HEATMAP, cells, "row.heatmap")
    if pinned:
        board.difference(HEATMAP, difference.heatmaps(answer), "row.heatmap.minus")
if not method.info.expensive:
    verdicts.draw()
with heatmap:
    trust(board, HEATMAP, method, expensive, answer, spec)
board.offer_report()
