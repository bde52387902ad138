"""What the server was started with, the same for every session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource
from diagnostics.ui.server.settings import Serving
from diagnostics.worker import Admission, selftest
from diagnostics.worker.sandbox import Level


@dataclass(frozen=True)
class Beginning:
    """What the server was started with: what every person has in hand at first, and may do.

    Args:
        model: The model; the first sample when there is none.
        images: Images; the samples when there are none.
        adapt: Turns the model's own preprocessing into the one to begin with; None keeps it.
        live: Where the process listens that holds this model; None starts workers.
        programs: Whether files that are programs may run.
    """

    model: ModelSource | None = None
    images: tuple[File, ...] = ()
    adapt: Callable[[Preprocessing], Preprocessing] | None = None
    live: Path | None = None
    programs: bool = False


_beginning = [Beginning()]
_serving = [Serving()]
_admission = [Admission(_serving[0].places)]


def begin_with(beginning: Beginning, serving: Serving | None = None) -> None:
    """Let sessions begin with a model and images, and share the machine in a certain way."""
    _beginning[:] = [beginning]
    _serving[:] = [serving or Serving()]
    shared = _serving[0]
    _admission[:] = [Admission(shared.places, shared.running, shared.waiting)]


def beginning() -> Beginning:
    """Return what sessions begin with."""
    return _beginning[0]


def serving() -> Serving:
    """Return how this server is offered."""
    return _serving[0]


def admission() -> Admission:
    """Return what gives each question its turn."""
    return _admission[0]


def weights(file: File) -> ModelSource:
    """Return the model in a file that a person brought, with what this server lets it do."""
    locked = selftest.outcome().level is not Level.NONE
    return ModelSource(file, programs=_beginning[0].programs, modules=locked)
