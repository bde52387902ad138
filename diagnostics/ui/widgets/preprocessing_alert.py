"""One red line on every page where the preprocessing is known to be wrong, with what mends it."""

from __future__ import annotations

import streamlit as st

from diagnostics.report.preprocessing.alert import Alert, of_check, of_settings
from diagnostics.schema.request import Request
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import markdown
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.run import try_request

METHOD = "preprocessing/preprocessing"


def preprocessing_request(spec: ModelSpec) -> Request:
    """Return the request about the preprocessing: of the folder, or of the images shown."""
    session = current_session()
    images = () if session.in_distribution else session.shown_images()
    settings = session.preprocessing or spec.preprocessing
    return Request(METHOD, session.model, images, settings, folder=session.in_distribution)


def begin_alert(spec: ModelSpec) -> None:
    """Make room for the line at the top of the page, and draw what is known without asking."""
    session = current_session()
    session.alert, session.alerted = st.empty(), None
    _draw(_alert(spec, ask=False), spec)


def complete_alert(spec: ModelSpec) -> None:
    """Draw what is known of the settings in force, now that the page has its answers."""
    found = _alert(spec, ask=True)
    if found != current_session().alerted:
        _draw(found, spec)


def _draw(found: Alert | None, spec: ModelSpec) -> None:
    session = current_session()
    line, replaces = session.alert, session.alerted is not None
    session.alerted = found
    if line is None or found is None:
        if line is not None:
            line.empty()
        return
    with line.container(horizontal=True, vertical_alignment="center"):
        st.error(markdown(found.sentence), icon=":material/error:", width="stretch")
        settings = session.preprocessing or spec.preprocessing
        st.button(
            markdown(found.offer),
            key=f"alert.{hash((settings, found.settings, replaces))}",
            on_click=session.select_model,
            args=(session.model, found.settings),
            type="primary",
        )


def _alert(spec: ModelSpec, *, ask: bool) -> Alert | None:
    """Return what is known, the best evidence first: the folder, BatchNorm, the model's file.

    Args:
        spec: The selected model.
        ask: Ask what BatchNorm remembers, where that is not known: it can take many passes.
    """
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    of_folder = session.results.get(preprocessing_request(spec).key)
    if of_folder is not None and session.in_distribution:
        check: PreprocessingCheck = of_folder.scores["preprocessing"]
        if check["verdict"] in ("wrong", "fine"):
            return of_check(check)
    if session.shown and Need.BATCHNORM in spec.offers:
        request = Request(
            METHOD, session.model, session.shown_images(), settings, options={"brief": True}
        )
        container = st.empty()
        answer = try_request(request, container) if ask else session.results.get(request.key)
        container.empty()  # where it failed, the page's own request says why
        if answer is not None and (found := of_check(answer.scores["preprocessing"])):
            return found
    return of_settings(settings, spec)
