"""A runner whose model lives in a worker: what goes wrong there ends the worker, not the server."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from diagnostics.errors import (
    CANCELLED,
    CancelledError,
    OversureError,
    WorkerCrashedError,
    WorkerMemoryError,
    WorkerTimeoutError,
    by_name,
)
from diagnostics.schema.request import (
    FIELD,
    INSPECT,
    OPEN,
    OPENING,
    READ,
    EngineChoice,
    File,
    Progress,
    Request,
    Result,
)
from diagnostics.schema.runner import ProgressCallback
from diagnostics.text import printable
from diagnostics.worker import wire
from diagnostics.worker.admission import Admission, Wait
from diagnostics.worker.spawn import Source, Worker, Zygote
from diagnostics.worker.watchdog import DISK_FILES, DISK_MIB

POLL_SECONDS = 0.1
DRAIN_SECONDS = 2.0
OPENING_BYTES = 4 * 2**20
SHORT = (OPEN, INSPECT, FIELD, READ)  # questions that take a moment


@dataclass(frozen=True)
class Limits:
    """What one request may take, in seconds: in all, without progress, and for one message.

    Opening a model may take so many seconds of the processor, and one more for each
    `OPENING_BYTES` of its file. Eight honest files took at most 0.3 of that: the most a Keras file
    of 10 MB, 6.6 s of 22, and 21 s of 102 for ViT-B/16, which fits several networks.
    """

    wall_seconds: float = 1800.0
    silent_seconds: float = 120.0
    message_seconds: float = 30.0
    opening_seconds: float = 20.0


class WorkerRunner:
    """Answers requests from a worker of its own; a new one starts by itself after a failure.

    Args:
        limits: What one request may take.
        zygote: Where workers come from; None takes the server's shared one.
        owner: Whose questions these are, where they share the machine with those of others.
        admission: Gives each question its turn; None asks at once.
        engine: What computes passes without gradients.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        zygote: Source | None = None,
        owner: int = 0,
        admission: Admission | None = None,
        engine: EngineChoice = "auto",
    ) -> None:
        self._engine: EngineChoice = engine
        self._owner, self._admission = owner, admission
        self._limits = limits or Limits()
        self._own_zygote = zygote
        self._turn = threading.Lock()
        self._worker: Worker | None = None
        self._source: Source | None = None
        self._inbox: Path | None = None
        self._abandoned = False
        self._cancelled = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return self._worker.pid if self._worker else None

    def run(self, request: Request, on_progress: ProgressCallback | None = None) -> Result:
        """Return the answer, calling `on_progress` at least every tenth of a second.

        An exception out of `on_progress` leaves the request abandoned: its worker drops it when the
        next one comes, and is ended where that must wait too long.

        Raises:
            OversureError: When the request cannot be answered; the text says why.
        """
        self._cancelled = False
        with self._turn, self._slot(request, on_progress):
            self._drop_abandoned()
            worker = self._ready()
            self._abandoned = True
            try:
                handed = self._hand_over(replace(request, engine=self._engine))
                message = wire.request_message(handed, str(self._inbox))
                wire.send(worker.connection, message)
                result = self._answer(worker, request, on_progress)
            except (wire.ProtocolError, TimeoutError):
                self._kill()
                raise WorkerCrashedError(
                    "The model's process sent an answer that cannot be read, and was ended. "
                    "Start again."
                ) from None
            except (EOFError, OSError, ValueError):
                raise self._crash_error() from None
            except OversureError as error:
                self._abandoned = False
                if isinstance(error, WorkerMemoryError):
                    self._kill()  # a process that ran out of memory does not give all of it back
                raise
            self._abandoned = False
            return result

    def _slot(
        self, request: Request, on_progress: ProgressCallback | None
    ) -> AbstractContextManager[None]:
        """Wait for a slot among the questions of all, and report that."""
        if self._admission is None:
            return nullcontext()

        def on_wait(wait: Wait) -> None:
            if self._cancelled:
                raise CancelledError(CANCELLED)
            if on_progress is not None:
                activity = f"Waiting for a turn, number {wait.before + 1} in line: {wait.reason}"
                on_progress(Progress(activity, 0.0, wait.seconds))

        return self._admission.slot(self._owner, long=request.method not in SHORT, on_wait=on_wait)

    def cancel(self) -> None:
        """End the request that is being answered, from any thread, by ending its worker."""
        self._cancelled = True
        worker = self._worker
        if worker is not None:
            worker.kill()
            with self._turn:
                self._kill()

    def close(self) -> None:
        """End the worker, and whatever waits to ask one."""
        self._cancelled = True
        if self._worker is not None:
            self._kill()

    def _ready(self) -> Worker:
        """Return a living worker: one that idled out or was killed is replaced."""
        if self._worker is not None and _is_gone(self._worker.connection):
            self._kill()
        if self._worker is None:
            self._source = self._own_zygote or Zygote.start()
            self._inbox = self._source.folder / f"inbox-{secrets.token_hex(8)}"
            self._inbox.mkdir(mode=0o700)
            self._worker = self._source.fork()
            self._worker.connection.settimeout(self._limits.message_seconds)
        return self._worker

    def _answer(
        self, worker: Worker, request: Request, on_progress: ProgressCallback | None
    ) -> Result:
        started = received = time.monotonic()
        progress = Progress("Waiting for the model's process", 0.0)
        opening: float | None = None  # the worker's processor time when it began to open a model
        while True:
            if select.select([worker.connection], [], [], POLL_SECONDS)[0]:
                header, arrays = wire.receive(worker.connection, self._limits.message_seconds)
                if header["type"] == "result":
                    return wire.read_result(header, arrays, request.key, request.method)
                if header["type"] == "error":
                    message = printable(str(header.get("message"))[:1000])
                    raise by_name(str(header.get("kind")))(message)
                progress = wire.read_progress(header, arrays, request.key, request.method)
                received = time.monotonic()
                is_opening = progress.activity.startswith(OPENING)
                opening = worker.processor_seconds if is_opening else None
            self._demand_in_time(started, received)
            if opening is not None:
                self._demand_opened(worker.processor_seconds - opening, request)
            if on_progress is not None:
                on_progress(progress)
                progress = replace(progress, partial=None)  # reported once

    def _demand_in_time(self, started: float, received: float) -> None:
        """End a worker that takes too long in all, or has been silent for too long."""
        now, limits = time.monotonic(), self._limits
        if now - started > limits.wall_seconds:
            self._kill()
            raise WorkerTimeoutError(
                f"The model's process was ended after its limit of {limits.wall_seconds:g} s. Show "
                "fewer images or choose a quicker method, or start again."
            )
        if now - received > limits.silent_seconds:
            self._kill()
            raise WorkerTimeoutError(
                f"The model's process made no progress for {limits.silent_seconds:g} s and was "
                "ended; it may be in an endless loop. Show fewer images, or start again."
            )

    def _demand_opened(self, spent: float, request: Request) -> None:
        """End a worker that computes far longer on a model than a file of its size needs."""
        files = request.model.weights
        size = sum(_size(Path(file.path)) for file in files)
        limit = self._limits.opening_seconds + size / OPENING_BYTES
        if spent > limit:
            self._kill()
            raise WorkerTimeoutError(
                f"Opening {files[0].name} took more than {limit:.0f} s of computing, which no file "
                "of its size needs, and was ended; it may describe a network far larger than "
                "itself, or be made to keep this machine busy. Save the model again."
            )

    def _drop_abandoned(self) -> None:
        """Have the worker drop an abandoned request; end it where that takes too long."""
        worker, deadline = self._worker, time.monotonic() + DRAIN_SECONDS
        if self._abandoned and worker is not None:
            with suppress(OSError):  # it has ended
                wire.send(worker.connection, {"type": wire.DROP})
        while self._abandoned and worker is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([worker.connection], [], [], left)[0]:
                self._kill()
                break
            try:
                header, _ = wire.receive(worker.connection, left)
                self._abandoned = header["type"] == "progress"
            except (EOFError, OSError, wire.ProtocolError):
                self._kill()
                break
        self._abandoned = False

    def _kill(self) -> int:
        """End the worker; return its exit code, or minus the signal that ended it."""
        worker, self._worker, self._abandoned = self._worker, None, False
        if worker is None or self._source is None:
            return 0
        worker.kill()
        code = self._source.ended(worker)
        if self._inbox is not None:
            shutil.rmtree(self._inbox, ignore_errors=True)
        return code

    def _hand_over(self, request: Request) -> Request:
        """Put a request's files where the worker may read them; it can read no others."""
        if self._inbox is None:
            return request
        inbox = self._inbox
        needed = {file.sha256 for file in (request.model.file, *request.files)}
        for path in inbox.iterdir():
            if path.name not in needed:  # files that were taken away meanwhile
                path.unlink(missing_ok=True)
        return replace(
            request,
            model=replace(
                request.model,
                file=self._linked(request.model.file),
                others=tuple(
                    replace(other, file=_handed_over(other.file, inbox))
                    for other in request.model.others
                ),
            ),
            images=tuple(_handed_over(image, inbox) for image in request.images),
            folder=request.folder and _handed_over(request.folder, inbox),
            ood_folder=request.ood_folder and _handed_over(request.ood_folder, inbox),
            reference=request.reference and _handed_over(request.reference, inbox),
        )

    def _linked(self, file: File) -> File:
        """Link a model that was uploaded into the inbox; others are read where they lie.

        There the worker finds it as long as it lives, even if the same file is brought again. It
        learns nowhere where uploads lie, or it could look for those of others.
        """
        if self._inbox is None or self._inbox.parent not in Path(file.path).parents:
            return file
        return _handed_over(file, self._inbox)

    def _crash_error(self) -> OversureError:
        """Say how the worker ended, in words."""
        code = self._kill()
        if self._cancelled:
            return CancelledError(CANCELLED)
        if code == wire.OVER_DISK:
            return WorkerCrashedError(
                f"The model's process wrote more than {DISK_MIB} MiB or {DISK_FILES} files and was "
                "ended; a model that does so is refused here."
            )
        if code == -signal.SIGKILL:
            return WorkerMemoryError(
                "The model's process was killed from outside (signal 9), most likely because the "
                "machine ran out of memory. Start again, with fewer or smaller images."
            )
        if code < 0:
            number, name = -code, signal.strsignal(-code) or "unknown"
            return WorkerCrashedError(
                f"The model's process ended by signal {number} ({name.lower()}). Start again; if "
                "it happens again, this model or image crashes the library that runs it."
            )
        return WorkerCrashedError(
            f"The model's process ended by itself (exit code {code}). Start again."
        )


def _handed_over(file: File, inbox: Path) -> File:
    """Link or copy a file into a folder; one that is gone stays where it was, unreadable.

    The worker is not told where one that was uploaded lay, not even when it is gone.
    """
    target = inbox / file.sha256
    handed = replace(file, path=str(target))
    with suppress(OSError):
        if not target.exists():
            try:
                os.link(file.path, target)
            except OSError:  # on another disk, or another user's
                half = target.with_suffix(".half")
                shutil.copyfile(file.path, half)
                half.replace(target)
        return handed
    return handed if inbox.parent in Path(file.path).parents else file


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the files in a folder; 0 for what is not there."""
    with suppress(OSError):
        files = path.iterdir() if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    return 0


def _is_gone(connection: socket.socket) -> bool:
    """Say whether the other side has closed a connection on which nothing is expected."""
    return bool(select.select([connection], [], [], 0)[0])
