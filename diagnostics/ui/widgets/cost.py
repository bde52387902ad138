"""What an answer will cost, said before it is requested, from passes that were timed."""

from __future__ import annotations

import streamlit as st

from diagnostics.schema.request import Request
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted, duration
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.run import try_request


def cost_sentence(spec: ModelSpec, *, forward: int = 0, backward: int = 0) -> str:
    """Return how long so many passes of one image take, such as "About 12 s: 300 passes forward".

    Args:
        spec: The selected model.
        forward: Passes of one image forward alone.
        backward: Passes of one image forward and back.
    """
    session = current_session()
    counts = [
        counted(count, f"pass {direction}", f"passes {direction}")
        for count, direction in ((backward, "forward and back"), (forward, "forward"))
        if count
    ]
    passes = ", ".join(counts)
    settings = session.preprocessing or spec.preprocessing
    answer = try_request(Request("inspection/cost", session.model, (), settings), st.empty())
    if answer is None:
        return f"{passes}."
    timed = answer.scores
    backward_seconds = timed["backward_seconds"] or timed["forward_seconds"]
    seconds = forward * timed["forward_seconds"] + backward * backward_seconds
    return f"{duration(seconds)}: {passes}."
