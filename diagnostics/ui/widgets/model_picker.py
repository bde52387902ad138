"""Choices among the models of the session, and among the classes of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from diagnostics.data import samples
from diagnostics.schema.request import STRONGEST, ModelSource
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import shortened
from diagnostics.ui.session.choices import choose
from diagnostics.ui.session.state import MAX_MODELS, current_session

TOP_CLASS = "top class of each image"


def pick_models(open_another: Callable[[], None]) -> dict[str, ModelSource]:
    """Draw which models are compared; return them by the names that they are shown under.

    Args:
        open_another: Opens the dialog that opens a model.
    """
    session = current_session()
    known = named_models(session.models)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Models compared",
            list(known),
            default=[name for name, model in known.items() if model in session.models],
            key="compare.models",
            max_selections=MAX_MODELS,
            help="Models that were opened in this session, and the samples. Each answers with its "
            "own preprocessing.",
        )
        if st.button("Open another", key="compare.open"):
            open_another()
    return {name: known[name] for name in chosen}


def named_models(models: Sequence[ModelSource]) -> dict[str, ModelSource]:
    """Return models and the samples by name; of one name, also by the start of their hash."""
    hashes = {model.sha256 for model in models}
    others = [ModelSource(file) for file in samples.model_files().values()]
    known = [*models, *(model for model in others if model.sha256 not in hashes)]
    names = [shortened(model.name, 60) for model in known]
    return {
        name if names.count(name) == 1 else f"{name} ({model.sha256[:8]})": model
        for name, model in zip(names, known, strict=True)
    }


def pick_target(spec: ModelSpec) -> int | None:
    """Draw which class is explained; None is each image's top class."""
    target = choose(
        "Class explained",
        "class",
        {"": TOP_CLASS, **class_titles(spec)},
        "The map explains this class's logit, never its probability: a probability near "
        "one hardly changes whatever the pixels do.",
    )
    return int(target) if target else None


def pick_against(spec: ModelSpec) -> int | None:
    """Draw which class's logit is subtracted, or that of the strongest other; None is none."""
    if len(spec.class_names) < 2:
        return None
    against = choose(
        "Minus the logit of",
        "against",
        {"": "nothing", str(STRONGEST): "the strongest other class", **class_titles(spec)},
        "With another class the map explains the margin: what speaks for the one class and "
        "against the other.",
    )
    return int(against) if against else None


def class_titles(spec: ModelSpec) -> dict[str, str]:
    """Return what people read of each class, by its index as text."""
    return {str(index): f"{index} {name}" for index, name in enumerate(spec.class_names)}
