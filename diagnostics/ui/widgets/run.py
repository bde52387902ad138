"""Run requests on the session's workers, with progress and Cancel, and say why one failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from diagnostics.errors import CANCELLED, OversureError, WorkerError
from diagnostics.schema.request import Progress, Request, Result
from diagnostics.text import markdown
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error

DrawPartial: TypeAlias = Callable[[Result], None]

PATIENCE_SECONDS = 0.6


def run_request(
    request: Request,
    container: DeltaGenerator | None = None,
    draw_partial: DrawPartial | None = None,
) -> Result:
    """Return the answer, or end the page where it says why there is none, see `try_request`."""
    result = try_request(request, container, draw_partial)
    if result is None:
        st.stop()
    return result


def try_request(
    request: Request,
    container: DeltaGenerator | None = None,
    draw_partial: DrawPartial | None = None,
) -> Result | None:
    """Return the answer; show progress and Cancel while it takes longer than a moment.

    A request that failed or was cancelled is not run again by itself: the page says what happened
    and offers to start again. Its partial result is returned then, if there is one.

    Args:
        request: The request.
        container: Where progress and failures are shown; None shows them here.
        draw_partial: Draws a partial result, in a container that is emptied before each time.
    """
    session = current_session()
    container = st.empty() if container is None else container
    if request.key in session.results:
        _show_engine(session.results[request.key], container)
        return session.results[request.key]
    if request.key not in session.failures:
        try:
            progress = _ProgressDisplay(container, request, draw_partial)
            result = session.runner(request.model).run(request, progress)
        except WorkerError as error:
            session.failures[request.key] = error.message
        except OversureError as error:
            show_error(error.message, container)
            return None
        else:
            session.results[request.key] = result
            session.partial_results.pop(request.key, None)
            _show_engine(result, container)
            return result
    with container.container():
        _offer_retry(request.key)
    return session.partial_results.get(request.key)


def _show_engine(result: Result, container: DeltaGenerator) -> None:
    """Say what computed an answer where its progress stood, if there is anything to say."""
    if result.engine:
        container.caption(markdown(result.engine))
    else:
        container.empty()


def _offer_retry(key: str) -> None:
    message = current_session().failures[key]
    if message == CANCELLED:
        st.info(message, icon=":material/cancel:")
    else:
        show_error(message)
    st.button("Start again", key=f"again-{key}", on_click=_forget, args=(key,), type="primary")


def _forget(key: str) -> None:
    current_session().failures.pop(key, None)
    current_session().partial_results.pop(key, None)


class _ProgressDisplay:
    """Shows progress and Cancel once a request takes longer than a moment."""

    def __init__(
        self, container: DeltaGenerator, request: Request, draw_partial: DrawPartial | None
    ) -> None:
        self._container, self._request = container, request
        self._draw_partial = draw_partial
        self._started = time.monotonic()
        self._bar: DeltaGenerator | None = None

    def __call__(self, progress: Progress) -> None:
        session, partial = current_session(), progress.partial
        if partial is not None:
            session.partial_results[partial.key] = partial
        seconds = time.monotonic() - self._started
        if seconds < PATIENCE_SECONDS:
            return
        if self._bar is None:
            key = self._request.key
            with self._container.container():
                with st.container(border=True, key=f"progress-{key[:12]}"):
                    self._bar = st.progress(0.0)
                    st.button("Cancel", key=f"cancel-{key}", on_click=self._cancel)
                self._partial = st.empty()  # in the place of the answer, not beside the bar
        left = progress.seconds_left
        rest = f", about {left:.0f} s left" if left is not None and left >= 1 else ""
        self._bar.progress(progress.done, f"{progress.activity} ({seconds:.0f} s{rest})")
        if self._draw_partial is not None and partial is not None:
            with self._partial.container():
                self._draw_partial(partial)

    def _cancel(self) -> None:
        session = current_session()
        session.runner(self._request.model).cancel()
        session.failures[self._request.key] = CANCELLED
