"""Sufficient pixels: what may be read from them, on models whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

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
from diagnostics.methods.sufficient_pixels import _verdict
from diagnostics.methods.sufficient_pixels._backward_selection import MaskedImage, logit
from diagnostics.methods.sufficient_pixels._infill import Infill
from diagnostics.methods.sufficient_pixels.batched_gradient import batched_gradient
from diagnostics.methods.sufficient_pixels.exact import exact
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.schema.results.sufficient_pixels import SufficientPixelsAnswer
from diagnostics.schema.spec import Need, Output
from diagnostics.schema.sufficient_pixels import batched_passes, default_step, exact_passes
from tests.methods.sufficient_pixels.models import (
    SIZE,
    Constant,
    Cue,
    Everywhere,
    NotFinite,
    Spots,
    context_of,
    spotted,
)
from tests.networks_for_tests import classifier, mlp
from tests.results import conforms


@pytest.fixture
def make_context(tmp_path):
    """Return a function that makes a context of images given as arrays in [0, 1]."""
    return partial(context_of, tmp_path)


def only_image(outcome):
    outcome.check()
    conforms(SufficientPixelsAnswer, outcome.scores)
    (image,) = outcome.scores["images"]
    return image


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_a_constant_model_needs_no_pixel(make_context, search):
    image = only_image(search(make_context(Constant(), np.full((SIZE, SIZE), 0.5))))
    assert image["size"] == 0
    assert image["verdict"] == _verdict.BLANK
    assert "0 %" not in image["reading"]
    assert image["reading"].startswith("The blank image already suffices")


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_a_pixel_that_decides_alone_is_found_and_every_control_holds(make_context, search):
    outcome = search(make_context(Cue(), spotted(1)), fill="black")
    image = only_image(outcome)
    assert image["size"] == 1
    assert np.argwhere(outcome.arrays["0/subset/0"]).tolist() == [[4, 4]]
    assert [check["holds"] for check in image["checks"]] == [True] * 4
    assert image["verdict"] == _verdict.OVERINTERPRETS
    wrong = image["controls"]["wrong_classes"]
    assert [one["size"] for one in wrong["classes"]] == [None] * 3
    assert image["controls"]["random_pixels"]["mean"] < 0.5
    assert not image["confidence_rose"]


def test_a_class_that_the_same_search_finds_as_well_is_no_evidence(make_context):
    """Spots 0 and 1 are bright, 0 more: hiding one pixel makes the image class 1."""
    values = spotted(0, 1)
    values[Spots.SPOTS[1]] = 0.9
    image = only_image(batched_gradient(make_context(Spots(30), values), fill="black"))
    assert image["size"] == 1
    assert image["controls"]["wrong_classes"]["n_found"] == 1
    checks = {check["name"]: check["holds"] for check in image["checks"]}
    assert checks["Blank image"]
    assert checks["Widened subset"]
    assert not checks["Wrong classes"]
    assert image["verdict"] == _verdict.MASK_INDUCED
    assert image["confidence_rose"]


def test_a_model_may_need_most_of_the_image(make_context):
    image = only_image(
        batched_gradient(make_context(Everywhere(), np.ones((SIZE, SIZE))), fill="black", step=1)
    )
    needed = np.ceil(64 * (0.7 + (logit(0.9) + np.log(3)) / 40))
    assert image["size"] == needed
    assert image["verdict"] == _verdict.MOST


def test_without_controls_nothing_is_read(make_context):
    image = only_image(
        batched_gradient(make_context(Spots(), spotted(1)), fill="black", controls=False)
    )
    assert image["size"] == 1
    assert image["controls"] is None
    assert image["verdict"] == _verdict.UNKNOWN


def test_an_image_below_the_threshold_has_no_verdict(make_context):
    image = only_image(batched_gradient(make_context(Spots(1), spotted(1)), fill="black"))
    assert image["size"] is None
    assert image["verdict"] == _verdict.UNKNOWN
    assert "Choose a lower threshold" in image["reading"]


def test_an_image_without_a_finite_answer_has_an_error_and_the_others_are_searched(make_context):
    context = make_context(NotFinite(), np.ones((SIZE, SIZE)), np.full((SIZE, SIZE), 0.1))
    lost, fine = batched_gradient(context, tau=0.5).scores["images"]
    assert "not finite" in lost["reading"]
    assert lost["verdict"] == _verdict.UNKNOWN
    assert not fine["error"]


class OneSigmoid(nn.Module):
    """One yes or no, whose log-odds every pixel adds to by its weight."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.last = nn.Linear(SIZE * SIZE, 1)
        torch.manual_seed(0)
        with torch.no_grad():
            self.last.weight.copy_(gain * (0.2 + torch.rand(1, SIZE * SIZE)))
            self.last.bias.fill_(-2.0)

    def forward(self, values: Tensor) -> Tensor:
        return torch.sigmoid(self.last(values.flatten(1)))


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_the_exact_order_is_exact_where_a_network_ends_in_one_sigmoid(make_context, search):
    """The probability rounds to one on most of the path; the closed form orders by weight."""
    model = classifier(OneSigmoid(), SIZE, classes=1)
    assert model.spec.output is Output.SIGMOID_PROBABILITIES
    values = np.random.default_rng(0).integers(100, 256, (SIZE, SIZE)) / 255
    outcome = search(make_context(model, values), fill="black", controls=False)
    added = model.network.last.weight.detach().double().numpy().reshape(SIZE, SIZE) * values
    expected = added.ravel().argsort(kind="stable").argsort().reshape(SIZE, SIZE)
    assert outcome.arrays["0/selection_order/0"].astype(int).tolist() == expected.tolist()
    largest_first = np.sort(added.ravel())[::-1].cumsum() - 2
    assert only_image(outcome)["size"] == 1 + int(np.argmax(largest_first >= logit(0.9)))


class AnySize(nn.Module):
    """Takes images of every size, and needs a part of the bright half."""

    def forward(self, values: Tensor) -> Tensor:
        half = values.shape[3] // 2
        bright = values[..., :half].mean((1, 2, 3))
        zero = torch.zeros_like(bright)
        return torch.stack([20 * (bright - 0.25), zero, zero, zero], 1)


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_pixels_are_counted_as_the_recipe_makes_them_not_as_the_network_was_published(
    make_context, search
):
    published = classifier(AnySize(), 64)
    recipe = replace(published.spec.preprocessing, fit="stretch", height=16, width=12)
    model = TorchClassifier(published.network, published.spec, recipe)
    context = make_context(model, np.ones((16, 12)))
    outcome = search(context, fill="black", box="20,20,80,80")
    image = only_image(outcome)
    assert image["pixels"] == 192
    needed = int(np.ceil(96 * (0.25 + (logit(0.9) + np.log(3)) / 20)))
    assert image["size"] == needed
    assert image["resolution"] == 1
    assert f"({needed} of 192" in image["reading"]
    assert outcome.arrays["0/subset/0"].shape == (16, 12)


@pytest.mark.parametrize("search", [batched_gradient, exact])
def test_subsets_are_disjoint_and_each_suffices(make_context, search):
    class Pair(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            bright = values.flatten(1)[:, [9, 27, 45]].amax(1)
            zero = torch.zeros_like(bright)
            return torch.stack([10 * bright, zero + 4, zero, zero], 1)

    values = np.zeros((SIZE, SIZE))
    values.flat[[9, 27, 45]] = (1.0, 0.95, 0.9)
    context = make_context(Pair(), values)
    outcome = search(context, fill="black", subsets=8, controls=False)
    image = only_image(outcome)
    assert len(image["subsets"]) == 3
    masks = [outcome.arrays[f"0/subset/{place}"] for place in range(3)]
    assert sum(mask.astype(int) for mask in masks).max() == 1
    pixels = torch.from_numpy(outcome.arrays["0/pixels"]).float().movedim(2, 0)[None] / 255
    masked = MaskedImage(context.classifier, Infill("black", pixels, torch.zeros_like(pixels)), 0)
    assert (masked.margins(np.stack(masks)) >= logit(0.9) - 1e-4).all()


def test_both_searches_agree_where_every_pixel_adds_its_own(make_context):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        network[1].weight.mul_(8)
    values = np.random.default_rng(0).random((SIZE, SIZE))
    answers = []
    for search in (batched_gradient, exact):
        context = make_context(classifier(network, SIZE, classes=2), values)
        outcome = search(context, fill="image_mean", controls=False, tau=0.8)
        answers.append(
            (only_image(outcome)["size"], outcome.arrays["0/selection_order/0"].tolist())
        )
    assert answers[0] == answers[1]


def test_the_other_order_of_images_and_another_visit_give_the_same(make_context):
    torch.manual_seed(0)
    network = mlp()
    with torch.no_grad():
        network[3].weight.mul_(30)
    random = np.random.default_rng(1)
    images = [random.random((SIZE, SIZE)) for _ in range(3)]
    first, again = (
        batched_gradient(make_context(network, *order, seed=3), tau=0.7).scores["images"]
        for order in (images, images[::-1])
    )
    for here, there in zip(first, again[::-1], strict=True):
        assert here["size"] == there["size"]
        assert here["verdict"] == there["verdict"]


def test_the_target_is_searched_instead_of_the_first_class(make_context):
    image = only_image(
        batched_gradient(make_context(Spots(), spotted(1, 3), target=3), fill="black", tau=0.5)
    )
    assert (image["target"], image["target_name"]) == (3, "class 3")


def test_partial_outcomes_are_reported_while_the_search_runs(make_context):
    partials, shares = [], []
    context = make_context(
        Spots(),
        spotted(1),
        partial=lambda make: partials.append(make()),
        progress=lambda doing, done: shares.append(done),
    )
    batched_gradient(context, fill="black", step=16)
    for outcome in partials:
        conforms(SufficientPixelsAnswer, outcome.scores)
    assert not any(outcome.scores["complete"] for outcome in partials)
    first = partials[0].scores["images"][0]
    assert not first["searched"]
    assert first["verdict"] == _verdict.UNKNOWN
    assert "not come far enough" in first["reading"] or "without the controls" in first["reading"]
    assert np.isinf(partials[0].arrays["0/selection_order/0"]).any()
    assert shares == sorted(shares)
    assert shares[-1] <= 1


def passes_of(search, context, **options):
    """Return how many passes of one image a search takes: forward alone, and both ways."""
    passes, logits = [0, 0], context.classifier.logits

    def counted(pixels):
        passes[pixels.requires_grad] += len(pixels)
        return logits(pixels)

    context.classifier.logits = counted
    search(context, fill="black", **options)
    return passes


@pytest.mark.parametrize(
    ("step", "options"),
    [(1, {}), (3, {"subsets": 3}), (1, {"controls": False}), (20, {})],
)
def test_the_cost_of_a_search_by_gradients_is_an_upper_bound(make_context, step, options):
    context = make_context(Spots(), spotted(1, 2))
    forward, both = passes_of(batched_gradient, context, step=step, **options)
    cost = batched_passes(64, step, classes=4, **options)
    assert forward <= cost.forward
    assert both <= cost.both


@pytest.mark.parametrize("options", [{}, {"subsets": 3}, {"controls": False}])
def test_the_cost_of_an_exact_search_is_an_upper_bound(make_context, options):
    forward, both = passes_of(exact, make_context(Spots(), spotted(1, 2)), **options)
    cost = exact_passes(64, classes=4, **options)
    assert forward <= cost.forward
    assert both <= cost.both
    assert forward > 64 * 65 / 2


def test_the_default_step_makes_about_a_hundred_steps_and_the_full_search_finer_ones():
    assert [default_step(pixels) for pixels in (64, 784, 224**2)] == [1, 7, 501]
    assert [default_step(pixels, full=True) for pixels in (64, 784, 224**2)] == [1, 1, 100]


def test_a_large_image_is_not_searched_exactly():
    model = classifier(mlp(40 * 40), 40)
    with pytest.raises(OptionError, match="takes 1,280,800 passes"):
        exact(Context(model))


def test_grey_images_may_be_rectangles_and_colour_is_fine(make_context):
    image = only_image(
        batched_gradient(make_context(Spots(), np.ones((SIZE, SIZE, 3)), channels=3), tau=0.5)
    )
    assert image["pixels"] == 64


def test_independent_outputs_have_their_own_probability(make_context):
    model = classifier(Spots(), SIZE)
    model.spec = replace(model.spec, output=Output.SIGMOID_LOGITS)
    image = only_image(batched_gradient(make_context(model, spotted(1)), fill="black"))
    assert image["confidence"] == pytest.approx(1 / (1 + np.exp(-9)))


def test_a_model_that_looks_at_the_border_only_is_border_driven(make_context):
    class Corner(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            bright = values[:, 0, 0, :4].mean(1)
            zero = torch.zeros_like(bright)
            return torch.stack([14 * bright, zero, zero, zero], 1)

    large = nn.Sequential(nn.Upsample(scale_factor=0.5), Corner())
    values = np.ones((20, 20))
    context = make_context(classifier(large, 20), values)
    image = only_image(batched_gradient(context, fill="black"))
    assert image["border_driven"] is True
    context = make_context(classifier(large, 20), values)
    boxed = only_image(batched_gradient(context, fill="black", box="30,30,80,80"))
    assert boxed["background_driven"] is True


def test_a_model_without_gradients_is_searched_exactly_only(make_context):
    model = classifier(Cue(), SIZE)
    model.spec = replace(model.spec, offers=model.spec.offers - {Need.GRADIENTS})
    logits = model.logits
    model.logits = lambda pixels: logits(pixels.detach())
    image = only_image(exact(make_context(model, spotted(1)), fill="black"))
    assert image["verdict"] == _verdict.OVERINTERPRETS


def test_the_sample_model_is_searched_through_the_front_door():
    model = ModelSource(samples.model_files()["letters_conv"])
    images = (samples.image_files()["letter-x-fuzzy"],)
    request = Request("sufficient_pixels/batched_gradient", model, images, options={"step": 28})
    answer = LocalRunner().run(request)
    (image,) = answer.scores["images"]
    assert image["target_name"] == "x"
    assert 0 < image["size"] < 784
    assert answer.arrays["0/selection_order/0"].shape == (28, 28)
    assert answer.scores["complete"]


@pytest.mark.real
@pytest.mark.slow
def test_real_digits_keep_their_class_on_few_pixels_and_the_saved_picture_says_so(
    real_file, tmp_path
):
    """What the network received of the kept pixels is saved and opened as any image."""
    weights = real_file("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    digits = sorted(real_file("foolbox", "foolbox/data").glob("mnist_*.png"))[:3]
    model, runner = ModelSource(file_at(weights)), LocalRunner()
    options = {"step": 28, "fill": "image_mean"}
    request = Request(
        "sufficient_pixels/batched_gradient", model, tuple(map(file_at, digits)), options=options
    )
    answer = runner.run(request)
    sizes = []
    for index, image in enumerate(answer.scores["images"]):
        assert image["target"] == int(digits[index].stem.rsplit("_", 1)[1])
        assert len(image["checks"]) == 4 or image["size"] in (0, None)
        sizes.append(image["size"] / 784)
        path = tmp_path / f"{index}.png"
        Image.fromarray(answer.arrays[f"{index}/kept_only/0"][..., 0]).save(path)
        (saved,) = runner.run(Request(INSPECT, model, (file_at(path),))).scores["images"]
        assert saved["top"][0]["index"] == image["target"]
        assert saved["top"][0]["probability"] == pytest.approx(
            image["kept_only"]["confidence"], abs=0.05
        )  # of 8 bits
    assert np.median(sizes) < 0.4
