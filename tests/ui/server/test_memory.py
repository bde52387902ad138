"""What a session held goes with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

serving = pytest.importorskip("tests.serving")

SCRIPT = """
import gc, os, sys, threading, time, traceback, urllib.request
from collections import Counter

from diagnostics.ui.server import launch, memory
from diagnostics.ui.server.settings import ServerSettings
from diagnostics.ui.server.startup import SessionDefaults
from diagnostics.schema.request import Result
from diagnostics.ui.session.state import Session
from streamlit.runtime.app_session import AppSession
from tests.visitor import visit

memory.KEPT_SECONDS = 1.0
KINDS = (Session, Result, AppSession)
address = f"http://127.0.0.1:{sys.argv[1]}"

def held():
    gc.collect()
    return Counter(type(one) for one in gc.get_objects() if type(one) in KINDS)

def look():
    try:
        report()
    except Exception:
        traceback.print_exc()
    os._exit(0)

def report():
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    during = Counter()
    for pages in (["inspect"] * 3, ["inspect", "layers"]):
        visit(address, pages, leaving=lambda: during.update(held()))
    deadline = time.monotonic() + 60  # nobody comes meanwhile, which would have Streamlit tidy up
    while (held()[Result] or held()[AppSession] > 1) and time.monotonic() < deadline:
        time.sleep(1)
    left = held()
    print(during[Session], during[Result], left[AppSession], left[Result], flush=True)

threading.Thread(target=look, daemon=True).start()
launch.serve(ServerSettings(port=int(sys.argv[1])), SessionDefaults())
"""


@pytest.mark.slow
def test_of_a_session_that_is_gone_no_answer_is_left_in_memory():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(serving.ROOT)}
    command = [sys.executable, "-c", SCRIPT, str(port)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=240)
    sessions, results, sessions_left, results_left = map(int, done.stdout.split()[-4:])
    assert sessions >= 2
    assert results >= 2
    assert results_left == 0
    assert sessions_left <= 1  # Streamlit's own loop names the last one until somebody comes
