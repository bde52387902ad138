"""Images that reach the network otherwise than the reference's are noticed without BatchNorm."""

from __future__ import annotations

import io
import math

import pytest
import torch
from PIL import Image, ImageOps

from diagnostics.data.folder import Folder
from diagnostics.data.samples import file_at
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context, Sample
from diagnostics.methods.ood._shift import CommonStatistics, distribution_shift
from diagnostics.models.features import extract_features
from diagnostics.reference.statistics import ReferenceBuilder
from diagnostics.schema.request import ModelSource
from tests.conftest import ROOT
from tests.networks_for_tests import FunctionalResidual, classifier

SAMPLES = ROOT / "sample_images"
SIDE = 12


def statistics(mean, deviation, count=40):
    return torch.tensor([[*mean, *deviation]]).repeat(count, 1)


def test_shift_and_spread_equal_the_closed_form():
    many = statistics((0.5, 0.2), (0.1, 0.4))
    common = CommonStatistics.of(many)
    other = torch.tensor([[0.5 + 3 * 0.1, 0.2, 0.1 * math.e, 0.4 * math.e]])
    assert common.distances(other)[0].tolist() == pytest.approx([3.0, 2.0], rel=1e-4)
    assert common.distances(many)[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-4)


def test_the_spread_of_the_known_images_counts_their_means_apart_too():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(50, 1, 6, 6, generator=generator).double()
    pixels += torch.arange(50)[:, None, None, None] / 10
    rows = torch.cat([pixels.mean((2, 3)), pixels.std((2, 3), correction=0)], 1)
    common = CommonStatistics.of(rows)
    assert float(common.variance) == pytest.approx(float(pixels.var(correction=0)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return classifier(FunctionalResidual(classes=4), SIDE, channels=3, classes=4)


def drawn(count, seed):
    """Return dark images with a redder top half."""
    generator = torch.Generator().manual_seed(seed)
    pixels = 0.2 * torch.rand(count, 3, SIDE, SIDE, generator=generator)
    pixels[:, 0, :6] += 0.4 * torch.rand(count, 1, 1, generator=generator)
    return pixels


@pytest.fixture(scope="module")
def reference(network):
    builder = ReferenceBuilder(network)
    for half in (0, 1):
        pixels = drawn(60, half)
        labels = torch.zeros(60, dtype=torch.int64)
        builder.add(extract_features(network, pixels), labels, pixels, half)
    return builder.build({})


def compared(network, reference, pixels):
    names = [f"{place}.png" for place in range(len(pixels))]
    return distribution_shift(reference, names, extract_features(network, pixels))


def test_images_like_the_known_ones_are_alike(network, reference):
    shift = compared(network, reference, drawn(8, 5))
    assert (shift["verdict"], shift["n"]) == ("alike", 60)
    assert not any(image["unlike"] for image in shift["images"])


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda pixels: 1 - pixels, "to its negative"),
        (lambda pixels: pixels.flip(1), "from RGB to BGR"),
    ],
)
def test_what_would_bring_the_images_nearer_is_named(network, reference, turn, words):
    shift = compared(network, reference, turn(drawn(8, 5)))
    assert shift["verdict"] == "unlike"
    assert words in shift["sentence"]


def test_values_divided_by_255_are_unlike_and_nothing_turns_them(network, reference):
    shift = compared(network, reference, drawn(8, 5) / 255)
    assert shift["verdict"] == "unlike"
    assert "Turned" not in shift["sentence"]


@pytest.mark.parametrize("wrong", [1, 2, 4])
def test_a_few_odd_images_among_others_are_no_mismatch(network, reference, wrong):
    pixels = drawn(8, 5)
    pixels[:wrong] = 1 - pixels[:wrong]
    shift = compared(network, reference, pixels)
    assert shift["verdict"] == "can't tell"
    assert sum(image["unlike"] for image in shift["images"]) == wrong
    assert compared(network, reference, 1 - drawn(1, 5))["verdict"] == "can't tell"


def test_images_the_network_gives_no_number_for_have_none(network, reference):
    pixels = drawn(3, 5)
    pixels[1] = math.nan
    shift = compared(network, reference, pixels)
    assert shift["images"][1]["pixels"] == {"shift": None, "spread": None}
    assert shift["verdict"] == "alike"


@pytest.fixture(scope="module")
def letters():
    """Return a context of the letters' network, letters, and a reference of two thirds of them."""
    model = open_model(ModelSource(file_at(SAMPLES / "models" / "letters_conv.safetensors")), ())
    context, folder = (
        Context(model.classifier()),
        Folder(SAMPLES / "known-letters.zip"),
    )
    contents = {entry.name: folder.read(entry) for entry in folder.entries}
    builder, names = ReferenceBuilder(context.classifier), list(contents)
    for half in (0, 1):
        for one in context.batches(pictures(contents, names[half::3])):
            builder.add(
                extract_features(context.classifier, one.pixels), one.labels, one.pixels, half
            )
    return context, contents, builder.build({})


def pictures(contents, names, turn=lambda image: image):
    def content(name):
        written = io.BytesIO()
        turn(Image.open(io.BytesIO(contents[name])).convert("L")).save(written, "PNG")
        return written.getvalue()

    return [Sample(name, 0, lambda name=name: content(name)) for name in names]


def test_letters_held_out_are_alike_and_their_negatives_are_named(letters):
    context, contents, reference = letters
    others = list(contents)[2::3][:40]
    names, _, outputs = context.features(pictures(contents, others), "")
    shift = distribution_shift(reference, names, outputs)
    assert sum(image["unlike"] for image in shift["images"]) <= 2
    assert shift["verdict"] != "unlike"
    names, _, outputs = context.features(pictures(contents, others, ImageOps.invert), "")
    shift = distribution_shift(reference, names, outputs)
    assert shift["verdict"] == "unlike"
    assert "to its negative" in shift["sentence"]
