"""The question whether a map can be trusted: its cost, its badges, and the curves behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from diagnostics import text
from diagnostics.report.faithfulness import charts, tables
from diagnostics.schema.options import MethodChoice
from diagnostics.schema.request import Request, Result
from diagnostics.schema.spec import ModelSpec
from diagnostics.ui.session.choices import choose, remember
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.run import try_request

QUESTION = "Can this map be trusted?"


def trusted(
    board: Board,
    heading: str,
    chosen: MethodChoice,
    asked: Request,
    answer: Result,
    spec: ModelSpec,
) -> None:
    """Draw the question under a row of maps, and once it is asked the verdict on each map.

    Args:
        board: The page.
        heading: Of the section that the maps stand in.
        chosen: The method that made them.
        asked: What it was asked.
        answer: The answer with the maps.
        spec: The model in hand.
    """
    images = answer.scores["images"]
    if all(image["error"] for image in images):
        return
    name = chosen.info.id.rpartition("/")[2]
    key = f"trust.{name}"
    remember(key, default=0, max_value=1)
    wanted = st.toggle(
        QUESTION,
        key=key,
        help="Compares the map with those of copies of the network whose weights are random, with "
        "other seeds, and with random maps when parts of the image are covered. What it costs is "
        "said before it starts.",
    )
    if not wanted:
        return
    options = {"method": chosen.text, "against": _text(asked.against)}
    request = replace(asked, method="faithfulness/trust", against=None, options=options)
    place = st.empty()
    with place.container():
        is_asked = _is_asked(request, len(images), spec, key)
    if not is_asked:
        return
    place.empty()
    shown: Mapping[str, Any] = {"board": board, "heading": heading, "images": images, "key": key}
    found = try_request(request, place, lambda so_far: _badges(so_far.scores, images))
    if found is not None:
        _draw(found, **shown)


def _text(against: int | None) -> str:
    return "" if against is None else str(against)


def _is_asked(request: Request, images: int, spec: ModelSpec, key: str) -> bool:
    """Say whether the question was asked; state its cost and offer to ask it otherwise."""
    session = current_session()
    again = st.session_state.get(f"again-{request.key}", False)
    if request.key in session.results or request.key in session.failures or again:
        return True
    counted = try_request(replace(request, method="faithfulness/trust_cost", images=()), st.empty())
    if counted is None:
        return False
    passes = {way: images * counted.scores[way] for way in ("forward", "backward")}
    with st.container(horizontal=True, vertical_alignment="center"):
        title = f"Examine {text.counted(images, 'map')}"
        pressed = st.button(title, key=f"{key}.ask", icon=":material/fact_check:")
        st.caption(cost_sentence(spec, **passes))
    return pressed


def _badges(scores: Mapping[str, Any], images: list[Mapping[str, Any]]) -> None:
    """Say what was found so far, as text."""
    for cell, image in zip(tables.badges(images, scores), images, strict=True):
        st.text(f"{text.shortened(image['file'], 28)}: {cell.answer or cell.empty}")


def _draw(
    found: Result, board: Board, heading: str, images: list[Mapping[str, Any]], key: str
) -> None:
    scores = found.scores
    title = f"{QUESTION} {tables.headline(scores)}"
    board.row(heading, tables.badges(images, scores), f"{key}.badges", title=title)
    st.caption(text.markdown(" ".join([tables.EXPLAINED, *scores["notes"]])))
    board.table(heading, tables.reasons(scores), folded=True)
    drawable = {
        str(place): text.shortened(one["file"], 28)
        for place, one in enumerate(scores["images"])
        if "removal" in one
    }
    if not drawable:
        return
    with st.expander("Insertion and deletion"):
        with st.container(horizontal=True):
            place = int(choose("Image", f"{key}.image", drawable, "Whose curves are drawn."))
            fill = choose(
                "Fill",
                f"{key}.fill",
                {one: f"{one} of the image" for one in tables.FILLS},
                "What stands where a cell is missing.",
            )
        one = scores["images"][place]
        figure = charts.curves(one, found.arrays, place, fill)
        board.chart(heading, figure, charts.numbers(one), f"{key}.curves")
