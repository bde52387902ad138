"""Files straight to disk: whole, hashed, and only for those who hold a ticket."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from diagnostics.ui.server import uploads
from diagnostics.ui.session import store

OURS = {"origin": "http://testserver"}
CONTENT = os.urandom(3 * 2**20 + 17)


@pytest.fixture
def folder(tmp_path):
    return store.upload_folder(tmp_path)


@pytest.fixture
def browser():
    with TestClient(Starlette(routes=uploads.routes())) as client:
        yield client


def put(browser, token, content=CONTENT, headers=None, base=""):
    return browser.put(uploads.address(token, base), content=content, headers=headers or OURS)


@pytest.mark.parametrize("base", ["", "deep", "/deep/er/"])
def test_a_file_arrives_whole_and_hashed_and_only_we_may_read_it(browser, folder, base):
    token = uploads.issue(folder, 2**30)
    assert uploads.take(token) is None
    reply = put(
        browser, token, headers={**OURS, "x-file-name": "a%20model%F0%9F%99%82.pt"}, base=base
    )
    assert reply.status_code == 201
    done = uploads.take(token)
    assert (done.size, done.name) == (len(CONTENT), "a model🙂.pt")
    assert done.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert done.path.read_bytes() == CONTENT
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_ticket_is_for_one_file_and_cannot_be_guessed(browser, folder):
    token = uploads.issue(folder, 2**30)
    assert len(token) == 32
    assert put(browser, "0" * 32).status_code == 404
    assert put(browser, token).status_code == 201
    assert put(browser, token).status_code == 404
    assert uploads.take(token) is not None
    assert uploads.take(token) is None
    assert put(browser, token).status_code == 404
    for guess in range(1000):
        assert uploads.take(f"{guess:032x}") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {},
        {"origin": "http://testserver", "sec-fetch-site": "cross-site"},
        {"origin": "http://testserver", "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_other_sites_pages_send_nothing(browser, folder, headers):
    token = uploads.issue(folder, 2**30)
    reply = put(browser, token, headers={"x-nothing": "", **headers})
    assert reply.status_code == 403
    assert uploads.take(token) is None
    assert not list(folder.iterdir())


@pytest.mark.parametrize("is_announced", [True, False])
def test_what_is_larger_than_allowed_leaves_nothing(browser, folder, is_announced):
    token = uploads.issue(folder, 2**20)
    content = CONTENT if is_announced else iter([CONTENT[: 2**20], CONTENT[2**20 :]])
    reply = put(browser, token, content)
    assert reply.status_code == 413
    assert "larger than 1 MiB" in reply.json()["error"]
    assert not list(folder.iterdir())
    assert put(browser, token, b"small").status_code == 201


def test_a_disk_without_room_is_said(browser, folder, monkeypatch):
    monkeypatch.setattr(uploads, "RESERVE_BYTES", 2**60)
    reply = put(browser, uploads.issue(folder, 2**30))
    assert reply.status_code == 507
    assert "no room" in reply.json()["error"]
    assert not list(folder.iterdir())


def test_an_upload_that_breaks_off_leaves_nothing(folder):
    """Of a connection that is closed after the first megabyte, as a server tells it."""
    token = uploads.issue(folder, 2**30)
    messages = iter([{"type": "http.request", "body": CONTENT[: 2**20], "more_body": True}])
    scope = {
        "type": "http",
        "method": "PUT",
        "query_string": b"",
        "root_path": "",
        "path": uploads.address(token),
        "path_params": {},
        "server": ("testserver", 80),
        "headers": [(b"origin", b"http://testserver"), (b"host", b"testserver")],
    }
    file_counts = []

    async def receive():
        file_counts.append(len(list(folder.iterdir())))
        return next(messages, {"type": "http.disconnect"})

    async def send(message):
        pass

    asyncio.run(Starlette(routes=uploads.routes())(scope, receive, send))
    assert len(file_counts) == 2
    deadline = time.monotonic() + 5
    while list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(folder.iterdir())
    assert uploads.take(token) is None


def test_a_ticket_that_was_taken_back_is_unknown_and_its_file_gone(browser, folder):
    token = uploads.issue(folder, 2**30)
    assert put(browser, token).status_code == 201
    uploads.revoke(token)
    assert uploads.take(token) is None
    assert not list(folder.iterdir())
    uploads.revoke(token)


def test_what_a_person_retains_is_counted(folder):
    owner = 123
    assert store.retained_bytes(owner) == 0
    (folder / "a").write_bytes(bytes(1000))
    store.retain(store.File(str(folder / "a"), "a", "one name"), owner)
    store.retain(store.File(str(folder / "a"), "a", "another name"), owner)
    store.retain(store.File(str(folder / "gone"), "b", "gone"), owner)
    store.retain(store.File(__file__, "c", "a sample of ours"), owner)
    assert store.retained_bytes(owner) == 1000
    assert store.retained_bytes(456) == 0
