"""What server, zygote and worker hold once all are gone, and after many models were opened."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
from PIL import Image

from diagnostics.data import samples
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote
from tests import serving
from tests.benchmarks.figure import Figure
from tests.pages_for_tests import PAGES
from tests.visitor import visit

RERUNS, VISITORS, OPENS, IMAGES = 200, 5, 200, 8
WARM_OPENS = 20  # that fill what a process keeps
WIDTH, HEIGHT = 6000, 4500
LIMIT_MIB = 50.0
GONE_SECONDS = 155  # a closed tab is kept for half a minute, what it brought for two more
NAMES = [Path(page).stem.partition("_")[2] for page in PAGES]


def figures() -> Iterator[Figure]:
    """Yield what was measured."""
    yield from _opened_in_workers()
    yield from _served()


def _opened_in_workers() -> Iterator[Figure]:
    """Yield what a zygote holds more after many workers, and a worker after many questions."""
    zygote, held = Zygote(), []
    lasting = WorkerRunner(zygote=zygote)
    for number in range(OPENS):
        passing = WorkerRunner(zygote=zygote)
        passing.run(_question(number))
        passing.close()
        lasting.run(_question(number))
        if number + 1 in (WARM_OPENS, OPENS):
            assert lasting.pid is not None
            held.append([_own_mib(pid) for pid in (zygote.process.pid, lasting.pid)])
    lasting.close()
    zygote.close()
    works = {"zygote": "workers that opened a model", "worker": "questions"}
    for (name, work), before, after in zip(works.items(), *held, strict=True):
        what = f"what a {name} holds more after {OPENS} {work} than after {WARM_OPENS}"
        yield Figure(what, after - before, "MiB", limit=LIMIT_MIB, remark=_in_all(after))


def _served() -> Iterator[Figure]:
    """Yield what servers hold more once all are gone; two servers, so that one wait is enough."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        model = str(samples.model_files()[samples.FIRST_MODEL].path)
        address, process = servers.enter_context(serving.server())
        arguments = (model, *_large_images(Path(folder)))
        other_address, other = servers.enter_context(serving.server(arguments=arguments))
        visit(address, NAMES)
        zygote = _zygote_of(process.pid)
        before = [_own_mib(pid) for pid in (process.pid, zygote)]
        visit(address, ["inspect"] * RERUNS)
        for _ in range(VISITORS):
            visit(address, NAMES)
        for _ in range(OPENS):
            visit(address, ["inspect"])
        visit(other_address, NAMES)
        time.sleep(GONE_SECONDS)
        after = [_own_mib(pid) for pid in (process.pid, zygote)]
        of_large = _own_mib(other.pid) - before[0]
    work = f"{OPENS} opens, {RERUNS} reruns and every page by {VISITORS} visitors"
    for name, start, end in zip(("server", "zygote"), before, after, strict=True):
        what = f"what the {name} holds more once all are gone: {work}"
        yield Figure(what, end - start, "MiB", limit=LIMIT_MIB, remark=_in_all(end))
    what = f"the same of a server whose visitor had {IMAGES} images of 27 megapixels on every page"
    yield Figure(what, of_large, "MiB", limit=LIMIT_MIB, remark="beside the other one, before")


def _question(number: int) -> Request:
    """Return what Inspect asks of the first sample model and one letter after the other."""
    images = [file for name, file in samples.image_files().items() if name.startswith("letter")]
    model = ModelSource(samples.model_files()[samples.FIRST_MODEL])
    return Request(INSPECT, model, (images[number % len(images)],), seed=number)


def _zygote_of(server: int) -> int:
    """Return the process id of the zygote among a server's children."""
    children = psutil.Process(server).children(recursive=True)
    return next(child.pid for child in children if "diagnostics.worker.zygote" in child.cmdline())


def _own_mib(pid: int) -> float:
    """Return the memory of a process that it shares with no other."""
    return float(psutil.Process(pid).memory_full_info().uss) / 2**20


def _in_all(mib: float) -> str:
    return f"{mib:.0f} MiB of its own in all"


def _large_images(folder: Path) -> list[str]:
    """Write photographs of noise, as large as those of a good camera."""
    paths = []
    for number in range(IMAGES):
        path = folder / f"large-{number}.jpg"
        small = Image.effect_noise((WIDTH // 50, HEIGHT // 50), 80 + number).convert("RGB")
        small.resize((WIDTH, HEIGHT)).save(path, quality=90)
        paths.append(str(path))
    return paths
