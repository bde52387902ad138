"""Fifty names that would be more than names, in every place where a file can bring one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests import serving
from tests.payloads import PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not serving.chromium(), reason="no Chromium")]
COUNT = len(PAYLOADS)
IMAGES = 5


def model(folder):
    """Write a network whose graph, nodes, values and weights all have such names."""
    from onnx import TensorProto, helper, save

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", COUNT])
    values = ["image", *(f"{name} {i}" for i, name in enumerate(PAYLOADS))]
    nodes = [
        helper.make_node("Sigmoid", [values[i]], [values[i + 1]], name)
        for i, name in enumerate(PAYLOADS)
    ]
    weight = helper.make_tensor(
        PAYLOADS[0], TensorProto.FLOAT, [3, COUNT], np.linspace(-1, 1, 3 * COUNT)
    )
    nodes += [
        helper.make_node("ReduceMean", [values[-1]], ["mean"], "mean", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", PAYLOADS[0]], ["scores"], "head"),
    ]
    graph = helper.make_graph(nodes, PAYLOADS[1], [image], [scores], [weight])
    path = folder / f"{PAYLOADS[0]} {PAYLOADS[36]}.onnx".replace("/", ":")
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=10), path)
    return path


def images(folder):
    """Write pictures whose names, and whose EXIF data, are such names; the last is none."""
    paths = []
    for index in range(IMAGES):
        name = PAYLOADS[index * 9].replace("/", ":").replace("\n", " ")[:100]
        path = folder / f"{index} {name}.jpg"
        exif = Image.Exif()
        exif[0x010E] = exif[0x013B] = exif[0x0131] = "".join(PAYLOADS[:20])
        Image.fromarray(np.full((8, 8, 3), 40 * index, np.uint8)).save(path, exif=exif)
        paths.append(path)
    paths[-1].write_bytes(b"no image")
    return paths


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("names")
    (folder / "classes.json").write_text(json.dumps(list(PAYLOADS)))
    files = [str(model(folder)), *map(str, images(folder))]
    with serving.server(arguments=[*files, "--classes", str(folder / "classes.json")]) as served:
        yield served[0]


@pytest.fixture
def watched(app, page):
    """A page, and what it asked of others or opened."""
    strange = []
    ours = (app, app.replace("http", "ws"), "data:", "blob:", "file:")
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(ours) else strange.append(asked.url),
    )
    page.on("dialog", lambda dialog: strange.append(dialog.message) or dialog.dismiss())
    page.on("popup", lambda popup: strange.append(popup.url))
    return page, strange


@pytest.mark.parametrize("place", ["inspect", "layers", "attributions"])
def test_no_name_runs_or_asks_for_anything(app, watched, place, tmp_path):
    page, strange = watched
    serving.open_page(page, f"{app}/{'' if place == 'inspect' else place}?top=20")
    serving.settle(page)
    for name in ("The model", "Numbers", "Class"):
        shown = page.get_by_text(name, exact=False).first
        if shown.count() and shown.is_visible():
            shown.click()
            serving.settle(page)  # a dialog is there once the script has run
            page.keyboard.press("Escape")
            serving.settle(page)
    if place == "inspect":
        shown_names = set(page.locator(".bar .name").all_inner_texts())
        assert len(shown_names & {" ".join(name.split()) for name in PAYLOADS}) >= 15
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    report = tmp_path / "report.html"
    download.value.save_as(report)
    page.goto(report.as_uri())
    page.wait_for_timeout(500)
    assert page.locator("body").count() == 1
    assert not strange
    foreign = "iframe, object, embed, base, form, svg script, [onerror], [onload], [onfocus]"
    assert page.locator(f"body :is({foreign})").count() == 0
