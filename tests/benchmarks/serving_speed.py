"""How fast the server, the first worker and an answer are there."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
from torchvision.models import resnet18

from diagnostics.data import noise, samples
from diagnostics.data.image import encode_png
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote
from tests import serving

DROPS = 5
WARM_SECONDS = 8  # by then the zygote has done in advance what a further worker needs


def figures() -> Iterator[tuple[str, float, float, str]]:
    """Yield what was measured, the value, its limit and its unit."""
    yield from _server()
    yield from _large_images()
    yield from _workers()


def _server() -> Iterator[tuple[str, float, float, str]]:
    started = time.perf_counter()
    with serving.server() as (address, process):
        yield "server ready", time.perf_counter() - started, 1.5, "s"
        with serving.browser() as chrome:
            page = serving.open_page(chrome.new_page(), address)
            what = f"image dropped until its answer is on the screen, letters, median of {DROPS}"
            yield what, _drops(page, 28, 1), 1.0, "s"
        server = psutil.Process(process.pid)
        yield "server memory", server.memory_info().rss / 2**20, 200.0, "MiB"
        maps = any("torch" in mapped.path for mapped in server.memory_maps())
        yield "libtorch mapped into the server (0 is no)", float(maps), 0.0, ""


def _large_images() -> Iterator[tuple[str, float, float, str]]:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "resnet18.pth"
        torch.save(resnet18().state_dict(), weights)
        photo = str(samples.image_files()["photo-raccoon"].path)
        named = (str(weights), photo, "--architecture", "torchvision/resnet18")
        with serving.server(arguments=named) as (address, _), serving.browser() as chrome:
            page = serving.open_page(chrome.new_page(), address)
            what = f"image dropped until its answer is on the screen, ResNet-18, median of {DROPS}"
            yield what, _drops(page, 224, 3), 1.0, "s"


def _drops(page: serving.Page, side: int, channels: int) -> float:
    """Drop images one after another, up to a full page; return the median of all but the first."""
    seconds = [_drop(page, side, channels, seed) for seed in range(DROPS + 1)]
    return statistics.median(seconds[1:])  # at the first, the browser loads what it needs


def _drop(page: serving.Page, side: int, channels: int, seed: int) -> float:
    """Drop one new image of noise and wait for its answer."""
    name = f"dropped-{seed}.png"
    page.locator(".st-key-add button").first.click()
    chooser = page.locator("[role=dialog] input[type=file]")
    chooser.wait_for(state="attached")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        values = noise.generate("uniform", side, side, channels, seed=seed + 99)
        path.write_bytes(encode_png(values[..., 0] if channels == 1 else values))
        started = time.perf_counter()
        chooser.set_input_files(str(path))
        page.locator(".cell", has_text=name).locator(".answer").wait_for()
    took = time.perf_counter() - started
    serving.settle(page)
    return took


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
