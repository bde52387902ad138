"""A model that lives in somebody's own process: asked through a socket, as a worker is asked."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from diagnostics.errors import WorkerCrashedError
from diagnostics.worker import wire
from diagnostics.worker.child import answer, requests
from diagnostics.worker.spawn import Worker


class _Connected(Worker):
    """A connection to the process that holds the model, which goes on when this ends."""

    def kill(self) -> None:
        """Hang up: the process drops the request when it next tells how far it is."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Live:
    """Where connections to that process come from, in place of a zygote.

    Args:
        path: The socket on which it listens.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.folder = Path(tempfile.mkdtemp(prefix="oversure-", dir=path.parent))

    def fork(self) -> Worker:
        """Connect.

        Raises:
            WorkerCrashedError: When the process is gone.
        """
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise WorkerCrashedError(
                "The process that holds this model has ended; call show again there."
            ) from None
        return _Connected(0, connection)

    def ended(self, worker: Worker) -> int:
        """Close a connection."""
        worker.connection.close()
        return 0


class Listener:
    """Answers requests about a model in this process, from threads of its own.

    Args:
        path: Where the socket is made; only this user may reach the folder.
        executor: Answers, to one thread at a time.
    """

    def __init__(self, path: Path, executor: Any) -> None:
        self._executor = executor
        self._turn = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread(self._accept)

    def close(self) -> None:
        """Answer nobody any more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _thread(self, target: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._thread(self._serve, self._socket.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError, wire.ProtocolError):
            for request, _ in requests(connection):
                with self._turn:
                    answer(connection, self._executor, request)
