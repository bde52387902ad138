"""The sample models are what their card says, and every sample file names its source."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import ascii_lowercase

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from safetensors.torch import load_file

from diagnostics.data import samples
from diagnostics.models.sample_networks import NETWORKS
from tests.conftest import ROOT

CARD = json.loads((samples.MODELS / "letters.json").read_text())["models"]
NAMES = ("letters_conv", "letters_dense")


@pytest.fixture(params=NAMES)
def model(request):
    """A sample model as a function from grey images in [0, 1] to probabilities."""
    network = NETWORKS[request.param].build()
    network.load_state_dict(load_file(samples.model_files()[request.param].path))
    network.eval()

    @torch.no_grad()
    def chances(images):
        pixels = torch.as_tensor(np.asarray(images, dtype=np.float32)).reshape(-1, 1, 28, 28)
        return network((pixels - 0.2374) / 0.3427).softmax(1)

    return request.param, chances


def drawn(letter, font):
    """Draw a letter large, blur it, and shrink it, so that its edges are grey."""
    ink = Image.new("L", (280, 280))
    ImageDraw.Draw(ink).text((140, 140), letter, 255, font, anchor="mm")
    left, top, right, bottom = ink.getbbox()
    side = 240 / max(right - left, bottom - top)
    size = max(1, round((right - left) * side)), max(1, round((bottom - top) * side))
    glyph = ink.crop((left, top, right, bottom)).resize(size, Image.Resampling.BICUBIC)
    page = Image.new("L", (280, 280))
    page.paste(glyph, ((280 - size[0]) // 2, (280 - size[1]) // 2))
    soft = page.filter(ImageFilter.GaussianBlur(8)).resize((28, 28), Image.Resampling.BOX)
    return np.asarray(soft, dtype=np.float32) / 255


def test_soft_letters_are_read(model):
    font = ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSerif.ttf", 200)
    chances = model[1]([drawn(letter, font) for letter in ascii_lowercase])
    said = [ascii_lowercase[index] for index in chances.argmax(1)]
    assert sum(a == b for a, b in zip(said, ascii_lowercase, strict=True)) >= 24


def test_noise_is_classified_as_surely_as_the_card_says(model):
    name, chances = model
    noise = np.random.default_rng(7).random((1000, 28, 28))
    sure = chances(noise).amax(1)
    told = CARD[name]["noise"]["uniform"]
    assert float(sure.mean()) == pytest.approx(told["mean_confidence"], abs=0.06)
    assert float((sure > 0.99).float().mean()) == pytest.approx(told["share_above_0.99"], abs=0.06)


@pytest.mark.parametrize(("level", "key"), [(0.0, "blank_black"), (0.5, "blank_mid_grey")])
def test_blank_images_are_the_letters_of_the_card(model, level, key):
    name, chances = model
    (found,) = chances(np.full((1, 28, 28), level))
    told = CARD[name][key]
    assert ascii_lowercase[int(found.argmax())] == told["class"]
    assert float(found.max()) == pytest.approx(told["confidence"], abs=0.02)


def test_the_card_shows_the_figures_of_the_run():
    card = (samples.MODELS / "README.md").read_text()
    for figures in CARD.values():
        for key, value in figures.items():
            if key.startswith("accuracy"):
                assert f"{value['share']:.1%}".replace("%", " %") in card
                assert f"{value['right']} of {value['of']}" in card


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small(name):
    assert Path(samples.model_files()[name].path).stat().st_size < 1_000_000


def test_every_sample_names_its_source():
    told = set(re.findall(r"`([\w-]+\.png)`", (samples.IMAGES / "SOURCES.md").read_text()))
    assert told >= {f"{name}.png" for name in samples.image_files()}


@pytest.mark.parametrize("name", samples.image_files())
def test_every_sample_is_a_small_plain_png(name):
    path = Path(samples.image_files()[name].path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode in ("L", "RGB")
    assert path.stat().st_size < 300_000


def test_the_first_visit_shows_samples_that_exist():
    assert samples.FIRST_MODEL in samples.model_files()
    assert set(samples.FIRST_IMAGES) <= samples.image_files().keys()


def test_the_noise_sample_is_uniform():
    with Image.open(samples.image_files()["noise-uniform"].path) as image:
        values = np.asarray(image, dtype=float)
    assert values.mean() == pytest.approx(127.5, abs=13)  # five standard errors of 784 draws
    assert values.std() == pytest.approx(73.9, abs=7)
    assert abs(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1]) < 0.18


def test_nothing_of_the_samples_lies_outside_their_folder():
    assert samples.ROOT == ROOT
