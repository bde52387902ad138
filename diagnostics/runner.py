"""Runners answer requests; pages, command line and audits differ only in which one they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

from diagnostics.errors import OversureError
from diagnostics.request import Progress, Request, Result

Watch: TypeAlias = Callable[[Progress], None]


class Runner(Protocol):
    """Answers requests about one model at a time."""

    def run(self, request: Request, watch: Watch | None = None) -> Result:
        """Return the answer, calling `watch` while it is computed.

        Raises:
            OversureError: When the request cannot be answered; the text says why.
        """

    def map(self, requests: Iterable[Request]) -> Iterator[Result | OversureError]:
        """Yield each request's answer, or the error that one request ended with."""

    def cancel(self) -> None:
        """End the request that is being answered."""

    def close(self) -> None:
        """Give back everything the runner holds."""


class LocalRunner:
    """Answers requests in this process: for tests, notebooks and the command line."""

    def __init__(self) -> None:
        from diagnostics.execute import Executor

        self._executor = Executor()

    def run(self, request: Request, watch: Watch | None = None) -> Result:
        """Return the answer, calling `watch` while it is computed."""
        return self._executor.execute(request, watch)

    def map(self, requests: Iterable[Request]) -> Iterator[Result | OversureError]:
        """Yield each request's answer, or the error that one request ended with."""
        for request in requests:
            try:
                yield self.run(request)
            except OversureError as error:
                yield error

    def cancel(self) -> None:
        """Do nothing: the caller's own thread is at work, and stops it with an interrupt."""

    def close(self) -> None:
        """Give back the model."""
        from diagnostics.execute import Executor

        self._executor = Executor()
