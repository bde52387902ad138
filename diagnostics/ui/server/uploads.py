"""Files that go from the browser straight to disk: a ticket for each, and the route for it.

A script issues a ticket, the browser sends one file to its address, the script takes the file.
Nobody can guess a ticket, and one that was used up is as unknown as one that never was.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MIB = 2**20
BATCH_BYTES = MIB  # written at once, in a thread: the event loop serves everybody
IDLE_SECONDS = 60  # without a byte, after which a connection counts as lost
LOCK_SECONDS = 5  # to wait for the file before
RESERVE_BYTES = 512 * MIB  # of the disk stay free
NAME_LENGTH = 200


@dataclass(frozen=True)
class Upload:
    """A file that arrived whole.

    Args:
        path: Where it lies; whoever takes it moves or deletes it.
        sha256: Hash of its bytes.
        size: How many bytes it has.
        name: How the browser calls it; never a path here.
    """

    path: Path
    sha256: str
    size: int
    name: str


class RefusedError(Exception):
    """An upload that is not taken: a status, and a sentence for the person."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass
class _Ticket:
    folder: Path
    limit: int
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    revoked: bool = False
    upload: Upload | None = None


_lock = threading.Lock()  # scripts run in threads of their own
_tickets: dict[str, _Ticket] = {}


def issue(folder: Path, limit: int) -> str:
    """Return a new ticket: for one file of at most `limit` bytes, to lie in a folder of ours."""
    token = secrets.token_hex(16)
    with _lock:
        _tickets[token] = _Ticket(folder, limit)
    return token


def take(token: str) -> Upload | None:
    """Return the file that came for a ticket, which is used up by that; None before it came."""
    with _lock:
        ticket = _tickets.get(token)
        if ticket is None or ticket.upload is None:
            return None
        del _tickets[token]
        return ticket.upload


def revoke(token: str) -> None:
    """Take a ticket back: what is under way for it ends, what nobody took is deleted."""
    with _lock:
        ticket = _tickets.pop(token, None)
        if ticket is None:
            return
        ticket.revoked = True
        if ticket.upload is not None:
            ticket.upload.path.unlink(missing_ok=True)


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """End uploads when the server is told to end, which would otherwise wait until they are done.

    uvicorn has set its handlers of signals by now, and will put back those before them.
    """
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _revoking(signal.getsignal(number), loop))
    yield
    _revoke_all()


def _revoking(handler: Any, loop: asyncio.AbstractEventLoop) -> Callable[[int, Any], None]:
    def handle(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(_revoke_all)  # not here: whom we interrupt may hold the lock
        handler(number, frame)

    return handle


def _revoke_all() -> None:
    for token in list(_tickets):
        revoke(token)


def routes() -> list[Route]:
    """Return the routes, with and without a base path.

    Streamlit puts `server.baseUrlPath` before its own routes only, and reads it later than we.
    """
    paths = ("/upload/{token}", "/{base:path}/upload/{token}")
    return [Route(path, _put, methods=["PUT"]) for path in paths]


def address(token: str, base: str = "") -> str:
    """Return where the browser sends the file for a ticket."""
    return "/".join(("", *filter(None, base.split("/")), "upload", token))


async def _put(request: Request) -> Response:
    try:
        _demand_own_page(request.headers)
        async with _locked(request.path_params["token"]) as ticket:
            upload = await _store(request, ticket)
    except RefusedError as refused:
        return _refusal(refused.status, refused.sentence)
    except OSError:
        return _refusal(507, "The server cannot write the file to its disk.")
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    return JSONResponse({"sha256": upload.sha256, "size": upload.size}, 201)


def _refusal(status: int, sentence: str) -> Response:
    """Answer without waiting for the rest; the browser reads the answer all the same."""
    return JSONResponse({"error": sentence}, status, {"Connection": "close"})


def _demand_own_page(headers: Mapping[str, str]) -> None:
    """Refuse what another site's page sends; no page can forge these headers.

    Browsers leave Sec-Fetch-Site out where a page came without TLS from another machine.
    """
    site = headers.get("sec-fetch-site")
    origin = urlsplit(headers.get("origin", "")).netloc
    ours = site == "same-origin" if site else origin and origin == headers.get("host")
    if not ours:
        raise RefusedError(403, "Files are taken from this app's own page only.")


@asynccontextmanager
async def _locked(token: str) -> AsyncIterator[_Ticket]:
    """Lock a ticket while its file comes: one file at a time."""
    ticket = _tickets.get(token)
    if ticket is None:
        raise _unknown()
    try:
        async with asyncio.timeout(LOCK_SECONDS):  # one that was just cancelled ends by itself
            await ticket.lock.acquire()
    except TimeoutError:
        raise RefusedError(409, "Another file is still on its way; cancel it first.") from None
    try:
        if ticket.upload is not None:
            raise _unknown()
        yield ticket
    finally:
        ticket.lock.release()


def _unknown() -> RefusedError:
    return RefusedError(404, "This page is out of date; reload it and choose again.")


async def _store(request: Request, ticket: _Ticket) -> Upload:
    """Write the body to disk as it comes; leave nothing there unless all of it came."""
    size = int(request.headers.get("content-length", 0))  # the server has checked its digits
    _demand_room(ticket, size, to_come=size)
    name = unquote(request.headers.get("x-file-name", ""))[:NAME_LENGTH] or "file"
    file = _PartialFile(ticket.folder)
    try:
        size = 0
        async for batch in _batches(request, ticket):
            size += sum(map(len, batch))
            _demand_room(ticket, size)
            await to_thread.run_sync(file.write, batch)
        await to_thread.run_sync(file.close)
        upload = Upload(file.path, file.digest.hexdigest(), size, name)
        with _lock:
            _demand_valid(ticket)
            ticket.upload = upload
    except BaseException:
        await _discard(file)
        raise
    return upload


def _demand_room(ticket: _Ticket, size: int, to_come: int = 0) -> None:
    if size > ticket.limit:
        limit = f"{ticket.limit / MIB:,.0f} MiB"
        raise RefusedError(413, f"The file is larger than {limit}, the most that is taken here.")
    if shutil.disk_usage(ticket.folder).free - to_come < RESERVE_BYTES:
        raise RefusedError(507, "The server has no room on its disk for the file.")


def _demand_valid(ticket: _Ticket) -> None:
    if ticket.revoked:
        raise RefusedError(410, "The upload was ended by the server.")


async def _batches(request: Request, ticket: _Ticket) -> AsyncIterator[list[bytes]]:
    """Gather what comes; many small writes would cost a thread's start each."""
    chunks = request.stream()
    batch: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise RefusedError(408, f"Nothing came for {IDLE_SECONDS} s; try again.") from None
        _demand_valid(ticket)
        if chunk is None:
            break
        batch.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


class _PartialFile:
    """A file that is being written, and its hash."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / secrets.token_hex(16)
        self.digest = hashlib.sha256()
        self._file = open(self.path, "xb", opener=_private)  # noqa: SIM115 (closed by name)

    def write(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self.digest.update(chunk)
            self._file.write(chunk)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # what could not be written cannot be flushed either
            self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


async def _discard(file: _PartialFile) -> None:
    with CancelScope(shield=True):
        await to_thread.run_sync(file.discard)  # a gigabyte takes a while to delete
