"""The controls of the comparison: which models, and their answer together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from diagnostics.report.ood import tables
from diagnostics.report.ood.tables import Detection
from diagnostics.schema.ensemble import why_apart
from diagnostics.schema.layouts import last_maps
from diagnostics.schema.request import INSPECT, OPEN, ModelSource, Options, Request, Result
from diagnostics.schema.spec import ModelSpec, read
from diagnostics.text import markdown
from diagnostics.ui.session.choices import remember
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder, reference
from diagnostics.ui.widgets.run import try_request

TOP = 3
ALPHA = 0.05  # of the known-good images, at most, are called strange


def ask_all(chosen: Mapping[str, ModelSource], attribution: str) -> dict[str, Result]:
    """Ask every model about the images shown; one that fails says why, beside the others.

    Args:
        chosen: The models by their names.
        attribution: The method, with its settings, by which each says where it looked.
    """
    session, found = current_session(), {}
    for name, model in chosen.items():
        opened = try_request(Request(OPEN, model), st.empty())
        if opened is None:
            continue
        layer = deepest(read(opened.scores["model"]))
        own = session.preprocessing if model == session.model else None
        layers = (layer,) if layer else ()
        options: Options = {"top": TOP, "layers": layers, "attributions": (attribution,)}
        request = Request(INSPECT, model, session.shown_images(), own, options=options)
        answer = try_request(request, st.empty())
        if answer is not None:
            found[name] = answer
    return found


def deepest(spec: ModelSpec) -> str:
    """Return the last layer that gives maps, else the last but one; empty where none is known."""
    hidden = [layer.name for layer in spec.layers[:-1]]
    return last_maps(spec) or next(reversed(hidden), "")


def together(chosen: Mapping[str, ModelSource], compared: Mapping[str, Result]) -> None:
    """Offer to take the models' mean answer in hand, or say why they have none.

    Args:
        chosen: The models by their names.
        compared: The answers of those that answered.
    """
    members = {name: chosen[name] for name in compared if not chosen[name].others}
    if len(members) < 2:
        return
    if why := why_apart([read(compared[name].scores["model"]) for name in members]):
        st.caption(markdown(why))
        return
    first, *others = members.values()
    st.button(
        "Take their ensemble in hand",
        on_click=current_session().select_model,
        args=(replace(first, others=tuple(others)),),
        key="compare.together",
        help="The mean of their logits, as a model that every page and method works on. "
        "All must have the same classes and see the same pixels.",
    )


def strangeness(
    board: Board, heading: str, chosen: Mapping[str, ModelSource], compared: Mapping[str, Result]
) -> None:
    """Draw which images are strange to each model, among the known-good images of the folder.

    Args:
        board: Of the page.
        heading: Of the section.
        chosen: The models by their names.
        compared: The answers of those that answered.
    """
    session = current_session()
    if folder("in_distribution") is None:
        st.caption("Add a folder of known-good images to see which images are strange to each.")
        return
    remember("compare.strange", default=0, max_value=1)
    wanted = st.toggle(
        "Measure each model on the folder",
        key="compare.strange",
        help="Every model is asked about every image of the folder once.",
    )
    names = tuple(file.name for file in session.shown_images())
    for name, answer in compared.items() if wanted else ():
        model, own = chosen[name], read(answer.scores["model"]).preprocessing
        settings = (model == session.model and session.preprocessing) or own
        measured = reference(model, settings, st.empty())
        asked = Request(
            "ood/detect",
            model,
            session.shown_images(),
            settings,
            options={"examined": False},
            reference=measured,
        )
        found = measured and try_request(asked, st.empty())
        if found and found.scores["available"]:
            detection = Detection(found.scores, names, found.scores["default"], ALPHA)
            verdicts = tables.verdicts(detection)
            board.row(heading, verdicts, f"compare.strange.{name}", title=name)
            st.caption(markdown(f"{detection.title}. {detection.promise}"))
        elif found:
            st.caption(markdown(f"{name}: {tables.without_reference(found.scores)}"))
