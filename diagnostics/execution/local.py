"""The runner of tests, notebooks and the command line, which answers in its own process."""

from __future__ import annotations

from diagnostics.execution.executor import Executor
from diagnostics.schema.request import Request, Result
from diagnostics.schema.runner import ProgressCallback


class LocalRunner:
    """Answers requests in this process."""

    def __init__(self) -> None:
        self._executor = Executor()

    def run(self, request: Request, on_progress: ProgressCallback | None = None) -> Result:
        """Return the answer, calling `on_progress` while it is computed."""
        return self._executor.execute(request, on_progress)

    def cancel(self) -> None:
        """Do nothing: the caller's own thread is at work, and stops it with an interrupt."""

    def close(self) -> None:
        """Give back the model."""
        self._executor = Executor()
