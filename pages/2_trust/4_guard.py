"""Guard: what it takes to let the model say "none of the above", and what that costs."""

import streamlit as st

from diagnostics.report import guard_charts, guard_rows
from diagnostics.ui import controls, frame, guard_controls
from diagnostics.ui.folders import folder
from diagnostics.ui.show import Board
from diagnostics.ui.state import session

QUESTION = "How can this model say none of the above, and what does that cost?"
FITTED, CATCHES = "What guards are fitted on", "What does each guard catch?"
COSTS, TAKEN = "What does it cost?", "Take a guard with you"

spec, methods = frame.in_hand()
board = Board("Guard", QUESTION, spec)
if not session().shown and session().known is None:
    controls.offer_samples()

with board.section(FITTED):
    known, strangers = folder("known"), folder("strangers")
    requests = guard_controls.asked(spec, methods)
    if not requests:
        guard_controls.explain()
    guards = guard_controls.fitted(requests)
answers = {guard: one.scores for guard, one in guards.items()}

if answers:
    with board.section(CATCHES):
        st.markdown(f"**{guard_rows.headline(answers)}**")
        if flattering := guard_rows.warning(answers):
            st.warning(flattering, icon=":material/warning:")
        table = guard_rows.caught_numbers(answers)
        board.chart(CATCHES, guard_charts.caught(answers), table, "guard.caught")
    with board.section(COSTS):
        st.markdown("\n".join(f"- {said}" for said in guard_rows.promises(answers)))
        table = guard_rows.cost_numbers(answers)
        board.chart(COSTS, guard_charts.costs(answers), table, "guard.costs")
        st.caption(guard_controls.noted(answers))
    with board.section(TAKEN):
        guard_controls.take_away(guards)
    board.facts["Guards"] = f"{guard_rows.fitted_on(answers)} {flattering}"
board.offer_report()
