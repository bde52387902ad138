"""How far an answer is, how long it will still take, and what is there of it so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from diagnostics.execution.attribution import Tell
from diagnostics.schema.request import Progress, Result
from diagnostics.schema.runner import ProgressCallback

LEAST_TO_JUDGE = 0.03  # share of the images that must be done before the rest is estimated
KEEP_SECONDS = 0.5  # between two tellings of what is there so far


class Clock:
    """Tells how far a request is, and, once images are worked on, how long it will still take."""

    def __init__(self, watch: ProgressCallback | None) -> None:
        self._watch = watch
        self._started = time.perf_counter()
        self._opened: float | None = None  # when the first image was begun
        self._progress = Progress("", 0.0)
        self._kept = -KEEP_SECONDS

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.perf_counter() - self._started

    def part(self, start: float, share: float) -> Tell:
        """Return what tells how far one part of the images is."""
        self._opened = self._opened or self.seconds

        def tell(doing: str, done: float) -> None:
            whole = start + share * done
            self.tell(doing, 0.2 + 0.7 * whole, whole)

        return tell

    def tell(self, doing: str, done: float, images: float = 0.0) -> None:
        """Say what is being done, which share of all is done, and which of the images."""
        left = None
        if self._opened is not None and images >= LEAST_TO_JUDGE:
            left = (self.seconds - self._opened) * (1 - images) / images
        self._progress = Progress(doing, done, left)
        if self._watch is not None:
            self._watch(self._progress)

    def keep(self, make: Callable[[], Result]) -> None:
        """Tell what is there so far, unless it was told a moment ago."""
        if self._watch is not None and self.seconds - self._kept >= KEEP_SECONDS:
            self._kept = self.seconds
            self._watch(replace(self._progress, so_far=make()))
