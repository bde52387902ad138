"""The question whether a map can be trusted: its cost, its badges, and the curves behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import streamlit as st

from diagnostics import text
from diagnostics.report.faithfulness import charts, tables
from diagnostics.schema.options import MethodChoice
from diagnostics.schema.request import Request, Result
from diagnostics.schema.results.faithfulness import Fill, TrustAnswer, TrustCostAnswer
from diagnostics.schema.results.inspection import ImageEntry
from diagnostics.schema.spec import ModelSpec
from diagnostics.ui.session.choices import choose, toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.run import try_request

QUESTION = "Can this map be trusted?"


def trust(
    board: Board,
    heading: str,
    choice: MethodChoice,
    request: Request,
    result: Result,
    spec: ModelSpec,
) -> None:
    """Draw the question under a row of maps, and once it is asked the verdict on each map.

    Args:
        board: The page.
        heading: Of the section that the maps stand in.
        choice: The method that made them.
        request: What it was asked.
        result: The answer with the maps.
        spec: The selected model.
    """
    images: Sequence[ImageEntry] = result.scores["images"]
    if all(image["error"] for image in images):
        return
    name = choice.info.id.rpartition("/")[2]
    key = f"trust.{name}"
    wanted = toggle(
        QUESTION,
        key,
        "Asks whether the model was trained at all, and compares the map with those of copies of "
        "the network whose weights are random, with other seeds, and with maps that know nothing "
        "of the model when parts of the image are covered. What it costs is said before it starts.",
    )
    if not wanted:
        return
    against = "" if request.against is None else str(request.against)
    options = {"method": choice.text, "against": against}
    evaluation = replace(request, method="faithfulness/trust", against=None, options=options)
    place = st.empty()
    with place.container():
        is_requested = _is_requested(evaluation, len(images), spec, key)
    if not is_requested:
        return
    place.empty()
    evaluated = try_request(evaluation, place, lambda partial: _badges(partial.scores, images))
    if evaluated is not None:
        answer: TrustAnswer = evaluated.scores
        title = f"{QUESTION} {tables.headline(answer)}"
        board.row(heading, tables.badges(images, answer), f"{key}.badges", title=title)
        st.caption(text.markdown(" ".join([tables.EXPLAINED, *answer["notes"]])))
        board.table(heading, tables.reasons(answer), folded=True)
        _draw_curves(evaluated, board, heading, key)


def _is_requested(request: Request, images: int, spec: ModelSpec, key: str) -> bool:
    """Say whether the question was asked; state its cost and offer to ask it otherwise."""
    session = current_session()
    again = st.session_state.get(f"again-{request.key}", False)
    if request.key in session.results or request.key in session.failures or again:
        return True
    options = {**request.options, "together": images}
    cost = replace(request, method="faithfulness/trust_cost", images=(), options=options)
    passes = try_request(cost, st.empty())
    if passes is None:
        return False
    per_image: TrustCostAnswer = passes.scores
    with st.container(horizontal=True, vertical_alignment="center"):
        title = f"Examine {text.counted(images, 'map')}"
        pressed = st.button(title, key=f"{key}.ask", icon=":material/fact_check:")
        forward, backward = images * per_image["forward"], images * per_image["backward"]
        st.caption(cost_sentence(spec, forward=forward, backward=backward))
    return pressed


def _badges(answer: TrustAnswer, images: Sequence[ImageEntry]) -> None:
    """Say what was evaluated so far, as text."""
    for cell, image in zip(tables.badges(images, answer), images, strict=True):
        st.text(f"{text.shortened(image['file'], 28)}: {cell.answer or cell.empty}")


def _draw_curves(evaluated: Result, board: Board, heading: str, key: str) -> None:
    answer: TrustAnswer = evaluated.scores
    drawable = {
        str(index): text.shortened(entry["file"], 28)
        for index, entry in enumerate(answer["images"])
        if entry["evaluation"] is not None
    }
    if not drawable:
        return
    with st.expander("Insertion and deletion"):
        with st.container(horizontal=True):
            index = int(choose("Image", f"{key}.image", drawable, "Whose curves are drawn."))
            fill = choose(
                "Fill",
                f"{key}.fill",
                {fill: f"{fill} of the image" for fill in get_args(Fill)},
                "What stands where a cell is missing.",
            )
        entry = answer["images"][index]
        figure = charts.curves(entry, evaluated.arrays, index, fill)
        board.chart(heading, figure, charts.areas(entry), f"{key}.curves")
