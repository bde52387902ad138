"""Start the server: Streamlit in this process, the worker's zygote beside it."""

from __future__ import annotations

import importlib.util
import os
import socket
import stat
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from diagnostics.data.samples import ROOT
from diagnostics.errors import InputError
from diagnostics.schema import toml
from diagnostics.ui.server import uploads
from diagnostics.ui.server.access import Access
from diagnostics.ui.server.headers import Headers
from diagnostics.ui.server.settings import ServerSettings
from diagnostics.ui.server.startup import SessionDefaults, configure
from diagnostics.worker import Zygote, selftest
from diagnostics.worker.sandbox import Level

SIGN_IN = (
    "redirect_uri",
    "cookie_secret",
    "client_id",
    "client_secret",
    "server_metadata_url",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def demand_sandbox(address: str, *, programs: bool = False) -> None:
    """Refuse to offer the app to others, or to run programs, where the sandbox is not strict.

    Args:
        address: Address to listen on.
        programs: Whether files that are programs may run.

    Raises:
        InputError: When there is not the sandbox that this needs.
    """
    if address in LOOPBACK and not programs:
        return
    level = selftest.outcome().level
    if level is Level.STRICT:
        return
    what = (
        "TorchScript programs run" if programs else f"The app is offered to others, at {address},"
    )
    raise InputError(
        f"{what} only where the sandbox is strict, and here it is {level}; use 127.0.0.1 without "
        "programs, and see `oversure doctor` for what is missing."
    )


def demand_sign_in(settings: ServerSettings) -> None:
    """Hold whoever asks for sign-in to what Streamlit needs for it.

    Raises:
        InputError: When the file or the library is missing.
    """
    if settings.sign_in is None:
        return
    try:
        auth = toml.loads(settings.sign_in.read_text("utf-8")).get("auth", {})
    except (OSError, ValueError) as error:
        raise InputError(f"{settings.sign_in.name} cannot be read: {error}.") from None
    missing = [name for name in SIGN_IN if not auth.get(name)]
    if missing:
        raise InputError(
            f"{settings.sign_in.name} needs a table [auth] with {', '.join(SIGN_IN)}; missing: "
            f"{', '.join(missing)}."
        )
    if importlib.util.find_spec("authlib") is None:
        raise InputError("Signing in needs authlib: pip install 'oversure[sign-in]'.")


def send_at_once() -> None:
    """Let connections to the sockets on which this process listens send small packets at once.

    Otherwise what follows a first small packet waits until that one is confirmed, which browsers
    put off for 40 ms. asyncio sees to it only for sockets that were made with TCP's number, and
    Streamlit's is not.
    """
    opened = Path("/dev/fd")
    for descriptor in map(int, os.listdir(opened)) if opened.exists() else ():
        with suppress(OSError):  # of the list itself, which is closed by now
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as ours:
                is_tcp = ours.family in (socket.AF_INET, socket.AF_INET6)
                if is_tcp and ours.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def serve(settings: ServerSettings, defaults: SessionDefaults) -> int:
    """Serve the app until it is interrupted.

    Args:
        settings: Where, and how it is shared.
        defaults: What every session begins with.

    Returns:
        The exit code.
    """
    Zygote.start(settings.threads)
    threading.Thread(target=selftest.outcome, daemon=True).start()  # pages will ask for it
    configure(defaults, settings)
    os.chdir(ROOT)
    import streamlit
    from starlette.middleware import Middleware
    from streamlit.runtime.pages_manager import PagesManager

    from diagnostics.ui.server import memory

    memory.configure()

    # Otherwise Streamlit does not know our pages before the first visit, because of the folder's
    # name, and tells the first visitor that a page that was linked to does not exist.
    PagesManager.uses_pages_directory = False

    sys.argv[:] = [str(ROOT / "app.py")]  # beside which Streamlit looks for its settings
    page = Path(streamlit.__file__).with_name("static") / "index.html"
    headers = Middleware(Headers, page=page.read_bytes())

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        send_at_once()
        async with uploads.lifespan(app), memory.lifespan(app):
            yield

    app = streamlit.App(
        ROOT / "app.py",
        routes=uploads.routes(),
        lifespan=lifespan,
        middleware=[headers, Middleware(Access)],
    )
    app.run(config=settings.config())
    return 0
