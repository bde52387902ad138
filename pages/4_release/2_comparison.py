"""Compare: several models on the same images, and their answer together."""

import streamlit as st

from diagnostics.report.comparison import charts, tables
from diagnostics.report.inspection import answers
from diagnostics.report.table import SEPARATOR
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.dialogs.open_model import open_model
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import comparison, sufficient_pixels
from diagnostics.ui.views.attribution import pick_method
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.model_picker import pick_models

TITLE, ICON = "Compare", "compare"
QUESTION = "Do two models, checkpoints or formats answer alike, and where do they differ?"
MODELS, PREDICTIONS = "Which models", "What each says"
CHANGES, AGREEMENT = "Which images change their answer?", "How far do they agree?"
OOD, PIXELS = "Which images are strange to each?", "Which few pixels suffice for each?"
HEATMAPS, LAYERS = "Where each looked", "What its last maps are"

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown:
    preprocessing.offer_samples()

headings = (MODELS, PREDICTIONS, CHANGES, AGREEMENT, OOD, PIXELS, HEATMAPS, LAYERS)
which, predictions, changes, agreement, ood, pixels, heatmaps, layers = map(board.section, headings)
with which:
    models = pick_models(open_model)
    ensemble = st.container()
with heatmaps:
    attribution = pick_method(spec, methods)
    (method,) = attribution.methods
with predictions:
    results = comparison.inspect_each(models, method.text)
    if not results:
        board.offer_report()
        st.stop()
    with ensemble:
        comparison.offer_ensemble(models, results)
    first = next(iter(results.values()))
    originals = answers.originals(first.scores["images"], first.arrays)
    board.row(PREDICTIONS, originals, "compare.images")
    for name, result in results.items():
        board.row(PREDICTIONS, tables.predictions(result), f"compare.said.{name}", title=name)
with changes:
    st.markdown(f"**{markdown(tables.headline(results))}**")
    board.table(CHANGES, tables.changes(results))
with agreement:
    if why := tables.incomparable(results):
        st.caption(why)
    else:
        files, agreements = tables.agreements(results)
        numbers = charts.uncertainties(files, agreements, first.scores["model"]["classes"])
        board.chart(AGREEMENT, charts.uncertainty(files, agreements), numbers, "compare.doubt")
with ood:
    comparison.ood(board, OOD, models, results)
with pixels:
    answered = {name: model for name, model in models.items() if name in results}
    sufficient_pixels.draw_comparison(spec, answered, board, PIXELS)
with heatmaps:
    for name, result in results.items():
        cells = answers.heatmaps(result, attribution.opacity, attribution.shared)
        board.row(HEATMAPS, cells, f"compare.looked.{name}", title=name)
    board.facts["Method"] = method.title
with layers:
    for name, result in results.items():
        for heading, cells in tables.layers(result):
            title = f"{name}{SEPARATOR}{heading.replace(SEPARATOR, ', ')}"
            board.row(LAYERS, cells, f"compare.deep.{name}.{heading}", title=title)
board.facts["Models"] = ", ".join(results)
board.offer_report()
