"""Memory of the server: what a session leaves behind goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import threading

MMAP_THRESHOLD, ARENA_MAX = -3, -8  # of mallopt, which other systems than glibc lack
LARGE_BYTES = 2**18
ARENAS = 2
QUIET_SECONDS = 2.0  # after the last of several sessions that end together

_lock = threading.Lock()
_pending: threading.Timer | None = None


def configure() -> None:
    """Let arrays come from the system one by one, and threads share what is smaller.

    Otherwise each thread that draws a page has a heap of its own, and glibc soon takes large
    arrays from those heaps too, where one small survivor holds the whole.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(ARENA_MAX, ARENAS)


def release_soon() -> None:
    """Give back, in a moment, what sessions that have ended held."""
    global _pending
    with _lock:
        if _pending is not None:
            _pending.cancel()
        _pending = threading.Timer(QUIET_SECONDS, release)
        _pending.daemon = True
        _pending.start()


def release() -> None:
    """Collect what refers to itself, as ended sessions do, and return freed pages."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
