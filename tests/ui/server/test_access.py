"""Only this app's own page is answered, and nobody learns how the server does."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from diagnostics.ui.server.access import Access

serving = pytest.importorskip("tests.serving")


@pytest.fixture
def browser():
    async def open_stream(socket):
        await socket.accept()
        await socket.send_text("open")

    def answer(_request):
        return PlainTextResponse("here")

    routes = [
        WebSocketRoute("/_stcore/stream", open_stream),
        Route("/_stcore/metrics", answer),
        Route("/deep/_stcore/metrics", answer),
        Route("/_stcore/health", answer),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Access)])
    with TestClient(app, base_url="http://localhost:8501") as client:
        yield client


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000",
        "http://localhost",
        "http://127.0.0.1:8501",
        "http://localhost:8501.evil.example",
        "http://evil.example",
        "null",
        "",
    ],
)
def test_a_page_at_another_port_opens_no_connection(browser, origin):
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect("/_stcore/stream", headers={"origin": origin}),
    ):
        pass


@pytest.mark.parametrize("headers", [{"origin": "http://localhost:8501"}, {}])
def test_the_apps_own_page_and_programs_open_one(browser, headers):
    headers = {"host": "localhost:8501", **headers}
    with browser.websocket_connect("/_stcore/stream", headers=headers) as stream:
        assert stream.receive_text() == "open"


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/deep/_stcore/metrics", "/_stcore/metrics/"])
def test_nobody_learns_how_the_server_does(browser, path):
    assert browser.get(path).status_code == 404
    assert browser.options(path).status_code == 404
    assert browser.get("/_stcore/health").text == "here"


@pytest.mark.slow
def test_the_server_that_is_launched_answers_its_own_page_alone():
    with serving.server() as (address, _):
        stream = f"{address.replace('http', 'ws')}/_stcore/stream"
        for origin in ("http://127.0.0.1:9", "http://localhost:3000", "http://127.0.0.1"):
            with (
                pytest.raises(InvalidStatus, match="403"),
                connect(stream, subprotocols=["streamlit"], origin=origin),
            ):
                pass
        with connect(stream, subprotocols=["streamlit"], origin=address):
            pass
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}/_stcore/metrics")
