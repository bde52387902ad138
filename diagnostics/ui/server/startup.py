"""What the server was started with, the same for every session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource
from diagnostics.ui.server.settings import ServerSettings
from diagnostics.worker import Admission, selftest
from diagnostics.worker.sandbox import Level


@dataclass(frozen=True)
class SessionDefaults:
    """What every session begins with, and may do.

    Args:
        model: The model; the first sample when there is none.
        images: Images; the samples when there are none.
        preprocessing_adjustment: Turns the model's own preprocessing into the one to begin with;
            None leaves it.
        live_socket: Where the process listens that holds this model; None starts workers.
        programs: Whether files that are programs may run.
        in_distribution: Known-good images, a folder; None until a person brings some.
        out_of_distribution: Images that belong to no class, likewise.
    """

    model: ModelSource | None = None
    images: tuple[File, ...] = ()
    preprocessing_adjustment: Callable[[Preprocessing], Preprocessing] | None = None
    live_socket: Path | None = None
    programs: bool = False
    in_distribution: File | None = None
    out_of_distribution: File | None = None


@dataclass
class _Server:
    """The one server of this process."""

    settings: ServerSettings
    defaults: SessionDefaults
    admission: Admission


def _server(settings: ServerSettings, defaults: SessionDefaults) -> _Server:
    admission = Admission(settings.places, settings.running, settings.waiting)
    return _Server(settings, defaults, admission)


_current = _server(ServerSettings(), SessionDefaults())


def configure(defaults: SessionDefaults, settings: ServerSettings | None = None) -> None:
    """Say what sessions begin with, and how they share the machine."""
    global _current
    _current = _server(settings or ServerSettings(), defaults)


def session_defaults() -> SessionDefaults:
    """Return what sessions begin with."""
    return _current.defaults


def server_settings() -> ServerSettings:
    """Return how this server is offered."""
    return _current.settings


def admission() -> Admission:
    """Return what gives each request its turn."""
    return _current.admission


def source_of_upload(file: File) -> ModelSource:
    """Return the model in a file that a person brought, with what this server lets it do."""
    is_locked = selftest.outcome().level is not Level.NONE
    return ModelSource(file, programs=session_defaults().programs, modules=is_locked)
