"""Smallest changes: how little must change in an image until the model says something else?"""

import streamlit as st

from diagnostics.report.adversarial import charts
from diagnostics.report.adversarial import tables as rows
from diagnostics.text import markdown
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import adversarial as attack
from diagnostics.ui.views import perturbation
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
if why := attack.why_not(spec):
    attack.stop(board, why)

with board.section(SEARCH):
    asked, norm = attack.about(spec, methods)
    if asked is None:
        attack.stop(board, "")
with board.section(NEAR):
    result = run_request(asked, st.empty(), attack.so_far(norm))
    answer = result.scores
    st.markdown(f"**{markdown(rows.headline(answer, norm))}**")
    table = rows.numbers(answer, norm)
    if len(answer["images"]) > 1 and rows.found(answer["images"], norm):
        board.chart(NEAR, charts.distances(answer, norm), table, "attack.near")
    else:
        board.table(NEAR, table)
    st.caption(markdown(" ".join(answer["notes"])))
with board.section(CHANGED):
    place = attack.which(answer, norm)
    image = answer["images"][place]
    for said in rows.sentences(image, norm, answer):
        st.markdown(markdown(said))
    line = result.arrays.get(f"{place}/{norm}/line")
    if line is not None:
        at = attack.epsilon(norm)
        top, multiple = charts.top(line, at, answer), answer["multiples"][at]
        shown = rows.cells(image, norm, place, result.arrays, multiple, top)
        board.row(CHANGED, shown, "attack.changed")
        st.caption(rows.WHITE)
        attack.take_away(result, place, norm, multiple, spec)
if line is not None:
    with board.section(ALONG):
        unit = rows.greys(image[norm], norm, answer["values"])
        figure = charts.along(line, image, answer, unit, norm, at)
        numbers = charts.along_numbers(line, image, answer, unit)
        board.chart(ALONG, figure, numbers, "attack.along")
        if cells := attack.saliency(result, place, norm, multiple, spec):
            board.row(ALONG, cells, "attack.looked.row", title=rows.LOOKED)
file = next(one for one in asked.images if one.sha256 == image["sha256"])
perturbation.draw(spec, methods, board, file, asked.target, image["l2"]["distance"] or 0.0)
board.facts["Search"] = f"{asked.method}, {rows.NORMS[norm]}"
board.offer_report()
