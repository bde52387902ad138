"""Who is answered at all: this app's own pages, and nobody who asks how the server does."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from diagnostics.ui.server.headers import AsgiApp, Message, Receive, Send

CLOSED = "/_stcore/metrics"  # how many people there are, and how much memory their sessions take


class Access:
    """Refuses connections that another server's page opens, and closes what only we need to know.

    Streamlit compares names of hosts alone, and so takes a page that another program on this
    machine serves, at another port, for its own.

    Args:
        app: The app.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "websocket" and not is_own_page(scope["headers"]):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and scope["path"].rstrip("/").endswith(CLOSED):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, send)


def is_own_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a page of this very host and port asks; programs, which say nothing, may too.

    Args:
        headers: Of the request. No page can forge its Origin.
    """
    named = {name.lower(): value.decode("latin-1") for name, value in headers}
    origin = named.get(b"origin")
    return origin is None or urlsplit(origin).netloc == named.get(b"host")
