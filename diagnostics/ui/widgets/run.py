"""Ask the session's worker, with progress and a way out, and say in words what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from diagnostics.errors import CANCELLED, OversureError, WorkerError
from diagnostics.schema.request import Progress, Request, Result
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error

Live: TypeAlias = Callable[[Result], None]

PATIENCE_SECONDS = 0.6


def run_request(
    request: Request, place: DeltaGenerator | None = None, live: Live | None = None
) -> Result:
    """Return the answer, or end the page where it says why there is none, see `try_to_ask`."""
    result = try_request(request, place, live)
    if result is None:
        st.stop()
    return result


def try_request(
    request: Request, place: DeltaGenerator | None = None, live: Live | None = None
) -> Result | None:
    """Return the answer; show progress and Cancel while it takes longer than a moment.

    A failed or cancelled request is not asked again by itself: the page says what happened and
    offers to start again. What it had found so far is returned then, where the method tells that.

    Args:
        request: What is asked.
        place: Where progress and failures are shown; None shows them here.
        live: Draws what is there so far, in a container that is emptied before each time.
    """
    session = current_session()
    place = st.empty() if place is None else place
    if request.key in session.results:
        return session.results[request.key]
    if request.key not in session.failures:
        try:
            result = session.runner(request.model).run(request, _Watch(place, request, live))
        except WorkerError as error:
            session.failures[request.key] = error.message
        except OversureError as error:
            show_error(error.message, place)
            return None
        else:
            session.cache_result(result)
            session.partial_results.pop(request.key, None)
            place.empty()
            return result
    with place.container():
        _offer_again(request.key)
    return session.partial_results.get(request.key)


def _offer_again(key: str) -> None:
    session = current_session()
    said = session.failures[key]
    if said == CANCELLED:
        st.info(said, icon=":material/cancel:")
    else:
        show_error(said)
    st.button("Start again", key=f"again-{key}", on_click=_forget, args=(key,), type="primary")


def _forget(key: str) -> None:
    current_session().failures.pop(key, None)
    current_session().partial_results.pop(key, None)


class _Watch:
    """Shows progress once a request takes longer than a moment."""

    def __init__(self, place: DeltaGenerator, request: Request, live: Live | None) -> None:
        self._place, self._request, self._live = place, request, live
        self._started = time.monotonic()
        self._bar: DeltaGenerator | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.partial is not None:
            current_session().cache_partial(progress.partial)
        seconds = time.monotonic() - self._started
        if seconds < PATIENCE_SECONDS:
            return
        if self._bar is None:
            with self._place.container(border=True, key=f"progress-{self._request.key[:12]}"):
                self._bar = st.progress(0.0)
                st.button("Cancel", key=f"cancel-{self._request.key}", on_click=self._cancel)
                self._shown = st.empty()
        left = progress.seconds_left
        rest = f", about {left:.0f} s left" if left is not None and left >= 1 else ""
        self._bar.progress(progress.done, f"{progress.activity} ({seconds:.0f} s{rest})")
        if self._live is not None and progress.partial is not None:
            with self._shown.container():
                self._live(progress.partial)

    def _cancel(self) -> None:
        session = current_session()
        session.runner(self._request.model).cancel()
        session.failures[self._request.key] = CANCELLED
