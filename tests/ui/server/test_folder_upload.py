"""A whole folder through the browser: packed by the page, sent as one file, read by us."""

from __future__ import annotations

import base64
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnostics.data.folder import Folder

serving = pytest.importorskip("tests.serving")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not serving.chromium(), reason="Chromium is not installed"),
]

SENDER = serving.ROOT / "diagnostics" / "ui" / "widgets" / "sender"
LONG = f"{'c' * 13}/{'Größe 漢字 🙂 ' * 12}.png"
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


@pytest.fixture
def app(server):
    return server[0]


@pytest.fixture
def place(server):
    """Where the server keeps what it is sent."""
    return server[2]


@pytest.fixture
def page(page):
    page.on("filechooser", lambda _: None)  # so that it is caught from the first one on
    return page


def packed(page, files):
    """Pack files as the page does; return the name and the bytes of what it would send."""
    page.add_script_tag(content=(SENDER / "tar.js").read_text("utf-8"))
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    answer = page.evaluate(PACK, encoded)
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
        image = path / "abc"[index % 3] / f"Bild {index} ä.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(image)
    (path / "notes.txt").write_text("no image")
    return path


def dialog(page, address):
    """Open the dialog that brings a folder of known-good images."""
    page.set_default_timeout(serving.PATIENCE_MS)
    page.goto(f"{address}/ood?images=noise-uniform")
    serving.settle(page)
    page.get_by_role("button", name="Change", exact=True).click()  # the sample's are in hand
    page.locator(ZONE).wait_for()
    return page.locator("[role=dialog]")


def arrived(place):
    """Return what the server was sent and holds."""
    paths = [path for path in place.glob("oversure-*/uploads-*/*") if path.is_file()]
    return [path for path in paths if path.read_bytes()[:2] == b"PK" or tarfile.is_tarfile(path)]


def test_a_directory_that_is_chosen_arrives_as_it_is(app, page, place, tmp_path):
    source = images(tmp_path / "known letters")
    box = dialog(page, app)
    box.locator("input[webkitdirectory]").set_input_files(str(source))
    box.wait_for(state="hidden")
    page.get_by_text("known letters.tar").wait_for()
    (path,) = [path for path in arrived(place) if b"Bild 0" in path.read_bytes()]
    sent, truth = Folder(path), Folder(source)
    assert sent.entries == truth.entries
    assert len(sent.entries) == 6
    assert [sent.read(entry) for entry in sent.entries] == [
        truth.read(entry) for entry in truth.entries
    ]


def test_an_archive_that_is_chosen_is_sent_as_it_is(app, page, place, tmp_path):
    path = tmp_path / "strange.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in images(tmp_path / "f").rglob("*.png"):
            archive.write(image, image.relative_to(tmp_path))
    box = dialog(page, app)
    box.locator("input[type=file]").first.set_input_files(str(path))
    box.wait_for(state="hidden")
    page.get_by_text("strange.zip").wait_for()
    assert path.read_bytes() in [path.read_bytes() for path in arrived(place)]


def test_a_folder_that_is_dropped_is_sent_with_the_folders_in_it(app, page, place):
    tree = {
        "top.png": "1",
        "a": {f"{number}.png": "2" for number in range(7)},
        "b": {"deep": {"er": {"x.jpg": "3"}}, "empty": {}, "notes.txt": ""},
    }
    box = dialog(page, app)
    page.evaluate(DROP, [ZONE, {"dropped": tree}])
    box.wait_for(state="hidden")
    page.get_by_text("dropped.tar").wait_for()
    names = ["a/0.png", "a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png", "a/6.png"]
    names += ["b/deep/er/x.jpg", "top.png"]
    folders = [Folder(path) for path in arrived(place)]
    assert names in [[entry.name for entry in folder.entries] for folder in folders]


def test_what_is_no_folder_of_images_is_said_and_nothing_is_sent(app, page):
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    box = dialog(page, app)
    for tree, sentence in (
        ({"one": {"1.png": ""}, "two": {"1.png": ""}}, "Drop one folder, or one .zip or .tar."),
        ({"notes": {"a.txt": "", "labels.csv": ""}}, "notes holds no image; PNG, JPEG"),
        ({"1.png": ""}, "Drop one folder, or one .zip or .tar."),
    ):
        page.evaluate(DROP, [ZONE, tree])
        box.get_by_role("status").filter(has_text=sentence).wait_for()
    page.wait_for_timeout(200)
    assert "PUT" not in sent


def test_a_folder_is_chosen_and_cancelled_by_keyboard(app, page, tmp_path):
    """The dialog's first stop is the folder's button, the second that of archives."""
    source = images(tmp_path / "f")
    box = dialog(page, app)
    browse = box.get_by_role("button", name="Browse a folder: Known-good images")
    browse.focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.element.get_attribute("webkitdirectory") is not None
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    assert chooser.value.element.get_attribute("accept") == ".zip,.tar"
    page.route("**/upload/*", lambda route: None)  # it never gets there
    browse.focus()
    box.locator("input[webkitdirectory]").set_input_files(str(source))
    box.get_by_role("progressbar", name="Upload: Known-good images").wait_for()
    page.keyboard.press("Enter")
    box.get_by_role("status").filter(has_text="f.tar was cancelled.").wait_for()
    assert browse.evaluate("e => e === document.activeElement")


def test_a_model_is_sent_as_one_file_still(app, page):
    page.set_default_timeout(serving.PATIENCE_MS)
    serving.open_page(page, f"{app}/?images=noise-uniform")
    page.locator(".st-key-open button").first.click()
    zone = page.locator(ZONE)
    zone.wait_for()
    assert zone.get_by_role("button").all_inner_texts() == ["Browse"]
    assert not zone.locator("input[type=file]").first.get_attribute("accept")
    with page.expect_file_chooser() as chooser:
        zone.get_by_role("button").click()
    assert chooser.value.element.get_attribute("webkitdirectory") is None
