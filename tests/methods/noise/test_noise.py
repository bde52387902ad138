"""What noise answers: its figures by hand, and the very images behind them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import InputError
from diagnostics.execution.local import LocalRunner
from diagnostics.methods.noise.depth import depth
from diagnostics.methods.noise.noise import noise
from diagnostics.methods.noise.noise_images import noise_images, parse_draws
from diagnostics.methods.noise.panel import normalised_entropy, summary
from diagnostics.metrics.intervals import wilson
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.schema.results.noise import DepthAnswer, NoiseAnswer, NoiseImages
from diagnostics.schema.spec import Output
from tests.letters import letters_context
from tests.metrics.test_predictions import spec
from tests.results import conforms

MODEL = ModelSource(samples.model_files()["letters_conv"])


@pytest.fixture(scope="module")
def runner():
    return LocalRunner()


@pytest.mark.parametrize("family", ["uniform", "gaussian", "shuffled", "phase", "constant"])
@pytest.mark.parametrize("with_user_noise", [False, True])
def test_the_image_behind_a_mark_gets_the_very_confidence_of_the_mark(
    runner, tmp_path, family, with_user_noise
):
    """Draws made of the person's images depend on which of these are real."""
    images = tuple(samples.image_files()[name] for name in ("letter-x-thin", "noise-uniform"))
    user_noise = {"user_noise": images[1].sha256} if with_user_noise else {}
    answer = runner.run(Request("noise/noise", MODEL, images, options={"draws": 8, **user_noise}))
    (found,) = [one for one in answer.scores["families"] if one["family"] == family]
    options = {"family": family, "draws": "2,5", **user_noise}
    drawn = runner.run(Request("noise/noise_images", MODEL, images, options=options))
    files = []
    for number in (2, 5):
        path = tmp_path / f"{number}.png"
        Image.fromarray(drawn.arrays[f"draw/{number}"][..., 0]).save(path)
        files.append(file_at(path))
    seen = runner.run(Request(INSPECT, MODEL, tuple(files), options={"attributions": ()}))
    for number, image in zip((2, 5), seen.scores["images"], strict=True):
        assert image["top"][0]["index"] == found["predicted"][number]
        assert image["top"][0]["one_minus_p"] == pytest.approx(
            found["one_minus_p"][number], rel=1e-4
        )


def test_blank_images_have_the_levels_that_the_answer_says(runner):
    answer = runner.run(Request("noise/noise", MODEL, options={"draws": 8}))
    levels = answer.scores["levels"]
    assert levels[:3] == [0, 128, 255]
    options = {"family": "constant", "draws": "0,1,2,3,4,5,6,7"}
    drawn = runner.run(Request("noise/noise_images", MODEL, options=options)).arrays
    assert [int(drawn[f"draw/{one}"].max()) for one in range(8)] == levels


@pytest.mark.parametrize("user_noise", [False, True])
def test_real_answers_are_of_the_promised_types(user_noise):
    images = [samples.image_files()[name] for name in ("letter-x-thin", "noise-uniform")]
    hashes = images[1].sha256 if user_noise else ""
    context = letters_context(files=images)
    answer = noise(context, draws=8, user_noise=hashes).scores
    conforms(NoiseAnswer, answer)
    names = [family["family"] for family in answer["families"]]
    assert names[-1] == "real"
    assert ("yours" in names) == user_noise
    outcome = noise_images(context, family="phase", draws="0,3", user_noise=hashes)
    conforms(NoiseImages, outcome.scores)
    assert list(outcome.arrays) == ["draw/0", "draw/3"]


def test_the_depth_of_letters_is_of_the_promised_type():
    answer = depth(letters_context(), draws=8).scores
    conforms(DepthAnswer, answer)
    for layer in answer["layers"]:
        assert sum(layer["shares"].values()) == pytest.approx(1)
    assert answer["layers"][-1]["accuracy"] > 0.9 > answer["layers"][0]["accuracy"]


def logits_of(predicted, classes):
    """Logits whose largest stands at the class that is to be predicted."""
    logits = torch.zeros(len(predicted), classes)
    logits[torch.arange(len(predicted)), torch.tensor(predicted)] = 3
    return logits


@pytest.mark.parametrize(
    ("predicted", "classes", "bits"),
    [
        ([0, 0, 1, 2], 4, Fraction(3, 2)),
        ([0, 1, 2, 3], 4, Fraction(2)),
        ([0, 0, 1, 1], 16, Fraction(1)),
        ([5, 5, 5, 5], 8, Fraction(0)),
        ([0, 0, 0, 0, 1, 1, 2, 3], 8, Fraction(7, 4)),
    ],
)
def test_the_entropy_of_powers_of_two_is_as_by_hand(predicted, classes, bits):
    """Shares of 1/2 and 1/4 have 1 and 2 bits; k equal classes would have log2 k."""
    found = summary(logits_of(predicted, classes), spec(classes), seed=0)["entropy"]
    assert found == pytest.approx(float(bits) / math.log2(classes), abs=1e-12)


def test_the_entropy_of_one_class_is_zero():
    assert normalised_entropy(np.array([7])) == 0.0


def test_draws_of_one_source_image_are_counted_once_where_they_agree():
    """Sixteen draws of four images: all of one class says no more than four images do."""
    counted = summary(logits_of([1] * 16, 3), spec(3), seed=0, sources=4)["majority_class"]
    assert (counted["low"], counted["high"]) == pytest.approx(wilson(4, 4))
    independent = summary(logits_of([1] * 16, 3), spec(3), seed=0)["majority_class"]
    assert (independent["low"], independent["high"]) == pytest.approx(wilson(16, 16))


def test_what_is_predicted_is_counted_without_answers_that_are_not_finite():
    logits = logits_of([2, 1, 2, 2], 4)
    logits[1, 0] = math.nan
    counted = summary(logits, spec(4), seed=0)
    assert (counted["n"], counted["not_finite"]) == (3, 1)
    assert counted["number"] == [0, 2, 3]
    assert counted["predicted"] == [2, 2, 2]
    p = math.exp(3) / (math.exp(3) + 3)
    assert counted["confidence"] == pytest.approx([p] * 3)
    assert counted["one_minus_p"] == pytest.approx([1 - p] * 3)
    majority = counted["majority_class"]
    assert (majority["name"], majority["index"], majority["share"]) == ("c2", 2, 1.0)
    assert summary(torch.full((2, 4), math.nan), spec(4), seed=0) == {"n": 0, "not_finite": 2}


def test_independent_classes_have_a_confidence_each():
    counted = summary(logits_of([0], 2), spec(2, Output.SIGMOID_LOGITS), seed=0)
    assert counted["confidence"] == pytest.approx([1 / (1 + math.exp(-3))])


@pytest.mark.parametrize("text", ["", "1,", "1,x", "-1", "1.5", "0,1,2,3,4,5,6,7,8", "²"])
def test_numbers_of_draws_that_are_no_such_list_are_refused(text):
    with pytest.raises(InputError, match="numbers of draws such as 3,5,9"):
        parse_draws(text)


def test_a_family_that_does_not_exist_is_refused():
    for method in (depth, noise_images):
        with pytest.raises(InputError, match="no noise 'pink'"):
            method(letters_context(), family="pink")
