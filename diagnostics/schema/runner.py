"""Runners answer requests; pages, command line and audits differ only in which one they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from diagnostics.schema.request import Progress, Request, Result

ProgressCallback: TypeAlias = Callable[[Progress], None]


class Runner(Protocol):
    """Answers requests about one model at a time."""

    def run(self, request: Request, on_progress: ProgressCallback | None = None) -> Result:
        """Return the answer, calling `on_progress` while it is computed.

        Raises:
            OversureError: When the request cannot be answered; the text says why.
        """

    def cancel(self) -> None:
        """End the request that is being answered."""

    def close(self) -> None:
        """Give back everything the runner holds."""
