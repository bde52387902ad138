"""Sufficient pixels: what may be read from them, on models whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import OptionError
from diagnostics.execution.local import LocalRunner
from diagnostics.methods.context import Context
from diagnostics.methods.sufficient_pixels._backward_selection import Scene, level
from diagnostics.methods.sufficient_pixels._controls import (
    boxed,
    dilated,
    edge,
    in_region,
    swapped,
    widened,
)
from diagnostics.methods.sufficient_pixels._infill import Infill
from diagnostics.methods.sufficient_pixels.batched_gradient import batched_gradient
from diagnostics.methods.sufficient_pixels.exact import exact
from diagnostics.schema import sufficient_pixels
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.schema.spec import Need, Output
from tests.networks_for_tests import classifier, mlp

SIZE = 8


class Constant(nn.Module):
    """Says class 1 whatever it sees."""

    def forward(self, values: Tensor) -> Tensor:
        zero = 0 * values.flatten(1).sum(1, keepdim=True)
        return torch.cat([zero, zero + 9, zero, zero], 1)


class Spots(nn.Module):
    """Class c is as sure as spot c is bright: a few pixels alone decide."""

    PLACES = ((1, 2), (4, 4), (6, 1), (6, 6))

    def __init__(self, gain: float = 12.0) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, values: Tensor) -> Tensor:
        found = [values[:, :, row, column].mean(1) for row, column in self.PLACES]
        return self.gain * (torch.stack(found, 1) - 0.25)


class Everywhere(nn.Module):
    """Class 0 needs nearly every pixel to be bright."""

    def forward(self, values: Tensor) -> Tensor:
        bright = values.flatten(1).mean(1)
        zero = torch.zeros_like(bright)
        return torch.stack([40 * (bright - 0.7), zero, zero, zero], 1)


class NotFinite(nn.Module):
    """Gives numbers for dark images only."""

    def forward(self, values: Tensor) -> Tensor:
        bright = values.flatten(1).mean(1, keepdim=True)
        return torch.where(bright > 0.3, torch.nan, bright).expand(-1, 4)


@pytest.fixture
def context(tmp_path):
    """Return a function that makes a context of images given as arrays in [0, 1]."""

    def make(network, *images, channels=1, **settings):
        files = []
        for place, values in enumerate(images):
            shown = np.rint(255 * np.asarray(values)).astype(np.uint8)
            Image.fromarray(shown).save(tmp_path / f"{place}.png")
            files.append(file_at(tmp_path / f"{place}.png"))
        model = (
            network if not isinstance(network, nn.Module) else classifier(network, SIZE, channels)
        )
        return Context(model, files=files, **settings)

    return make


def spotted(*bright):
    values = np.zeros((SIZE, SIZE))
    for place in bright:
        values[Spots.PLACES[place]] = 1
    return values


def one(outcome):
    outcome.check()
    (image,) = outcome.scores["images"]
    return image


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_a_constant_model_needs_no_pixel(context, search):
    found = one(search(context(Constant(), np.full((SIZE, SIZE), 0.5))))
    assert found["size"] == 0
    assert found["verdict"] == sufficient_pixels.BLANK
    assert "0 %" not in found["reading"]
    assert found["reading"].startswith("The blank image already suffices")


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_one_pixel_that_decides_alone_is_found_and_every_control_holds(context, search):
    outcome = search(context(Spots(), spotted(1)), fill="black")
    found = one(outcome)
    assert found["size"] == 1
    assert np.argwhere(outcome.arrays["0/subset/0"]).tolist() == [[4, 4]]
    assert [check["holds"] for check in found["checks"]] == [True] * 4
    assert found["verdict"] == sufficient_pixels.OVERINTERPRETS
    wrong = found["controls"]["wrong"]
    assert [one["size"] for one in wrong["classes"]] == [None] * 3
    assert found["controls"]["random"]["mean"] < 0.5
    assert not found["confidence_rose"]


def test_a_class_that_the_same_search_finds_as_well_is_no_evidence(context):
    """Spots 0 and 1 are bright, 0 more: hiding one pixel makes the image class 1."""
    values = spotted(0, 1)
    values[Spots.PLACES[1]] = 0.9
    found = one(batched_gradient(context(Spots(30), values), fill="black"))
    assert found["size"] == 1
    assert found["controls"]["wrong"]["found"] == 1
    checks = {check["name"]: check["holds"] for check in found["checks"]}
    assert checks == {
        "Blank image": True,
        "Other fills": True,
        "Widened subset": True,
        "Wrong classes": False,
    }
    assert found["verdict"] == sufficient_pixels.MASK_INDUCED
    assert found["confidence_rose"]


def test_a_subset_of_another_class_that_is_much_larger_does_no_harm():
    sizes = {"classes": [{"name": "b", "size": 40}, {"name": "c", "size": None}], "found": 1}
    assert sufficient_pixels._wrong_holds(10, sizes) is True
    assert sufficient_pixels._wrong_holds(11, sizes) is False
    assert sufficient_pixels._wrong_holds(11, {"classes": [], "found": 0}) is None


def test_a_model_that_needs_most_of_the_image_is_said(context):
    found = one(
        batched_gradient(context(Everywhere(), np.ones((SIZE, SIZE))), fill="black", step=1)
    )
    needed = np.ceil(64 * (0.7 + (level(0.9) + np.log(3)) / 40))
    assert found["size"] == needed
    assert found["verdict"] == sufficient_pixels.MOST


def test_without_controls_nothing_is_read(context):
    found = one(batched_gradient(context(Spots(), spotted(1)), fill="black", controls=False))
    assert found["size"] == 1
    assert found["controls"] is None
    assert found["verdict"] == sufficient_pixels.UNKNOWN


def test_an_image_below_the_threshold_is_not_judged(context):
    found = one(batched_gradient(context(Spots(1), spotted(1)), fill="black"))
    assert found["size"] is None
    assert found["verdict"] == sufficient_pixels.UNKNOWN
    assert "Choose a lower threshold" in found["reading"]


def test_an_answer_that_is_no_number_is_said_and_the_others_are_searched(context):
    asked = context(NotFinite(), np.ones((SIZE, SIZE)), np.full((SIZE, SIZE), 0.1))
    lost, fine = batched_gradient(asked, tau=0.5).scores["images"]
    assert "not finite" in lost["reading"]
    assert lost["verdict"] == sufficient_pixels.UNKNOWN
    assert not fine["error"]


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_subsets_are_disjoint_and_each_suffices(context, search):
    class Pair(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            bright = values.flatten(1)[:, [9, 27, 45]].amax(1)
            zero = torch.zeros_like(bright)
            return torch.stack([10 * bright, zero + 4, zero, zero], 1)

    values = np.zeros((SIZE, SIZE))
    values.flat[[9, 27, 45]] = (1.0, 0.95, 0.9)
    asked = context(Pair(), values)
    outcome = search(asked, fill="black", subsets=8, controls=False)
    found = one(outcome)
    assert len(found["subsets"]) == 3
    masks = [outcome.arrays[f"0/subset/{place}"] for place in range(3)]
    assert sum(mask.astype(int) for mask in masks).max() == 1
    pixels = torch.from_numpy(outcome.arrays["0/pixels"]).float().movedim(2, 0)[None] / 255
    scene = Scene(asked.classifier, Infill("black", pixels, torch.zeros_like(pixels)), 0)
    assert (scene.margins(np.stack(masks)) >= level(0.9) - 1e-4).all()


def test_both_searches_agree_where_every_pixel_adds_its_own(context):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        network[1].weight.mul_(8)
    values = np.random.default_rng(0).random((SIZE, SIZE))
    answers = []
    for search in (batched_gradient, exact):
        asked = context(classifier(network, SIZE, classes=2), values)
        outcome = search(asked, fill="image_mean", controls=False, tau=0.8)
        answers.append((one(outcome)["size"], outcome.arrays["0/removed/0"].tolist()))
    assert answers[0] == answers[1]


def test_the_other_order_of_images_and_another_visit_give_the_same(context):
    torch.manual_seed(0)
    network = mlp()
    with torch.no_grad():
        network[3].weight.mul_(30)
    random = np.random.default_rng(1)
    images = [random.random((SIZE, SIZE)) for _ in range(3)]
    first = batched_gradient(context(network, *images, seed=3), tau=0.7).scores["images"]
    again = batched_gradient(context(network, *images[::-1], seed=3), tau=0.7).scores["images"][
        ::-1
    ]
    for here, there in zip(first, again, strict=True):
        assert here["size"] == there["size"]
        assert here["verdict"] == there["verdict"]


def test_a_class_that_is_meant_is_searched_instead_of_the_first(context):
    found = one(batched_gradient(context(Spots(), spotted(1, 3), target=3), fill="black", tau=0.5))
    assert (found["class"], found["name"]) == (3, "class 3")


def test_what_is_there_is_kept_while_the_search_runs(context, monkeypatch):
    kept, told = [], []
    asked = context(
        Spots(),
        spotted(1),
        partial=lambda make: kept.append(make()),
        progress=lambda doing, done: told.append(done),
    )
    batched_gradient(asked, fill="black", step=16)
    for outcome in kept:
        outcome.check()
    assert not any(outcome.scores["complete"] for outcome in kept)
    first = kept[0].scores["images"][0]
    assert not first["searched"]
    assert first["verdict"] == sufficient_pixels.UNKNOWN
    assert "not come far enough" in first["reading"] or "without the controls" in first["reading"]
    assert np.isinf(kept[0].arrays["0/removed/0"]).any()
    assert told == sorted(told)
    assert told[-1] <= 1


def test_the_passes_said_before_are_never_exceeded(context):
    for options in ({}, {"step": 3, "subsets": 3}, {"controls": False}, {"step": 20}):
        spent = [0, 0]
        asked = context(Spots(), spotted(1, 2))
        logits = asked.classifier.logits

        def counted(pixels, logits=logits, spent=spent):
            spent[pixels.requires_grad] += len(pixels)
            return logits(pixels)

        asked.classifier.logits = counted
        batched_gradient(asked, fill="black", **options)
        step = options.get("step", sufficient_pixels.usual_step(64))
        stated = sufficient_pixels.passes(
            64,
            step,
            subsets=options.get("subsets", 1),
            controls=options.get("controls", True),
            classes=4,
        )
        assert spent[0] <= stated[0]
        assert spent[1] <= stated[1]


def test_a_large_image_is_not_searched_exactly():
    model = classifier(mlp(40 * 40), 40)
    with pytest.raises(OptionError, match="takes 1,280,800 passes"):
        exact(Context(model))


def test_grey_images_may_be_rectangles_and_colour_is_fine(context):
    found = one(batched_gradient(context(Spots(), np.ones((SIZE, SIZE, 3)), channels=3), tau=0.5))
    assert found["pixels"] == 64


def test_independent_outputs_are_judged_by_their_own_probability(context):
    model = classifier(Spots(), SIZE)
    model.spec = replace(model.spec, output=Output.SIGMOID_LOGITS)
    found = one(batched_gradient(context(model, spotted(1)), fill="black"))
    assert found["confidence"] == pytest.approx(1 / (1 + np.exp(-9)))


def test_a_widened_subset_has_the_eight_around_each_pixel():
    kept = np.zeros((5, 6), bool)
    kept[0, 0] = kept[3, 4] = True
    assert widened(kept).sum() == 4 + 9
    assert widened(kept)[2:5, 3:6].all()
    scene = Scene(classifier(Constant(), SIZE), black(), 1)
    assert (
        dilated(scene, np.eye(SIZE, dtype=bool))["size"] == widened(np.eye(SIZE, dtype=bool)).sum()
    )


def black():
    pixels = torch.rand(1, 1, SIZE, SIZE)
    return Infill("black", pixels, torch.zeros_like(pixels))


def test_fills_that_show_the_same_are_asked_once():
    """The model's preprocessing subtracts nothing, so its mean colour is black."""
    scene = Scene(classifier(Constant(), SIZE), black(), 1)
    names = [one["fill"] for one in swapped(scene, np.eye(SIZE, dtype=bool), 0)["fills"]]
    assert names == ["image_mean", "road", "noise"]


def test_the_border_is_a_tenth_on_each_side_and_a_region_is_tested_by_hiding_it():
    assert edge(10, 20).mean() == pytest.approx(1 - 0.8**2)
    pixels = torch.zeros(1, 1, SIZE, SIZE)
    pixels[0, 0, 4, 4] = 1
    scene = Scene(classifier(Spots(), SIZE), Infill("black", pixels, torch.zeros_like(pixels)), 1)
    kept = np.zeros((SIZE, SIZE), bool)
    kept[4, 4] = kept[0, 0] = True
    found = in_region(scene, kept, ~edge(SIZE, SIZE))
    assert found["share"] == 0.5
    assert found["area"] == pytest.approx(36 / 64)
    assert found["itself"]["confidence"] > 0.99
    assert found["rest"]["confidence"] == pytest.approx(0.25)


def test_a_model_that_looks_at_the_border_only_is_border_driven(context):
    class Corner(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            bright = values[:, 0, 0, :4].mean(1)
            zero = torch.zeros_like(bright)
            return torch.stack([14 * bright, zero, zero, zero], 1)

    large = nn.Sequential(nn.Upsample(scale_factor=0.5), Corner())
    values = np.ones((20, 20))
    asked = context(classifier(large, 20), values)
    found = one(batched_gradient(asked, fill="black"))
    assert found["border_driven"] is True
    boxes = one(
        batched_gradient(context(classifier(large, 20), values), fill="black", box="30,30,80,80")
    )
    assert boxes["background_driven"] is True


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "50,0,20,100", "0,0,100,100", "0,0,1,1"])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(OptionError, match="four numbers"):
        boxed(box, SIZE, SIZE)


def test_a_model_without_gradients_is_searched_exactly_only(context):
    model = classifier(Spots(), SIZE)
    model.spec = replace(model.spec, offers=model.spec.offers - {Need.GRADIENTS})
    logits = model.logits
    model.logits = lambda pixels: logits(pixels.detach())
    found = one(exact(context(model, spotted(1)), fill="black"))
    assert found["verdict"] == sufficient_pixels.OVERINTERPRETS


def test_the_sample_model_is_searched_through_the_front_door():
    model = ModelSource(samples.model_files()["letters_conv"])
    images = (samples.image_files()["letter-x-fuzzy"],)
    asked = Request("sufficient_pixels/batched_gradient", model, images, options={"step": 28})
    answer = LocalRunner().run(asked)
    (found,) = answer.scores["images"]
    assert found["name"] == "x"
    assert 0 < found["size"] < 784
    assert answer.arrays["0/removed/0"].shape == (28, 28)
    assert answer.scores["complete"]


@pytest.mark.real
@pytest.mark.slow
def test_real_digits_keep_their_class_on_few_pixels_and_the_saved_picture_says_so(
    real_file, tmp_path
):
    """What the network received of the kept pixels is saved, opened as any image, and asked."""
    weights = real_file("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    digits = sorted(real_file("foolbox", "foolbox/data").glob("mnist_*.png"))[:3]
    model, runner = ModelSource(file_at(weights)), LocalRunner()
    options = {"step": 28, "fill": "image_mean"}
    asked = Request(
        "sufficient_pixels/batched_gradient", model, tuple(map(file_at, digits)), options=options
    )
    answer = runner.run(asked)
    sizes = []
    for place, found in enumerate(answer.scores["images"]):
        assert found["class"] == int(digits[place].stem.rsplit("_", 1)[1])
        assert len(found["checks"]) == 4 or found["size"] in (0, None)
        sizes.append(found["size"] / 784)
        path = tmp_path / f"{place}.png"
        Image.fromarray(answer.arrays[f"{place}/alone/0"][..., 0]).save(path)
        (image,) = runner.run(Request(INSPECT, model, (file_at(path),))).scores["images"]
        assert image["top"][0]["index"] == found["class"]
        saved = image["top"][0]["probability"]
        assert saved == pytest.approx(found["kept"]["confidence"], abs=0.05)  # of 8 bits
    assert np.median(sizes) < 0.4
