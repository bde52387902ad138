"""The server's side of the zygote: start it once, fork workers from it, learn how they ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from diagnostics.errors import WorkerCrashedError
from diagnostics.worker.wire import FORK, NUMBER, WAIT

ENTRY = "diagnostics.execution.executor:Executor"
PREFIX = "oversure-server-"
START_SECONDS = 120
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


HARMLESS = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
HARMLESS_PREFIXES = ("PYTHON", "OPENBLAS_", "OMP_", "CUDA_", "NVIDIA_")


def _harmless_environment() -> dict[str, str]:
    """Return the environment without what a worker must not know: it can read all of it."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in HARMLESS or name.startswith(HARMLESS_PREFIXES)
    }


_locks: list[int] = []  # of our folders, held until this process ends, however it ends


def _own_folder() -> Path:
    """Return a new folder that is locked as long as this process lives; delete those of dead ones.

    A zygote deletes its folder when the server ends, unless both were killed, or the machine was.
    """
    _sweep()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        with suppress(OSError):  # a disk without locks, whose folders nobody sweeps
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # unless another server, just started, took it for a dead one's
            _locks.append(lock)
            return folder
        os.close(lock)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # locked, or another user's
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@dataclass(frozen=True)
class Worker:
    """A running worker: its process id and the connection to it."""

    pid: int
    connection: socket.socket

    @property
    def processor_seconds(self) -> float:
        """How long it has computed; where the system does not tell, how long the machine runs."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return time.monotonic()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Source(Protocol):
    """Where workers come from."""

    folder: Path

    def fork(self) -> Worker:
        """Start a worker."""

    def ended(self, worker: Worker) -> int:
        """Wait for a worker to be gone; return its exit code."""


class Zygote:
    """The process from which workers are forked; one serves the whole server.

    Args:
        entry: "module:name" of what answers requests in a worker.
        folder: For everything that must not outlive the server; None makes one. The zygote ends
            after the server, however that ends, and deletes it.
        threads: With how many threads each worker computes; None takes half of the processors.
    """

    _shared: Zygote | None = None
    _starting = threading.Lock()

    def __init__(
        self, entry: str = ENTRY, folder: Path | None = None, threads: int | None = None
    ) -> None:
        self._threads = threads
        self.folder = folder or _own_folder()
        self._turn = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_SECONDS)
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "diagnostics.worker.zygote",
                    str(theirs.fileno()),
                    entry,
                    str(self.folder),
                    str(threads or 0),
                ],
                pass_fds=[theirs.fileno()],
                env={**_harmless_environment(), **ONE_THREAD},
                stdin=subprocess.DEVNULL,
            )

    @classmethod
    def start(cls, threads: int | None = None) -> Zygote:
        """Return the shared zygote, started if there is none that lives; never waits for it.

        Args:
            threads: Of each worker, where it is started now.
        """
        with cls._starting:
            if cls._shared is None:
                cls._shared = cls(threads=threads)
            elif cls._shared.process.poll() is not None:
                cls._shared.close()
                cls._shared = cls(folder=cls._shared.folder, threads=cls._shared._threads)
            return cls._shared

    def fork(self) -> Worker:
        """Start a worker.

        Raises:
            WorkerCrashedError: When the zygote is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._turn:
            try:
                message = FORK + NUMBER.pack(0)
                socket.send_fds(self._control, [message], [theirs.fileno()])
                pid = NUMBER.unpack(self._number())[0]
            except OSError:
                ours.close()
                raise WorkerCrashedError(
                    "No process for the model could be started; start again."
                ) from None
        return Worker(pid, ours)

    def ended(self, worker: Worker) -> int:
        """Wait for a worker to be gone; return its exit code, or minus the signal that ended it."""
        worker.connection.close()
        with self._turn:
            try:
                self._control.sendall(WAIT + NUMBER.pack(worker.pid))
                return int(NUMBER.unpack(self._number())[0])
            except OSError:
                return 0

    def close(self) -> None:
        """End the zygote and its workers."""
        self._control.close()
        self.process.wait(10)

    def _number(self) -> bytes:
        received = self._control.recv(NUMBER.size)
        if len(received) < NUMBER.size:
            raise ConnectionError
        return received
