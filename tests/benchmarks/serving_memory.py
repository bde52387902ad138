"""What the server holds once all are gone: who looked, who opened, who brought large images."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from diagnostics.data import samples
from tests import serving
from tests.pages_for_tests import PAGES
from tests.visitor import visit

RERUNS, VISITORS, OPENS, IMAGES = 500, 20, 200, 8
WIDTH, HEIGHT = 6000, 4500
LIMIT_MIB = 50.0
GONE_SECONDS = 150  # what one brought is kept for two minutes after the page
NAMES = [Path(page).stem.partition("_")[2] for page in PAGES]


def figures() -> Iterator[tuple[str, float, float, str]]:
    """Yield what was measured, the value, its limit and its unit."""
    work = f"{RERUNS} reruns, every page by {VISITORS} visitors in turn and {OPENS} opens"
    with serving.server() as (address, process):
        visit(address, NAMES)
        before = settled_mib(process.pid)
        visit(address, ["inspect"] * RERUNS)
        for _ in range(VISITORS):
            visit(address, NAMES)
        for _ in range(OPENS):
            visit(address, ["inspect"])
        grown = settled_mib(process.pid) - before
        yield f"what the server holds more once they are gone, {work}", grown, LIMIT_MIB, "MiB"
    with tempfile.TemporaryDirectory() as folder:
        model = str(samples.model_files()[samples.FIRST_MODEL].path)
        images = large_images(Path(folder))
        with serving.server(arguments=(model, *images)) as (address, process):
            visit(address, ["inspect"])
            before = settled_mib(process.pid)
            visit(address, NAMES)
            grown = settled_mib(process.pid) - before
    what = f"the same, every page with {IMAGES} images of {WIDTH * HEIGHT / 1e6:.0f} megapixels"
    yield what, grown, LIMIT_MIB, "MiB"


def settled_mib(process: int) -> float:
    """Return the server's memory once the sessions have ended."""
    time.sleep(GONE_SECONDS)
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def large_images(folder: Path) -> list[str]:
    """Write photographs of noise, as large as those of a good camera."""
    paths = []
    for number in range(IMAGES):
        path = folder / f"large-{number}.jpg"
        small = Image.effect_noise((WIDTH // 50, HEIGHT // 50), 80 + number).convert("RGB")
        small.resize((WIDTH, HEIGHT)).save(path, quality=90)
        paths.append(str(path))
    return paths
