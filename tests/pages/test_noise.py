"""The page of noise without a browser, and calibration after it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.schema.request import ModelSource
from tests.pages_for_tests import (
    button_labels,
    chart_titles,
    charts,
    fine,
    open_page,
    page_text,
    press,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

NOISE = "pages/2_trust/1_noise.py"
CALIBRATION = "pages/2_trust/3_calibration.py"
MODEL = ModelSource(samples.model_files()["letters_conv"])


@pytest.fixture
def on(app, sessions):
    """Return a function that opens a page."""
    return lambda name, **address: open_page(app, name, **address)


def test_without_a_folder_noise_is_compared_with_the_images_in_hand(on):
    page = on(NOISE)
    assert chart_titles(page)[0] == "Confidence in 386 images of noise, 3 real"
    assert "Sample folder" in button_labels(page)
    (multiselect,) = [widget for widget in page.multiselect if widget.label == "Noise of yours"]
    images = samples.image_files()
    assert multiselect.value == [images[name].sha256 for name in ("noise-uniform", "blank-black")]
    assert "This needs a folder with labels" in page_text(page)


def test_a_person_says_which_images_are_noise(on):
    page = on(NOISE)
    (multiselect,) = [widget for widget in page.multiselect if widget.label == "Noise of yours"]
    page = fine(multiselect.set_value([]).run())
    assert chart_titles(page)[0] == "Confidence in 384 images of noise, 5 real"
    page.multiselect(key="shown").set_value(page.multiselect(key="shown").value[:4])
    page = fine(page.run())
    assert chart_titles(page)[0] == "Confidence in 384 images of noise, 4 real"


def test_with_the_sample_folder_noise_is_followed_through_the_layers_once_wanted(on):
    page = press(on(NOISE), "Sample folder")
    assert not page.error
    assert chart_titles(page)[0] == "Confidence in 386 images of noise, 256 real"
    assert len(chart_titles(page)) == 3
    page = fine(page.toggle(key="noise.deep").set_value(True).run())
    assert chart_titles(page)[3] == "Uniform noise, nearest class mean (n = 32)"
    layers = charts(page)[3]["layout"]["xaxis"]["ticktext"]
    assert layers[0] == "conv1"
    assert layers[-1] == "fc2"


def test_the_axis_of_confidence_can_be_read_in_percent(on):
    page = fine(on(NOISE).toggle(key="noise.stretched").set_value(False).run())
    assert charts(page)[0]["layout"]["xaxis"]["title"]["text"] == "confidence (%)"


@pytest.mark.parametrize("folder", [False, True])
def test_the_surest_draws_open_in_inspect(on, sessions, folder):
    page = on(NOISE)
    if folder:
        page = press(page, "Sample folder")
    page = press(page, "Scrambled phases")
    assert page.title[0].value == "Inspect"
    names = [file.name for file in sessions[-1].shown_images()[:4]]
    assert all(name.startswith("draw ") and name.endswith(" phase.png") for name in names)


@pytest.mark.parametrize("label", ["Real images", "Your noise"])
def test_real_images_and_noise_of_ones_own_open_in_inspect(on, sessions, label):
    page = press(press(on(NOISE), "Sample folder"), label)
    assert page.title[0].value == "Inspect"
    names = [file.name for file in sessions[-1].shown_images()]
    assert ("noise-uniform.png" in names[:2]) == (label == "Your noise")


def test_draws_that_were_opened_are_neither_real_nor_a_persons_noise(on):
    page = press(on(NOISE), "Checkerboards")
    page = open_page(page, NOISE)
    real, own = 3, 1  # the blank image has no column any more
    assert chart_titles(page)[0] == f"Confidence in {384 + own} images of noise, {real} real"


def test_a_model_without_finite_answers_is_said(on, sessions, tmp_path):
    tensors = load_file(samples.model_files()["letters_dense"].path)
    tensors["fc4.bias" if "fc4.bias" in tensors else list(tensors)[-1]].fill_(float("nan"))
    save_file(tensors, tmp_path / "broken.safetensors")
    page = on(NOISE)
    sessions[-1].select_model(replace(MODEL, file=file_at(tmp_path / "broken.safetensors")))
    page = fine(page.run())
    assert "No answer to noise is finite." in page_text(page)
    assert not chart_titles(page)
    sessions[-1].in_distribution = samples.folders()["in_distribution"]
    page = page.run()
    page = open_page(page, CALIBRATION)
    assert "nothing can be measured" in page.error[0].value.replace("\\", "")


def test_a_folder_without_labels_is_said_without_a_trace(on, sessions, tmp_path):
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "one.png")
    page = on(CALIBRATION)
    sessions[-1].in_distribution = folder_file(tmp_path)
    page = fine(page.run())
    assert "No image of this folder has a label" in page.error[0].value.replace("\\", "")
    page = open_page(page, NOISE)
    assert chart_titles(page)[0] == "Confidence in 386 images of noise, 1 real"
    page = fine(page.toggle(key="noise.deep").set_value(True).run())
    assert "2 labelled images or more" in page.error[0].value.replace("\\", "")


def folder_file(folder: Path):
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.write(folder / "one.png", "one.png")
    return file_at(folder / "images.zip")
