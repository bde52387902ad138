"""Smallest changes: how little must change in an image until the model says something else?"""

import streamlit as st

from diagnostics.report.adversarial import charts, tables
from diagnostics.schema.results.adversarial import AdversarialAnswer
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import adversarial, perturbation
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.run import run_request

TITLE, ICON = "Smallest changes", "my_location"
QUESTION = "How little must change in an image until the model says something else?"
SEARCH, NEAR = "What is looked for", "Which image is nearest to another answer?"
CHANGED, ALONG = "What has to change?", "How far along the change does it turn?"

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown:
    preprocessing.offer_samples()
if why := adversarial.why_not(spec):
    adversarial.stop(board, why)

with board.section(SEARCH):
    request, norm = adversarial.choose_search(spec, methods)
    if request is None:
        adversarial.stop(board, "")
with board.section(NEAR):
    result = run_request(request, st.empty(), adversarial.progress_table(norm))
    answer: AdversarialAnswer = result.scores
    st.markdown(f"**{markdown(tables.headline(answer, norm))}**")
    table = tables.numbers(answer, norm)
    if len(answer["images"]) > 1 and tables.most_fragile(answer["images"], norm):
        board.chart(NEAR, charts.distances(answer, norm), table, "attack.near")
    else:
        board.table(NEAR, table)
    st.caption(markdown(" ".join(answer["notes"])))
with board.section(CHANGED):
    index = adversarial.choose_image(answer, norm)
    image = answer["images"][index]
    for sentence in tables.sentences(image, norm, answer):
        st.markdown(markdown(sentence))
    change, logits = image[norm], result.arrays.get(f"{index}/{norm}/logits")
    if logits is not None:
        position = adversarial.choose_multiple(norm)
        multiple = answer["multiples"][position]
        top = tables.top(logits[position], spec)
        pixels, changed = (
            result.arrays[name] for name in (f"{index}/pixels", f"{index}/{norm}/changed")
        )
        cells = tables.cells(image, pixels, changed, multiple, top)
        board.row(CHANGED, cells, "attack.changed")
        st.caption(tables.WHITE)
        adversarial.offer_downloads(result, index, norm, multiple, spec)
if logits is not None and change["is_adversarial"]:
    with board.section(ALONG):
        unit, independent = (
            tables.grey_levels(change, norm, answer["values"]),
            spec.output.independent,
        )
        figure = charts.along(logits, image, answer, unit, norm, position, independent=independent)
        table = charts.along_numbers(logits, image, answer, unit, independent=independent)
        board.chart(ALONG, figure, table, "attack.along")
        if heatmaps := adversarial.heatmap_cells(result, index, norm, multiple, spec):
            board.row(ALONG, heatmaps, "attack.looked.row", title=tables.HEATMAPS)
file = next(file for file in request.images if file.sha256 == image["sha256"])
perturbation.draw(spec, methods, board, file, request.target, image["l2"]["distance"] or 0.0)
board.facts["Search"] = f"{request.method}, {tables.NORMS[norm]}"
board.offer_report()
