"""The same search on other models, and on their ensemble."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from diagnostics.report.sufficient_pixels.tables import Entry
from diagnostics.schema.ensemble import why_apart
from diagnostics.schema.request import OPEN, ModelSource, Request
from diagnostics.schema.spec import ModelSpec, read
from diagnostics.schema.sufficient_pixels import usual_step
from diagnostics.text import counted, markdown
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import comparison
from diagnostics.ui.views.sufficient_pixels import live
from diagnostics.ui.widgets.run import try_request

CHOSEN = "sufficient.models"


def beside(asked: Request, spec: ModelSpec) -> list[tuple[str, Entry]] | None:
    """Draw which other models are searched too; return what was found, None until it is wanted."""
    chosen = comparison.models()
    if len(chosen) < 2:
        st.caption("Choose two models or more: each is searched alike, and their ensemble.")
        return None
    specs = {name: _spec(model) for name, model in chosen.items()}
    known = {name: one for name, one in specs.items() if one is not None}
    models = {name: chosen[name] for name in known}
    why = why_apart(list(known.values())) if len(known) > 1 else ""
    alone = [model for model in models.values() if not model.others]
    if why:
        st.caption(markdown(f"No ensemble: {why}"))
    elif len(alone) > 1:
        first, *rest = alone
        models["ensemble of these"] = replace(first, others=tuple(rest))
    questions = {
        name: _asked_of(model, asked, spec, known.get(name)) for name, model in models.items()
    }
    mark = hashlib.sha256(" ".join(one.key for one in questions.values()).encode()).hexdigest()
    st.button(
        "Search on these models",
        key="sufficient.beside",
        on_click=_run,
        args=(mark,),
        help="Each model is asked with its own preprocessing; the ensemble is the mean of their "
        "logits.",
    )
    st.caption(
        f"{counted(len(questions), 'search', 'searches')} of the size of the one above; one "
        "trained with input dropout is told from the others only by its name."
    )
    if current_session().choices.get(CHOSEN) != mark:
        return None
    return answers(questions)


def _run(mark: str) -> None:
    current_session().choices[CHOSEN] = mark


def _spec(model: ModelSource) -> ModelSpec | None:
    answer = try_request(Request(OPEN, model), st.empty())
    return read(answer.scores["model"]) if answer else None


def _asked_of(
    model: ModelSource, asked: Request, spec: ModelSpec, own: ModelSpec | None
) -> Request:
    """Return the same question to another model; a class keeps its number where it has its name."""
    if model == asked.model:
        return asked
    same = own is None or own.class_names == spec.class_names
    options = dict(asked.options)
    if own is not None and "step" in options:
        options["step"] = (
            0 if options["step"] == usual_step(spec.height * spec.width) else options["step"]
        )
    target = asked.target if same else None
    return replace(asked, model=model, preprocessing=None, target=target, options=options)


def answers(questions: Mapping[str, Request]) -> list[tuple[str, Entry]]:
    """Ask every model its question; return what was found for its image, by the models' names."""
    found: list[tuple[str, Entry]] = []
    for name, question in questions.items():
        answer = try_request(question, st.empty(), live(question))
        images: Sequence[Entry] = answer.scores["images"] if answer else ()
        found += [(name, images[0])] if images else []
    return found
