"""Headers with every answer: what the browser may load, and who may show our pages in a frame."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def policy(page: bytes) -> str:
    """Return what a page's browser may load.

    Scripts come from this server only, but for those that the page itself holds, by their hash;
    components bring theirs as blobs. Pictures lie in the page.

    Args:
        page: The page's HTML, as the server will send it.
    """
    digests = (hashlib.sha256(script).digest() for script in INLINE.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob: 'wasm-unsafe-eval' {scripts}".strip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "frame-ancestors 'self'",
        )
    )


class Headers:
    """Adds the headers to every answer of an ASGI app.

    Args:
        app: The app.
        page: The HTML of its one page.
    """

    def __init__(self, app: AsgiApp, page: bytes) -> None:
        self._app = app
        self._headers = (
            (b"content-security-policy", policy(page).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"SAMEORIGIN"),
            (b"referrer-policy", b"no-referrer"),  # addresses hold ids that open pages
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = dict(self._headers)
                theirs = [
                    header for header in message.get("headers", ()) if header[0].lower() not in ours
                ]
                message["headers"] = [*theirs, *self._headers]
            await send(message)

        await self._app(scope, receive, add)
