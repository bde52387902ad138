"""What a session held goes with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests import serving

SCRIPT = """
import gc, os, sys, threading, time, urllib.request

from diagnostics.ui.server import launch, memory
from diagnostics.ui.server.settings import ServerSettings
from diagnostics.ui.server.startup import SessionDefaults
from tests.benchmarks.serving_memory import visit

address = f"http://127.0.0.1:{sys.argv[1]}"

def held():
    memory.release()
    names = (type(one).__name__ for one in gc.get_objects())
    return Counter(name for name in names if name in ("Session", "Result", "AppSession"))

def look():
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    during = Counter()
    for pages in (["inspect"] * 3, ["inspect", "layers"]):
        visit(address, pages, leaving=lambda: during.update(held()))
    deadline = time.monotonic() + 30
    while held() and time.monotonic() < deadline:
        time.sleep(1)
    print(during["Session"], during["Result"], *held().values(), flush=True)
    os._exit(0)

threading.Thread(target=look, daemon=True).start()
launch.serve(ServerSettings(port=int(sys.argv[1])), SessionDefaults())
"""


@pytest.mark.slow
def test_of_a_session_that_is_gone_no_answer_is_left_in_memory():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(serving.ROOT),
        "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1",
    }
    command = [sys.executable, "-c", SCRIPT, str(port)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=240)
    sessions, results, *left = map(int, done.stdout.split())
    assert sessions >= 2
    assert results >= 2
    assert not left
