"""Who else is asked about fooling images: the scores of strangeness, and another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from diagnostics.report.fooling import charts, detection
from diagnostics.schema.request import INSPECT, OPEN, File, Options, Request, Result
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown
from diagnostics.ui.session.choices import choose
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import comparison
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.run import try_request

Entry = Mapping[str, Any]

ALPHA = 0.05  # share of known-good images that may be called strange
NONE = ""


def strangeness(spec: ModelSpec, pictures: Sequence[File], reference: File | None) -> Request:
    """Return the question how strange the pictures are."""
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    options: Options = {"examined": False}
    return Request(
        "ood/detect",
        session.model,
        tuple(pictures),
        settings,
        options=options,
        reference=reference,
    )


def caught(judged: Entry, board: Board, heading: str) -> None:
    """Draw which score would have caught the pictures."""
    st.markdown(f"**{markdown(detection.caught_headline(judged, ALPHA))}**")
    table = detection.caught_numbers(judged, ALPHA)
    if judged["false_alarms"]["n"]:
        figure = charts.caught_by(judged, ALPHA)
        board.chart(heading, figure, table, "fooling.caught")
    else:
        st.caption("Add a folder of known-good images above to learn which scores catch these.")
        board.table(heading, table, folded=True)


def another_model(pictures: Sequence[File]) -> tuple[str, Result] | None:
    """Draw which other model is asked; return its name and what it says of the pictures."""
    session = current_session()
    named = comparison.named(session.models)
    others = {one.sha256: (name, one) for name, one in named.items() if one != session.model}
    names = {digest: name for digest, (name, _) in others.items()}
    chosen = choose(
        "Other model",
        "fooling.other",
        {NONE: "none", **names},
        "Models that were opened in this session, and the samples.",
        width=290,
    )
    if chosen == NONE:
        st.caption(
            "Choose a model that is open in this session, or open one first: some pictures fool "
            "several models, others the one that they were made for."
        )
        return None
    name, model = others[chosen]
    if try_request(Request(OPEN, model), st.empty()) is None:
        return None
    options: Options = {"top": 3, "layers": (), "attributions": ()}
    answer = try_request(Request(INSPECT, model, tuple(pictures), options=options), st.empty())
    return None if answer is None else (name, answer)
