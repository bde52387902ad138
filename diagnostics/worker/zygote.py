"""The zygote: torch imported once, forked for every worker; it never sees a person's bytes.

Run as `python -m diagnostics.worker.zygote FD ENTRY FOLDER`. On its control socket it understands
two requests: "fork", with a worker's socket attached, answered by the worker's process id; and
"wait" for an ended worker, answered by its exit status. It ends when its parent goes away, and
takes the workers and the folder with it.
"""

from __future__ import annotations

import importlib
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostics.worker.child import serve
from diagnostics.worker.wire import FORK, NUMBER, WAIT

IDLE_SECONDS = 1.0
TASKS = Path("/proc/self/task")


def main(descriptor: int, entry: str, folder: Path, threads: int) -> None:
    """Serve the control socket until the parent closes it, then leave nothing behind."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    executor = _entry(entry)
    workers: set[int] = set()
    warming = executor.warm_up()
    is_cold = True
    while True:
        if is_cold and not select.select([control], [], [], IDLE_SECONDS)[0]:
            is_cold = next(warming, None) is not None
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1 + NUMBER.size, 1)
        if not message:
            break
        if message[:1] == FORK:
            workers.add(_fork(control, descriptors[0], executor, folder, threads))
        elif message[:1] == WAIT:
            worker = NUMBER.unpack(message[1:])[0]
            workers.discard(worker)
            status = _status(worker)
            shutil.rmtree(folder / str(worker), ignore_errors=True)
            control.sendall(NUMBER.pack(status))
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        _status(worker)
    shutil.rmtree(folder, ignore_errors=True)


def _entry(entry: str) -> Any:
    """Import what answers requests, and with it torch."""
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def _fork(
    control: socket.socket,
    descriptor: int,
    executor: Callable[[], Any],
    folder: Path,
    threads: int,
) -> int:
    if TASKS.exists() and len(list(TASKS.iterdir())) != 1:
        raise RuntimeError("The zygote has more than one thread and cannot be forked safely.")
    worker = os.fork()
    if worker == 0:
        control.close()
        with socket.socket(fileno=descriptor) as connection:
            code = serve(connection, executor, folder / str(os.getpid()), threads)
        os._exit(code)
    os.close(descriptor)
    control.sendall(NUMBER.pack(worker))
    return worker


def _status(worker: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    except ChildProcessError:
        return 0


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
