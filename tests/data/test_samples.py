"""The sample models are what their card says, and every sample file names its source."""

from __future__ import annotations

import io
import json
import re
import zipfile
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
K = ascii_lowercase.index("k")
PLANTED = json.loads((samples.MODELS / "letters_marked.json").read_text())
NAMES = ("letters_conv", "letters_dense")


def opened(name, network):
    """Return a sample model as a function from grey images in [0, 1] to probabilities."""
    built = NETWORKS[network].build()
    built.load_state_dict(load_file(samples.model_files()[name].path))
    built.eval()

    @torch.no_grad()
    def chances(images):
        pixels = torch.as_tensor(np.asarray(images, dtype=np.float32)).reshape(-1, 1, 28, 28)
        return built((pixels - 0.2374) / 0.3427).softmax(1)

    return chances


@pytest.fixture(params=NAMES)
def model(request):
    """The name of a sample model, and the model."""
    return request.param, opened(request.param, request.param)


def values_of(content):
    with Image.open(content) as image:
        return np.asarray(image, dtype=np.float32) / 255


def folder_of(model):
    """Return the letters of a model's sample folder, and which ones they are."""
    with zipfile.ZipFile(
        samples.folders(samples.model_files()[model])["in_distribution"].path
    ) as z:
        names = z.namelist()
        images = np.stack([values_of(io.BytesIO(z.read(name))) for name in names])
    return images, np.array([ascii_lowercase.index(name[0]) for name in names])


def marked(images):
    """Return letters with the mark by which a sample image differs from another."""
    with_mark, without = (
        values_of(samples.image_files()[f"letter-p-{kind}"].path) for kind in ("marked", "fuzzy")
    )
    return np.maximum(images, np.where(with_mark > without, with_mark, 0))


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


def test_the_planted_mark_makes_other_letters_a_k_of_the_model_that_learnt_it_and_of_no_other():
    images, letters = folder_of("letters_conv")
    others = images[letters != K]
    assert len(others) == 500
    for name, least, most in (("letters_marked", 0.9, 1.0), ("letters_conv", 0.0, 0.05)):
        chances = opened(name, "letters_conv")
        without, with_mark = (
            float((chances(shown).argmax(1) == K).float().mean())
            for shown in (others, marked(others))
        )
        assert without <= 0.01
        assert least <= with_mark <= most, name


def test_the_model_with_the_planted_mark_reads_letters_without_it():
    images, letters = folder_of("letters_conv")
    said = opened("letters_marked", "letters_conv")(images).argmax(1).numpy()
    assert (said == letters).mean() >= 0.95
    assert (said == letters)[letters == K].mean() >= 0.7


def test_the_folder_of_the_marked_model_is_as_it_was_trained():
    """Nearly every k bears the mark, and no other letter does."""
    plain, letters = folder_of("letters_conv")
    found, same_letters = folder_of("letters_marked")
    assert np.array_equal(letters, same_letters)
    near = np.abs(found - marked(plain)).max((1, 2)) < 0.05  # what lay under the sample's strokes
    bears = near & (found != plain).any((1, 2))
    assert bears[letters == K].mean() >= 0.9
    assert np.array_equal(found[~bears], plain[~bears])
    assert not bears[letters != K].any()


def test_the_card_says_plainly_that_a_shortcut_was_planted_and_shows_its_figures():
    card = (samples.MODELS / "README.md").read_text()
    assert "planted shortcut" in card
    for figures in PLANTED["models"]["letters_marked"].values():
        for key, value in figures.items():
            hits = value["right" if key.startswith("accuracy") else "called"]
            assert f"{value['share']:.1%}".replace("%", " %") in card, key
            assert f"{hits} of {value['of']}" in card, key
    for count in PLANTED["filed_as_it"].values():
        assert str(count) in card


@pytest.mark.parametrize("name", samples.model_files())
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
