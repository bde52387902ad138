"""Guard: what it takes to let the model say "none of the above", and what that costs."""

import streamlit as st

from diagnostics.report.guard import charts, tables
from diagnostics.ui import sidebar
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views.guard import asked, explain, fitted, noted, take_away
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
    known, strangers = folder("in_distribution"), folder("out_of_distribution")
    requests = asked(spec, methods)
    if not requests:
        explain()
    guards = fitted(requests)
answers = {guard: one.scores for guard, one in guards.items()}

if answers:
    with board.section(CATCHES):
        st.markdown(f"**{tables.headline(answers)}**")
        if flattering := tables.warning(answers):
            st.warning(flattering, icon=":material/warning:")
        table = tables.caught_numbers(answers)
        board.chart(CATCHES, charts.caught(answers), table, "guard.caught")
    with board.section(COSTS):
        st.markdown("\n".join(f"- {said}" for said in tables.promises(answers)))
        table = tables.cost_numbers(answers)
        board.chart(COSTS, charts.costs(answers), table, "guard.costs")
        st.caption(noted(answers))
    with board.section(TAKEN):
        take_away(guards)
    board.facts["Guards"] = f"{tables.fitted_on(answers)} {flattering}"
board.offer_report()
