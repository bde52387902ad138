"""Which few pixels suffice for each of the models compared, on one image."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from diagnostics import words
from diagnostics.preprocessing import Preprocessing
from diagnostics.report import subset_rows
from diagnostics.request import ModelSource, Request, Result
from diagnostics.spec import ModelSpec
from diagnostics.sufficiency import passes, usual_step
from diagnostics.ui.choices import choose, remembered
from diagnostics.ui.cost import cost
from diagnostics.ui.show import Board
from diagnostics.ui.state import session
from diagnostics.ui.sufficient_beside import answers

METHOD = "subset/batched_gradient"


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
    held = session()

    def own(model: ModelSource) -> Preprocessing | None:
        return held.preprocessing if model == held.model else None

    files = held.shown_images()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = {str(place): words.shortened(one.name, 28) for place, one in enumerate(files)}
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
    st.markdown(f"**{words.markdown(subset_rows.beside(found))}**")
    for name, one in found:
        answer = held.answers.get(questions[name].key)
        if answer is not None and not one["error"]:
            cells = subset_rows.pictures(one, subset_rows.of_image(answer.arrays, 0))
            board.row(heading, cells, f"compare.sufficient.{name}", title=name)
    board.table(heading, subset_rows.side_by_side(found))
