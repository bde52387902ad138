"""Guard: what it takes to let the model say "none of the above", and what that costs."""

import streamlit as st

from diagnostics.report.guard import charts, tables
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import guard
from diagnostics.ui.widgets import preprocessing
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder

TITLE, ICON = "Guard", "shield"
QUESTION = "How can this model say none of the above, and what does that cost?"
FITTED, CATCHES = "What guards are fitted on", "What does each guard catch?"
COSTS, TAKEN = "What does it cost?", "Take a guard with you"

spec, methods = sidebar.selection()
board = Board(TITLE, QUESTION, spec)
if not current_session().shown and current_session().in_distribution is None:
    preprocessing.offer_samples()

with board.section(FITTED):
    folder("in_distribution")
    folder("out_of_distribution")
    requests = guard.requests(spec, methods)
    if not requests:
        guard.explain(guard.guards_of(methods))
    exported = guard.fit(requests, methods)
fitted = [one.fitted for one in exported]

if fitted:
    with board.section(CATCHES):
        st.markdown(f"**{tables.headline(fitted)}**")
        if flattering := tables.warning(fitted):
            st.warning(flattering, icon=":material/warning:")
        table = tables.caught_numbers(fitted)
        board.chart(CATCHES, charts.caught(fitted), table, "guard.caught")
    with board.section(COSTS):
        st.markdown("\n".join(f"- {sentence}" for sentence in tables.promises(fitted)))
        table = tables.cost_numbers(fitted)
        board.chart(COSTS, charts.costs(fitted), table, "guard.costs")
        st.caption(guard.notes(fitted))
    with board.section(TAKEN):
        guard.take_away(exported)
    board.facts["Guards"] = f"{tables.fitted_on(fitted)} {flattering}"
board.offer_report()
