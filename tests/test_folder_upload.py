"""A whole folder through the browser: packed by the page, sent as one file, read by us."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnostics.folder import Folder

serving = pytest.importorskip("tests.serving")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not serving.chromium(), reason="Chromium is not installed"),
]

SENDER = serving.ROOT / "diagnostics" / "ui" / "sender"
LONG = f"c/{'Größe 漢字 🙂 ' * 14}.png"
FILES = {
    "b/2.png": bytes(range(256)) * 8,
    "a/10.jpeg": b"one byte more than two blocks".ljust(1025, b"."),
    "a/empty.PNG": b"",
    f"{'d' * 95}/x.png": b"a hundred and one bytes of name",
    f"{'d' * 94}/x.png": b"a hundred",
    LONG: b"unicode",
    "labels.csv": "b/2.png,ä\n".encode(),
}
OTHERS = {"notes.txt": b"x", ".DS_Store": b"x", "__MACOSX/a/1.png": b"x", "a/.1.png": b"x"}

PACK = """async (files) => {
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const chosen = Object.entries(files).map(([path, text]) => {
    const file = new File([bytes(text)], path.split("/").pop());
    Object.defineProperty(file, "webkitRelativePath", { value: `my folder/${path}` });
    return file;
  });
  const tar = packed(chosenIn(chosen));
  if (!tar) return null;
  const content = new Uint8Array(await tar.arrayBuffer());
  return [tar.name, btoa(Array.from(content, (byte) => String.fromCharCode(byte)).join(""))];
}"""

# Stands for what the browser makes of a dropped folder; it gives entries in batches, then none.
DROP = """([zone, tree]) => {
  const entry = (name, inside) => ({
    name,
    isDirectory: typeof inside === "object",
    file: (done) => done(new File([inside], name)),
    createReader() {
      const left = Object.entries(inside).map(([one, below]) => entry(one, below));
      return { readEntries: (done) => setTimeout(() => done(left.splice(0, 2))) };
    },
  });
  const items = Object.entries(tree).map(([name, inside]) => {
    const one = entry(name, inside);
    return { webkitGetAsEntry: () => one };
  });
  const files = Object.entries(tree).map(([name, inside]) => new File([String(inside)], name));
  const event = new Event("drop", { bubbles: true, cancelable: true });
  event.dataTransfer = { items, files };
  document.querySelector(zone).dispatchEvent(event);
}"""
ZONE = "[role=dialog] .straight-upload .zone"


@pytest.fixture(scope="module")
def app():
    with serving.server() as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def chrome():
    with serving.browser() as started:
        yield started


@pytest.fixture
def page(chrome):
    context = chrome.new_context(viewport={"width": 1440, "height": 1000})
    yield context.new_page()
    context.close()


def packed(page, files):
    """Pack files as the page does; return the name and the bytes of what it would send."""
    page.add_script_tag(content=(SENDER / "tar.js").read_text("utf-8"))
    given = {name: base64.b64encode(content).decode() for name, content in files.items()}
    answer = page.evaluate(PACK, given)
    return answer and (answer[0], base64.b64decode(answer[1]))


def test_a_folder_is_packed_as_a_tar_that_python_reads(page, tmp_path):
    assert len(LONG) == 150 < len(LONG.encode())
    name, content = packed(page, {**FILES, **OTHERS})
    assert name == "my folder.tar"
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    assert members == FILES
    path = tmp_path / "f"
    path.write_bytes(content)
    folder = Folder(path)
    images = {name: content for name, content in FILES.items() if not name.endswith(".csv")}
    assert {entry.name: folder.read(entry) for entry in folder.entries} == images
    assert folder.labels(["o", "ä"]).names == {"ä": 1}


def test_the_system_tar_reads_it_too(page, tmp_path):
    import subprocess

    _, content = packed(page, FILES)
    (tmp_path / "f").write_bytes(content)
    subprocess.run(["tar", "-xf", "f"], cwd=tmp_path, check=True, capture_output=True)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


def test_the_same_folder_gives_the_same_bytes(page):
    assert packed(page, FILES) == packed(page, dict(reversed(FILES.items())))


def test_a_folder_without_an_image_gives_nothing(page):
    assert packed(page, {"labels.csv": b"1.png,a", **OTHERS}) is None


def images(path: Path, count: int = 6) -> Path:
    """Write images in folders of classes, and what is no image."""
    for index in range(count):
        values = np.random.default_rng(index).integers(0, 256, (28, 28), dtype=np.uint8)
        place = path / "abc"[index % 3] / f"Bild {index} ä.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(place)
    (path / "notes.txt").write_text("no image")
    return path


def dialog(page, address):
    """Open the dialog that brings a folder of known-good images."""
    page.set_default_timeout(serving.PATIENCE_MS)
    page.goto(f"{address}/novelty")
    page.locator(".st-key-bring\\.known button, [class*='st-key-bring-known'] button").first.click()
    page.locator(ZONE).wait_for()
    return page.locator("[role=dialog]")
