"""How fast the server and an answer are there, and what the server holds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import torch
from torchvision.models import resnet18

from diagnostics.data import noise, samples
from diagnostics.data.image import encode_png
from tests import serving
from tests.benchmarks.figure import Figure, median
from tests.benchmarks.timing import beside

ROUNDS = 5
BESIDE_EMPTY, SERVER_SECONDS, DROP_SECONDS, SERVER_MIB = 1.2, 1.5, 1.0, 200.0


def figures() -> Iterator[Figure]:
    """Yield what was measured."""
    yield from _starts()
    with serving.server() as (address, process), serving.browser() as chrome:
        page = serving.open_page(chrome.new_page(), address)
        yield _dropped("letters", page, 28, 1)
        yield from _memory(process.pid)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "resnet18.pth"
        torch.save(resnet18().state_dict(), weights)
        photo = str(samples.image_files()["photo-raccoon"].path)
        named = (str(weights), photo, "--architecture", "torchvision/resnet18")
        with serving.server(arguments=named) as (address, _), serving.browser() as chrome:
            page = serving.open_page(chrome.new_page(), address)
            yield _dropped("ResNet-18", page, 224, 3)


def _starts() -> Iterator[Figure]:
    """Yield how long the server takes to answer, and how long Streamlit does with nothing on it."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text("import streamlit\n", "utf-8")

        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            seconds[0].append(_seconds_until_ready(serving.server()))
            seconds[1].append(_seconds_until_ready(serving.plain_server(empty)))
    yield median("server ready", seconds[0], "s", limit=SERVER_SECONDS)
    yield beside("server ready, beside Streamlit with an empty page", *seconds, limit=BESIDE_EMPTY)


def _seconds_until_ready(server: AbstractContextManager[object]) -> float:
    started = time.perf_counter()
    with server:
        return time.perf_counter() - started


def _memory(server: int) -> Iterator[Figure]:
    """Yield what a server holds that showed a page of answers, and whether torch is in it."""
    process = psutil.Process(server)
    yield Figure("server memory", process.memory_info().rss / 2**20, "MiB", limit=SERVER_MIB)
    maps = sum("torch" in mapped.path for mapped in process.memory_maps())
    yield Figure("files of torch mapped into the server", maps, "files", limit=0)


def _dropped(network: str, page: serving.Page, side: int, channels: int) -> Figure:
    """Drop images one after another, up to a full page; return what all but the first took."""
    seconds = [_drop(page, side, channels, seed) for seed in range(ROUNDS + 1)]
    what = f"image dropped until its answer is on the screen, {network}"
    return median(what, seconds[1:], "s", limit=DROP_SECONDS)  # the first loads what it needs


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
