"""How far an answer is, how long it will still take, and what is there of it so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from diagnostics.methods.context import ReportProgress
from diagnostics.schema.request import Progress, Result
from diagnostics.schema.runner import ProgressCallback

MIN_SHARE = 0.03  # of the images that must be done before the remaining time is estimated
REPORT_SECONDS = 0.1  # between two reports of the same activity
PARTIAL_SECONDS = 0.5  # between two partial results


class ProgressReporter:
    """Reports how far a request is, and, once images are worked on, how long it will still take.

    It sets the pace for everybody: work reports as often as it likes.
    """

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._started = time.perf_counter()
        self._first_image: float | None = None  # seconds after which it was begun
        self._progress = Progress("", 0.0)
        self._reported = -REPORT_SECONDS
        self._partial_reported = -PARTIAL_SECONDS

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.perf_counter() - self._started

    def part(self, start: float, share: float) -> ReportProgress:
        """Return what reports how far one part of the images is.

        Args:
            start: Share of the images before this part, 0 to 1.
            share: Of all images, 0 to 1.
        """
        if self._first_image is None:
            self._first_image = self.seconds

        def report(activity: str, done: float) -> None:
            images = start + share * done
            self.report(activity, 0.2 + 0.7 * images, images)

        return report

    def report(self, activity: str, done: float, images: float = 0.0) -> None:
        """Report an activity, which share of all is done, and which share of the images.

        The same activity is not reported again at once.
        """
        seconds = self.seconds
        seconds_left = None
        if self._first_image is not None and images >= MIN_SHARE:
            seconds_left = (seconds - self._first_image) * (1 - images) / images
        same = activity == self._progress.activity
        self._progress = Progress(activity, done, seconds_left)
        if self._callback is None or (same and seconds - self._reported < REPORT_SECONDS):
            return
        self._reported = seconds
        self._callback(self._progress)

    def partial(self, make: Callable[[], Result]) -> None:
        """Report the result so far, unless one was reported a moment ago."""
        if self._callback is None or self.seconds - self._partial_reported < PARTIAL_SECONDS:
            return
        self._callback(replace(self._progress, partial=make()))
        self._partial_reported = self.seconds
