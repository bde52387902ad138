"""Several models side by side: what each answers, their ensemble, and what is strange to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from diagnostics.report.ood import tables
from diagnostics.schema.ensemble import why_apart
from diagnostics.schema.layouts import last_maps
from diagnostics.schema.request import INSPECT, OPEN, ModelSource, Options, Request, Result
from diagnostics.schema.results.ood import DetectionAnswer
from diagnostics.schema.spec import ModelSpec, read
from diagnostics.text import markdown
from diagnostics.ui.session.choices import toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.folder_picker import folder, reference
from diagnostics.ui.widgets.run import try_request

TOP = 3
ALPHA = 0.05  # of the known-good images, at most, are called strange


def inspect_each(models: Mapping[str, ModelSource], attribution: str) -> dict[str, Result]:
    """Inspect the images shown by every model; one that fails says why, beside the others.

    Args:
        models: By their names.
        attribution: The method, with its settings, by which each says where it looked.
    """
    session, results = current_session(), {}
    for name, model in models.items():
        opened = try_request(Request(OPEN, model), st.empty())
        if opened is None:
            continue
        layer = deepest_layer(read(opened.scores["model"]))
        preprocessing = session.preprocessing if model == session.model else None
        layers = (layer,) if layer else ()
        options: Options = {"top": TOP, "layers": layers, "attributions": (attribution,)}
        images = session.shown_images()
        request = Request(INSPECT, model, images, preprocessing, options=options)
        result = try_request(request, st.empty())
        if result is not None:
            results[name] = result
    return results


def deepest_layer(spec: ModelSpec) -> str:
    """Return the last layer that gives maps, else the last but one; empty where none is known."""
    hidden = [layer.name for layer in spec.layers[:-1]]
    return last_maps(spec) or next(reversed(hidden), "")


def offer_ensemble(models: Mapping[str, ModelSource], results: Mapping[str, Result]) -> None:
    """Offer to select the models' ensemble, or say why they have none.

    Args:
        models: By their names.
        results: The answers of those that answered.
    """
    members = {name: models[name] for name in results if not models[name].others}
    if len(members) < 2:
        return
    if why := why_apart([read(results[name].scores["model"]) for name in members]):
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


def ood(
    board: Board, heading: str, models: Mapping[str, ModelSource], results: Mapping[str, Result]
) -> None:
    """Draw which images are strange to each model, among the known-good images of the folder.

    Args:
        board: Of the page.
        heading: Of the section.
        models: By their names.
        results: The answers of those that answered.
    """
    if folder("in_distribution") is None:
        st.caption("Add a folder of known-good images to see which images are strange to each.")
        return
    wanted = toggle(
        "Measure each model on the folder",
        "compare.strange",
        "Every model is asked about every image of the folder once.",
    )
    if not wanted:
        return
    for name, result in results.items():
        answer = _detect(models[name], read(result.scores["model"]))
        if answer is None:
            continue
        if not answer["available"]:
            st.caption(markdown(f"{name}: {tables.without_reference(answer)}"))
            continue
        files = tuple(file.name for file in current_session().shown_images())
        detection = tables.Detection(answer, files, answer["default"], ALPHA)
        verdicts = tables.verdicts(detection)
        board.row(heading, verdicts, f"compare.strange.{name}", title=name)
        st.caption(markdown(f"{detection.title}. {detection.promise}"))


def _detect(model: ModelSource, spec: ModelSpec) -> DetectionAnswer | None:
    """Return how strange the images shown are to a model that was measured on the folder."""
    session = current_session()
    in_force = session.preprocessing if model == session.model else None
    preprocessing = in_force or spec.preprocessing
    measured = reference(model, preprocessing, st.empty())
    if measured is None:
        return None
    request = Request(
        "ood/detect",
        model,
        session.shown_images(),
        preprocessing,
        options={"examined": False},
        reference=measured,
    )
    result = try_request(request, st.empty())
    if result is None:
        return None
    answer: DetectionAnswer = result.scores
    return answer
