"""Several people on one server: reruns beside a long job, and a large model on its way to disk."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from torchvision.models import resnet18
from websockets.sync.client import connect

from diagnostics.data import samples
from diagnostics.errors import CancelledError, WorkerCrashedError
from diagnostics.schema.request import ModelSource, Request
from diagnostics.worker import WorkerRunner
from tests import serving
from tests.benchmarks.figure import Figure

PEOPLE, SECONDS = 20, 20
UPLOAD_MIB = 2048


def figures() -> Iterator[Figure]:
    """Yield what was measured."""
    yield from _reruns()
    yield from _upload()


def _reruns() -> Iterator[Figure]:
    """People who click every two seconds or so, while a long job runs in a worker beside them."""
    seconds: list[float] = []
    begin, end = threading.Event(), threading.Event()
    with serving.server() as (address, _), _long_job():
        people = [
            threading.Thread(target=_person, args=(address, number, seconds, begin, end))
            for number in range(PEOPLE)
        ]
        for person in people:
            person.start()
            time.sleep(0.3)
        time.sleep(5)
        begin.set()
        time.sleep(SECONDS)
        end.set()
        for person in people:
            person.join()
    percentiles = statistics.quantiles(seconds, n=20)
    what = f"reruns of {PEOPLE} people who click while a long job runs"
    counted = {"n": len(seconds), "of": "reruns", "low": min(seconds), "high": max(seconds)}
    yield Figure(f"{what}, median", statistics.median(seconds), "s", limit=1.0, **counted)
    yield Figure(f"{what}, 95 of 100", percentiles[-1], "s", limit=2.0, **counted)


def _person(
    address: str, number: int, seconds: list[float], begin: threading.Event, end: threading.Event
) -> None:
    """Open the page over the wire, and have it drawn anew again and again."""
    chance = random.Random(number)
    stream = f"{address.replace('http', 'ws')}/_stcore/stream"
    with connect(stream, subprotocols=["streamlit"], origin=address, max_size=None) as socket:
        _rerun(socket)
        begin.wait()
        while not end.is_set():
            time.sleep(chance.uniform(0.5, 3))
            seconds.append(_rerun(socket))


def _rerun(socket: object) -> float:
    asked = BackMsg()
    asked.rerun_script.query_string = ""
    socket.send(asked.SerializeToString())
    started = time.perf_counter()
    while True:
        told = ForwardMsg()
        told.ParseFromString(socket.recv(timeout=120))
        if told.WhichOneof("type") == "script_finished":
            return time.perf_counter() - started


class _long_job:  # noqa: N801
    """Keeps a worker busy while it is open."""

    def __enter__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        weights = Path(self._folder.name) / "resnet18.pth"
        torch.save(resnet18().state_dict(), weights)
        source = ModelSource(samples.file_at(weights), "torchvision/resnet18")
        photo = samples.image_files()["photo-raccoon"]
        self._runner = WorkerRunner()
        asked = Request("attribution/occlusion", source, (photo,), options={"stride": 4})
        self._thread = threading.Thread(target=self._work, args=(asked,), daemon=True)
        self._thread.start()

    def _work(self, asked: Request) -> None:
        try:
            self._runner.run(asked)
        except (CancelledError, WorkerCrashedError):
            return
        raise RuntimeError("The long job was not long enough.")

    def __exit__(self, *_: object) -> None:
        assert self._thread.is_alive(), "the long job ended before the people"
        self._runner.cancel()
        self._thread.join()
        self._folder.cleanup()


def _upload() -> Iterator[Figure]:
    """Send a file of random bytes, which is refused as a model once it is there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.pt"
        with path.open("wb") as file:
            for _ in range(UPLOAD_MIB // 16):
                file.write(os.urandom(2**24))
        with serving.server() as (address, process), serving.browser() as chrome:
            page = serving.open_page(chrome.new_page(), address)
            server = psutil.Process(process.pid)
            before = server.memory_info().rss / 2**20
            started = time.perf_counter()
            serving.choose_file(page, "open", path)
            page.locator("[role=dialog]").get_by_text("no model file").wait_for()
            took = time.perf_counter() - started
            grown = server.memory_info().rss / 2**20 - before
    yield Figure(f"a model of {UPLOAD_MIB} MiB to disk and looked at", took, "s", limit=60.0)
    yield Figure(f"what the server grows by, {UPLOAD_MIB} MiB", grown, "MiB", limit=100.0)
