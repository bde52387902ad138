"""Which few pixels suffice for each of the models compared, on one image."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from diagnostics.report.sufficient_pixels import tables
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource, Request, Result
from diagnostics.schema.spec import ModelSpec
from diagnostics.schema.sufficient_pixels import passes, usual_step
from diagnostics.text import markdown, shortened
from diagnostics.ui.session.choices import choose, remembered
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views.sufficient_pixels_models import answers
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost

METHOD = "sufficient_pixels/batched_gradient"


def sufficing(
    spec: ModelSpec,
    board: Board,
    heading: str,
    chosen: Mapping[str, ModelSource],
    compared: Mapping[str, Result],
) -> None:
    """Draw which few pixels of one image suffice for each model, once that is wanted.

    Args:
        spec: The model in hand, by which the cost is told.
        board: Of the page.
        heading: Of the section.
        chosen: The models by their names.
        compared: The answers of those that answered.
    """
    session = current_session()

    def own(model: ModelSource) -> Preprocessing | None:
        return session.preprocessing if model == session.model else None

    files = session.shown_images()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = {str(place): shortened(one.name, 28) for place, one in enumerate(files)}
        image = choose("Image", "compare.image", shown, "The one image that is searched.")
        remembered("compare.sufficient", usual=0, most=1)
        wanted = st.toggle(
            "Search each model",
            key="compare.sufficient",
            help="Pixels are removed in the usual way, with the four controls; the page of "
            "sufficient pixels has every setting.",
        )
    if not wanted:
        size = spec.height * spec.width
        forward, back = passes(size, usual_step(size), classes=len(spec.class_names))
        st.caption(f"For the model in hand: {cost(spec, forward=forward, backward=back)}")
        return
    questions = {
        name: Request(METHOD, model, (files[int(image)],), own(model))
        for name, model in chosen.items()
        if name in compared
    }
    found = answers(questions)
    if not found:
        return
    st.markdown(f"**{markdown(tables.beside(found))}**")
    for name, one in found:
        answer = session.results.get(questions[name].key)
        if answer is not None and not one["error"]:
            cells = tables.pictures(one, tables.of_image(answer.arrays, 0))
            board.row(heading, cells, f"compare.sufficient.{name}", title=name)
    board.table(heading, tables.side_by_side(found))
