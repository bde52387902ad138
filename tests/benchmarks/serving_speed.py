"""How fast the server, the first worker and an answer are there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from diagnostics import noise, samples
from diagnostics.image import encode_png
from diagnostics.request import INSPECT, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote
from tests import serving

WARM_SECONDS = 8  # by then the zygote has done in advance what a further worker needs


def figures() -> Iterator[tuple[str, float, float, str]]:
    """Yield what was measured, the value, its limit and its unit."""
    yield from _server()
    yield from _workers()


def _server() -> Iterator[tuple[str, float, float, str]]:
    started = time.perf_counter()
    with serving.server() as (address, process):
        yield "server ready", time.perf_counter() - started, 1.5, "s"
        with serving.browser() as chrome:
            page = serving.opened(chrome.new_page(), address)
            yield "image dropped until its answer is on the screen", _drop(page), 1.0, "s"
        server = psutil.Process(process.pid)
        yield "server memory", server.memory_info().rss / 2**20, 200.0, "MiB"
        torch = any("torch" in mapped.path for mapped in server.memory_maps())
        yield "libtorch mapped into the server (0 is no)", float(torch), 0.0, ""


def _drop(page: serving.Page) -> float:
    """Drop one new image and wait for its answer."""
    page.locator(".st-key-add button").first.click()
    chooser = page.locator("[role=dialog] input[type=file]")
    chooser.wait_for(state="attached")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dropped.png"
        path.write_bytes(encode_png(noise.generate("uniform", 28, 28, 1, seed=99)[..., 0]))
        started = time.perf_counter()
        chooser.set_input_files(str(path))
        page.locator(".cell", has_text="dropped.png").locator(".answer").wait_for()
    return time.perf_counter() - started


def _workers() -> Iterator[tuple[str, float, float, str]]:
    model = ModelSource(samples.model_files()[samples.FIRST_MODEL])
    request = Request(INSPECT, model, (samples.image_files()[samples.FIRST_IMAGES[0]],))
    started = time.perf_counter()
    Zygote.start()
    first, further = WorkerRunner(), WorkerRunner()
    first.run(request)
    yield "first worker's first answer after start", time.perf_counter() - started, 5.0, "s"
    time.sleep(WARM_SECONDS)
    started = time.perf_counter()
    further.run(request)
    yield "a further worker's first answer", time.perf_counter() - started, 0.3, "s"
    first.close()
    further.close()
