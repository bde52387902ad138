"""Memory of the server: what a session leaves behind goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from streamlit import runtime

MMAP_THRESHOLD, ARENA_MAX = -3, -8  # of mallopt, which other systems than glibc lack
LARGE_BYTES = 2**18
ARENAS = 2
TIDY_SECONDS = 5.0
KEPT_SECONDS = 20.0  # a session for a page that comes back; Streamlit forgets it after 30

_ended: dict[str, float] = {}  # sessions whose page is gone, and since when


def configure() -> None:
    """Let arrays come from the system one by one, and threads share what is smaller.

    Otherwise each thread that draws a page has a heap of its own, and glibc soon takes large
    arrays from those heaps too, where one small survivor holds the whole.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(ARENA_MAX, ARENAS)


def session_ended(session: str) -> None:
    """Note that a session's page is gone, by the name that Streamlit has for it."""
    _ended[session] = time.monotonic()


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Tidy up behind sessions while the server runs."""
    task = asyncio.create_task(_tidy())
    yield
    task.cancel()


async def _tidy() -> None:
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        if _close_ended():
            await to_thread.run_sync(release)


def _close_ended() -> bool:
    """Close the sessions to which nobody came back; return whether there were any.

    Streamlit itself forgets them after a while, but holds them until the next person comes.
    """
    latest = time.monotonic() - KEPT_SECONDS
    due = [session for session, since in _ended.copy().items() if since < latest]
    for session in due:
        del _ended[session]
        if runtime.exists() and not runtime.get_instance().is_active_session(session):
            runtime.get_instance().close_session(session)
    return bool(due)


def release() -> None:
    """Collect what refers to itself, as ended sessions do, and return freed pages."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
