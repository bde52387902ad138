"""The worker: one process, one model; it is locked down before it opens a person's bytes."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from diagnostics.errors import (
    CANCELLED,
    CancelledError,
    OversureError,
    WorkerError,
    WorkerMemoryError,
)
from diagnostics.schema.request import Progress, Request
from diagnostics.worker import wire
from diagnostics.worker.sandbox import lock_down

GIB = 2**30
IDLE_SECONDS = 900
MEMORY_GIB, MAX_MEMORY_GIB = 4, 12
STATM = Path("/proc/self/statm")  # of addresses: the libraries alone map some gigabytes
NO_MEMORY = ("can't allocate memory", "out of memory", "Cannot allocate memory")


def serve(connection: socket.socket, entry: Callable[[], Any], home: Path, threads: int = 0) -> int:
    """Answer requests until the server closes the connection or is silent for too long.

    Args:
        connection: To the server.
        entry: Makes the executor.
        home: Folder of this process, made now and emptied at the end; the zygote deletes it.
        threads: With how many it computes; 0 takes half of the processors.

    Returns:
        The exit code.
    """
    prepare(home, threads)
    try:
        executor = entry()
        connection.settimeout(IDLE_SECONDS)
        locked = False
        with suppress(EOFError, TimeoutError, ConnectionError):
            for request, inbox in requests(connection):
                if not locked:
                    model = Path(request.model.file.path)
                    _limit_memory(*_weights(request))
                    factory = request.model.factory
                    code = [Path(factory.folder)] if factory else []
                    lock_down([model, Path(inbox), *code], [home])
                    locked = True
                answer(connection, executor, request)
        return 0
    finally:
        shutil.rmtree(home, ignore_errors=True)


def prepare(home: Path, threads: int = 0) -> None:
    """Give the process a home, low priority, and limits."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    home.mkdir(mode=0o700)
    harmless = {
        name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL")
    }
    os.environ.clear()
    os.environ.update(harmless, HOME=str(home), TMPDIR=str(home), CUDA_VISIBLE_DEVICES="")
    tempfile.tempdir = str(home)  # Python remembers the zygote's
    os.nice(10)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_FSIZE, GIB),
    ):
        resource.setrlimit(limit, (value, value))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads or max(1, (os.cpu_count() or 1) // 2))


def memory_limit(*weights: Path) -> int:
    """Return how many bytes a worker with these weights may use, beside what libraries take."""
    size = sum(path.stat().st_size for path in weights)
    return int(min(MEMORY_GIB * GIB + 2 * size, MAX_MEMORY_GIB * GIB))


def _weights(request: Request) -> list[Path]:
    return [Path(file.path) for file in request.model.weights]


def _limit_memory(*weights: Path) -> None:
    """Limit the address space."""
    if not all(path.exists() for path in weights):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(STATM.read_text().split()[0]) * resource.getpagesize() if STATM.exists() else 0
    limit = mapped + memory_limit(*weights)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def requests(connection: socket.socket) -> Iterator[tuple[Request, str]]:
    """Yield what is asked, and the folder with its images, until the other side is gone.

    Raises:
        EOFError: When it is.
    """
    while True:
        header, _ = wire.receive(connection)
        if header["type"] != wire.DROP:  # what was to be dropped had been answered by then
            yield wire.read_request(header), header["inbox"]


def answer(connection: socket.socket, executor: Any, request: Request) -> None:
    """Answer a request, with progress on the way; what goes wrong is said in words.

    Where something comes meanwhile, nobody waits for the answer any more, and the work ends when
    it next tells how far it is.
    """

    def on_progress(progress: Progress) -> None:
        if select.select([connection], [], [], 0)[0]:
            raise CancelledError(CANCELLED)
        arrays = progress.partial.arrays if progress.partial else {}
        wire.send(connection, wire.progress_message(progress), arrays)

    try:
        result = executor.execute(request, on_progress)
        wire.send(connection, wire.result_message(result), result.arrays)
    except Exception as error:
        wire.send(connection, _error_message(error, request))


def _error_message(error: Exception, request: Request) -> dict[str, str]:
    """Say what went wrong; what nobody foresaw gets a number, and its trace stays in the log."""
    if isinstance(error, OversureError):
        return {"type": "error", "kind": type(error).__name__, "message": error.message}
    if isinstance(error, wire.TooLargeError):
        message = f"{error}, too much for the page; show fewer images or fewer layers."
        return {"type": "error", "kind": WorkerError.__name__, "message": message}
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        limit = memory_limit(*_weights(request)) / GIB
        message = (
            f"The model's process reached its memory limit of {limit:.1f} GiB and was ended. Start "
            "again; if it happens again, show fewer images, or choose a quicker method."
        )
        return {"type": "error", "kind": WorkerMemoryError.__name__, "message": message}
    number = uuid.uuid4().hex[:8]
    with suppress(OSError):
        print(f"error {number}\n{''.join(traceback.format_exception(error))}", file=sys.stderr)
    message = f"Something unforeseen went wrong in the model's process (error {number})."
    return {"type": "error", "kind": WorkerError.__name__, "message": message}
