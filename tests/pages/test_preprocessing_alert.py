"""A preprocessing that is known to be wrong is said on every page, with what mends it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diagnostics.cli.main import parser, session_defaults
from diagnostics.data import samples
from diagnostics.data.image import decode
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.ui.server.startup import SessionDefaults, configure
from tests.loaders import written
from tests.pages_for_tests import PAGES, RecordedRunner, fine, open_page

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

SOME = [page for page in PAGES if page.endswith(("inspect.py", "layers.py", "noise.py", "ood.py"))]


@pytest.fixture
def begun(app):
    """Return a function that starts the app as `oversure app MODEL IMAGE…` does."""

    def start(*arguments):
        configure(session_defaults(parser().parse_args(["app", *arguments])))
        return fine(app.run())

    yield start
    configure(SessionDefaults())


@pytest.fixture(scope="module")
def normed(tmp_path_factory):
    """A network with BatchNorm that remembers letters in 0..1, written without saying so."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    settings = Preprocessing(
        colour=False, fit="stretch", height=28, width=28, mean=(0.0,), std=(1.0,)
    )
    pixels = []
    for file in samples.image_files().values():
        with open(file.path, "rb") as stream:
            image = decode(stream.read(), file.name)
        pixels.append(torch.from_numpy(Pipeline(settings).run(image)))
    network.train()
    for _ in range(60):
        network(torch.stack(pixels))
    network.eval()
    return written.pt2(network, (1, 28, 28), tmp_path_factory.mktemp("m") / "normed.pt2")


def alerts(page):
    return [error.value for error in page.error]


def switches(page):
    return [button for button in page.button if (button.key or "").startswith("alert.")]


@pytest.mark.parametrize("name", SOME)
def test_a_page_does_not_keep_silent_about_settings_that_contradict_the_file(begun, name):
    model = samples.model_files()["letters_conv"].path
    page = open_page(begun(model, samples.image_files()["letter-p-thin"].path, "--invert"), name)
    assert any("invert on instead of off" in alert for alert in alerts(page))
    (switch,) = switches(page)
    page = fine(switch.click().run())
    assert not switches(page)
    assert not any("instead of" in alert for alert in alerts(page))


def test_images_that_batchnorm_does_not_remember_are_said_on_inspect(begun, normed):
    images = [file.path for file in samples.image_files().values()][:4]
    page = begun(str(normed), *images, "--value-range", "255")
    assert any("looks wrong" in alert for alert in alerts(page))
    (switch,) = switches(page)
    page = fine(switch.click().run())
    assert not switches(page)


def test_a_page_is_drawn_before_batchnorm_is_asked(begun, normed, monkeypatch):
    """Of strange images every way of preparing is tried, which takes many passes."""
    asked = []
    run = RecordedRunner.run

    def noted(self, request, watch=None):
        asked.append(request.method)
        return run(self, request, watch)

    monkeypatch.setattr(RecordedRunner, "run", noted)
    images = [file.path for file in samples.image_files().values()][:4]
    page = begun(str(normed), *images, "--value-range", "255")
    assert len(switches(page)) == 1
    assert asked == ["open", "inspect", "diagnosis/why", "preprocessing/preprocessing"]


def test_right_settings_are_no_alert(begun, normed):
    images = [file.path for file in samples.image_files().values()][:4]
    assert not switches(begun(str(normed), *images))


def test_an_edit_on_inspect_is_answered_in_the_same_run(begun):
    page = begun(samples.model_files()["letters_conv"].path)
    (invert,) = [box for box in page.checkbox if box.label == "Invert black and white"]
    page = fine(invert.check().run())
    assert len(switches(page)) == 1
    page = fine(switches(page)[0].click().run())
    assert not switches(page)
