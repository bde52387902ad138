"""The runner of tests, notebooks and the command line, which answers in its own process."""

from __future__ import annotations

from dataclasses import replace

from diagnostics.execution.executor import Executor
from diagnostics.schema.request import EngineChoice, Request, Result
from diagnostics.schema.runner import ProgressCallback


class LocalRunner:
    """Answers requests in this process.

    Args:
        engine: What computes passes without gradients.
    """

    def __init__(self, engine: EngineChoice = "auto") -> None:
        self._engine: EngineChoice = engine
        self._executor = Executor()

    def run(self, request: Request, on_progress: ProgressCallback | None = None) -> Result:
        """Return the answer, calling `on_progress` while it is computed."""
        return self._executor.execute(replace(request, engine=self._engine), on_progress)

    def cancel(self) -> None:
        """Do nothing: the caller's own thread is at work, and stops it with an interrupt."""

    def close(self) -> None:
        """Give back the model."""
        self._executor = Executor()
