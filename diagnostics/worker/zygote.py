"""The zygote: torch imported once, forked for every worker; it never sees a person's bytes.

Run as `python -m diagnostics.worker.zygote FD ENTRY FOLDER`. On its control socket it understands
two requests: "fork", with a worker's socket attached, answered by the worker's process id; and
"wait" for an ended worker, answered by its exit status. It ends when its parent goes away, and
takes the workers and the folder with it. Meanwhile it watches over what workers print and write.
"""

from __future__ import annotations

import importlib
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diagnostics.worker.child import serve
from diagnostics.worker.watchdog import Watchdog
from diagnostics.worker.wire import FORK, NUMBER, OVER_DISK, WAIT

IDLE_SECONDS = 1.0
TASKS = Path("/proc/self/task")


def main(descriptor: int, entry: str, folder: Path, threads: int) -> None:
    """Serve the control socket until the parent closes it, then leave nothing behind."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    workers: dict[int, Watchdog] = {}
    try:
        _serve(control, _entry(entry), folder, threads, workers)
    except ConnectionError:  # the server ended while it was answered
        pass
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            _status(worker)
        shutil.rmtree(folder, ignore_errors=True)


def _serve(
    control: socket.socket, executor: Any, folder: Path, threads: int, workers: dict[int, Watchdog]
) -> None:
    """Fork workers and tell how they ended, and watch over them meanwhile."""
    warming = executor.warm_up()
    next(warming, None)
    looked = time.monotonic()
    while True:
        outputs: list[Any] = [worker.output for worker in workers.values() if worker.may_print]
        ready = select.select([control, *outputs], [], [], IDLE_SECONDS)[0]
        is_due = time.monotonic() - looked > IDLE_SECONDS
        looked = time.monotonic() if is_due else looked
        _watch_over(workers, ready, is_due)
        if not ready:
            next(warming, None)
        if control not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1 + NUMBER.size, 1)
        if not message:
            return
        if message[:1] == FORK:
            _fork(control, descriptors[0], executor, folder, threads, workers)
        elif message[:1] == WAIT:
            worker_id = NUMBER.unpack(message[1:])[0]
            status = _status(worker_id)
            ended = workers.pop(worker_id, None)
            if ended is not None:
                ended.close()
                status = OVER_DISK if ended.is_over_disk else status
            control.sendall(NUMBER.pack(status))


def _watch_over(workers: Mapping[int, Watchdog], ready: Sequence[Any], is_due: bool) -> None:
    for worker in workers.values():
        if worker.output in ready:
            worker.pass_on()
        if is_due:
            worker.watch()


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
    workers: dict[int, Watchdog],
) -> None:
    if TASKS.exists() and len(list(TASKS.iterdir())) != 1:
        raise RuntimeError("The zygote has more than one thread and cannot be forked safely.")
    home = folder / f"home-{secrets.token_hex(16)}"  # whose name no other worker can guess
    output, theirs = os.pipe()
    worker = os.fork()
    if worker == 0:
        code = 1
        try:
            for number in (1, 2):
                os.dup2(theirs, number)
            for number in (theirs, output, *(other.output for other in workers.values())):
                os.close(number)
            control.close()
            with socket.socket(fileno=descriptor) as connection:
                code = serve(connection, executor, home, threads)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for number in (theirs, descriptor):
        os.close(number)
    workers[worker] = Watchdog(worker, home, output)
    control.sendall(NUMBER.pack(worker))


def _status(worker: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    except ChildProcessError:
        return 0


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
