"""Fooling images: known optima, files that hold what was measured, and every way it can fail."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.data import samples
from diagnostics.data.image import decode, encode_png
from diagnostics.errors import InputError, OptionError
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context
from diagnostics.methods.fooling import _archive as archive
from diagnostics.methods.registry import find
from diagnostics.models import log_odds
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.request import ModelSource, Request
from diagnostics.schema.results.fooling import FoolingAnswer
from diagnostics.schema.spec import Need, Output
from tests.methods.fooling.models import two_classes
from tests.networks_for_tests import FunctionalResidual, classifier, linear, mlp
from tests.results import conforms

ALGORITHMS = {
    "gradient": ("gradient_ascent", {"steps": 60}),
    "direct": ("map_elites", {"encoding": "direct", "generations": 12, "children": 20}),
    "cppn": ("map_elites", {"encoding": "cppn", "generations": 12, "children": 20}),
}
EVERY_ALGORITHM = pytest.mark.parametrize("algorithm", ALGORITHMS)


def run(
    algorithm,
    model,
    *,
    seed=3,
    target=None,
    partial=lambda make: None,
    progress=lambda activity, share: None,
    **options,
):
    name, defaults = ALGORITHMS[algorithm]
    context = Context(model, seed=seed, target=target, partial=partial, progress=progress)
    outcome = find(f"fooling/{name}").function(context, **{**defaults, **options})
    outcome.check()
    conforms(FoolingAnswer, outcome.scores)
    return outcome


def by_index(outcome):
    return {one["index"]: one for one in outcome.scores["classes"]}


def images(outcome):
    return dict(zip(outcome.scores["image_indices"], outcome.arrays["images"], strict=True))


def margins_of_files(outcome, model):
    """Return the margin of each class's image, read from a PNG file of it."""
    margins = {}
    for index, image in images(outcome).items():
        content = encode_png(image[..., 0] if image.shape[-1] == 1 else image)
        pixels = Pipeline(model.preprocessing).run(decode(content))
        with torch.no_grad():
            logits = model.logits(torch.from_numpy(pixels)[None])
        margins[index] = float(
            log_odds.margins(logits, independent=model.spec.output.independent)[0, index]
        )
    return margins


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    return {
        1: classifier(mlp(64), 8),
        3: classifier(FunctionalResidual(classes=4), 8, channels=3),
    }


@pytest.fixture(scope="module")
def letters():
    model = open_model(ModelSource(samples.model_files()["letters_conv"]), ())
    return TorchClassifier(model.network, model.spec, model.spec.preprocessing)


@pytest.mark.parametrize("channels", [1, 3])
@EVERY_ALGORITHM
def test_the_probability_is_that_of_the_saved_file(small, algorithm, channels):
    outcome = run(algorithm, small[channels])
    classes = by_index(outcome)
    assert outcome.arrays["images"].dtype == np.uint8
    for index, margin in margins_of_files(outcome, small[channels]).items():
        assert margin == pytest.approx(classes[index]["margin"], abs=1e-4)
        p, one_minus_p = classes[index]["probability"], classes[index]["one_minus_p"]
        assert np.log(p / one_minus_p) == pytest.approx(margin, abs=1e-4)
    assert len(margins_of_files(outcome, small[channels])) == 4


@EVERY_ALGORITHM
@pytest.mark.parametrize("target", [0, 1])
def test_no_image_passes_the_known_optimum_of_a_linear_model(algorithm, target):
    model, best = two_classes()
    options = {"gradient": {"steps": 400, "decay": 0.0, "go_on": True}}.get(
        algorithm, {"generations": 60, "children": 40}
    )
    margin = by_index(run(algorithm, model, target=target, **options))[target]["margin"]
    assert margin <= best[target] + 1e-5
    assert margin > {"gradient": 0.995, "direct": 0.95, "cppn": 0.5}[algorithm] * best[target]


def test_a_class_whose_gain_is_lost_in_rounding_is_reached_all_the_same():
    """Of 4096 pixels each would move by a fiftieth of a grey level with every step."""
    torch.manual_seed(0)
    network = linear(4096, 2)
    with torch.no_grad():
        network[1].weight.mul_(120)
        network[1].bias.zero_()
    model = classifier(network, 64, classes=2)
    outcome = run("gradient", model, target=0, steps=200)
    assert by_index(outcome)[0]["milestones"]["0.9999"] is not None
    assert np.abs(images(outcome)[0] - 127.5).max() < 12


def test_decay_pulls_back_to_the_mean_colour():
    model, _ = two_classes()
    strength = {
        decay: float(np.abs(images(run("gradient", model, decay=decay, target=0))[0] - 127.5).sum())
        for decay in (0.0, 0.1)
    }
    assert strength[0.1] < 0.8 * strength[0.0]


@pytest.mark.slow
def test_a_class_ends_when_it_is_reached_unless_it_is_to_go_on(letters):
    ends, goes = (
        run("gradient", letters, targets="3,7", steps=160, go_on=go_on) for go_on in (False, True)
    )
    for index in (3, 7):
        reached = by_index(ends)[index]["milestones"]["0.9999"]
        assert by_index(ends)[index]["found_at"] == reached
        assert np.isnan(
            ends.arrays["trace"][reached + 1 :, ends.scores["trace_indices"].index(index)]
        ).all()
        assert by_index(goes)[index]["one_minus_p"] < by_index(ends)[index]["one_minus_p"]
    assert goes.scores["iterations"] == 160
    assert goes.scores["evaluations"] == 2 * 161


@EVERY_ALGORITHM
def test_the_same_seed_gives_the_same_images_and_another_seed_others(small, algorithm):
    first, again, other = (run(algorithm, small[1], seed=seed) for seed in (5, 5, 6))
    assert first.scores == again.scores
    assert first.arrays.keys() == again.arrays.keys()
    for name in first.arrays:
        np.testing.assert_array_equal(first.arrays[name], again.arrays[name])
    assert (first.arrays["images"] != other.arrays["images"]).any()


@EVERY_ALGORITHM
def test_a_classes_image_does_not_depend_on_the_other_targets(small, algorithm):
    every, part = run(algorithm, small[1]), run(algorithm, small[1], targets="2, 0")
    assert part.scores["trace_indices"] == [2, 0]
    for index in (0, 2):
        assert by_index(part)[index]["margin"] == pytest.approx(
            by_index(every)[index]["margin"], abs=1e-5
        )
    if algorithm != "gradient":  # where a batch of another size may round otherwise
        assert (images(part)[2] == images(every)[2]).all()


@pytest.mark.parametrize("algorithm", ["direct", "cppn"])
def test_margins_in_the_archive_never_fall(small, algorithm):
    outcome = run(algorithm, small[3])
    trace = outcome.arrays["trace"]
    assert trace.shape == (13, 4)
    assert (np.diff(trace, axis=0) >= 0).all()
    assert (trace[-1] > trace[0]).any()
    assert outcome.scores["evaluations"] == 13 * 20
    for one in outcome.scores["classes"]:
        column = trace[:, one["index"]]
        assert column[one["found_at"]] == np.float32(one["margin"])
        for name, p in archive.MILESTONES.items():
            above = np.flatnonzero(column >= np.float32(np.log(p / (1 - p))))
            assert one["milestones"][name] == (int(above[0]) if above.size else None)


@pytest.mark.parametrize("algorithm", ["direct", "cppn"])
def test_time_decides_how_far_the_work_gets_and_nothing_else(small, algorithm, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: float(next(clock)))
        cut = run(algorithm, small[1], generations=500, seconds=200)
    done = cut.scores["iterations"]
    assert 0 < done < 20
    assert not cut.scores["complete"]
    assert f"after {done} generation" in cut.scores["notes"][0]
    whole = run(algorithm, small[1], generations=done, seconds=0)
    assert whole.scores["complete"]
    np.testing.assert_array_equal(cut.arrays["images"], whole.arrays["images"])
    np.testing.assert_array_equal(cut.arrays["trace"], whole.arrays["trace"])


@EVERY_ALGORITHM
def test_a_cancelled_work_keeps_its_images(small, algorithm):
    partials, shares = [], []

    def progress(activity, share):
        shares.append(share)
        if len(shares) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(algorithm, small[1], partial=lambda make: partials.append(make()), progress=progress)
    assert shares == sorted(shares)
    last = partials[-1]
    last.check()
    conforms(FoolingAnswer, last.scores)
    assert (last.scores["complete"], last.scores["iterations"]) == (False, 4)
    assert last.arrays["trace"].shape == (5, 4)
    classes = by_index(last)
    for index, margin in margins_of_files(last, small[1]).items():
        assert margin == pytest.approx(classes[index]["margin"], abs=1e-4)


class Fixed(nn.Module):
    """Gives the same logits whatever it gets, or NaN where the picture is bright."""

    def __init__(self, logits, broken=False):
        super().__init__()
        self.logits, self.broken = nn.Parameter(torch.tensor(logits)), broken

    def forward(self, values):
        sums = values.flatten(1).sum(1, keepdim=True)
        values = self.logits + (torch.nan if self.broken else 0.0) * sums
        return values


@EVERY_ALGORITHM
def test_a_constant_model_is_fooled_by_nothing(algorithm):
    model = classifier(Fixed([2.0, 1.0, 1.0]), 4, classes=3)
    outcome = run(algorithm, model)
    p = np.exp(1) / (np.exp(1) + 2)
    assert by_index(outcome)[0]["probability"] == pytest.approx(p)
    assert by_index(outcome)[1]["probability"] == pytest.approx((1 - p) / 2)
    if algorithm == "gradient":
        assert "no way up" in outcome.scores["notes"][0]
        assert outcome.scores["iterations"] == 0


@EVERY_ALGORITHM
def test_without_a_finite_logit_there_is_no_image_and_no_error(algorithm):
    outcome = run(algorithm, classifier(Fixed([2.0, 1.0, 1.0], broken=True), 4, classes=3))
    assert outcome.scores["n_found"] == 0
    assert "images" not in outcome.arrays
    assert outcome.scores["not_finite"] == outcome.scores["evaluations"] > 0
    assert all(one["probability"] is None for one in outcome.scores["classes"])
    assert "not finite" in outcome.scores["notes"][-1]


class Dark(nn.Module):
    """A linear model whose numbers are not finite where the first pixel is bright."""

    def __init__(self):
        super().__init__()
        self.inner = mlp(16, 3)

    def forward(self, values):
        return torch.where(values[:, 0, 0, :1] > 0.5, torch.nan, self.inner(values))


def test_images_with_logits_that_are_not_finite_stay_out_of_the_archive():
    torch.manual_seed(0)
    outcome = run("direct", classifier(Dark(), 4, classes=3))
    assert outcome.scores["n_found"] == 3
    assert 0 < outcome.scores["not_finite"] < outcome.scores["evaluations"]
    assert (outcome.arrays["images"][:, 0, 0] <= 128).all()


@EVERY_ALGORITHM
def test_one_class_alone_cannot_be_fooled_but_one_yes_or_no_can(algorithm):
    torch.manual_seed(0)
    model = classifier(mlp(16, 1), 4, classes=1)
    model.spec = replace(model.spec, output=Output.LOGITS)
    with pytest.raises(InputError, match="one class"):
        run(algorithm, model)
    model.spec = replace(model.spec, output=Output.SIGMOID_LOGITS)
    outcome = run(algorithm, model)
    (margin,) = margins_of_files(outcome, model).values()
    assert by_index(outcome)[0]["margin"] == pytest.approx(margin, abs=1e-4)
    assert outcome.arrays["trace"][-1, 0] > outcome.arrays["trace"][0, 0]


@EVERY_ALGORITHM
@pytest.mark.parametrize("written", ["4", "-1", "a", "0,²", "1.0"])
def test_a_class_that_is_none_of_the_models_is_named(small, algorithm, written):
    with pytest.raises(OptionError, match=r"0 to 3.*got"):
        run(algorithm, small[1], targets=written)


def test_the_target_of_the_context_stands_where_none_is_named(small):
    assert run("gradient", small[1], target=2).scores["trace_indices"] == [2]
    assert run("gradient", small[1], target=2, targets="1").scores["trace_indices"] == [1]


@EVERY_ALGORITHM
def test_of_too_many_images_the_most_confident_are_sent(small, algorithm, monkeypatch):
    monkeypatch.setattr(archive, "IMAGE_BYTES", 2 * 64)
    outcome = run(algorithm, small[1])
    assert len(outcome.arrays["images"]) == 2
    assert (outcome.scores["n_found"], outcome.scores["images_left_out"]) == (4, 2)
    surest = sorted(outcome.scores["classes"], key=lambda one: one["one_minus_p"])
    assert outcome.scores["classes"] == surest
    assert outcome.scores["image_indices"] == [one["index"] for one in surest[:2]]


def test_a_long_trace_is_thinned_and_keeps_its_ends(small, monkeypatch):
    whole = run("direct", small[1])
    monkeypatch.setattr(archive, "TRACE_SIZE", 20)
    outcome = run("direct", small[1])
    at = outcome.scores["trace_iterations"]
    assert (at[0], at[-1], len(at)) == (0, 12, 5)
    np.testing.assert_array_equal(outcome.arrays["trace"], whole.arrays["trace"][at])


def test_only_the_ascent_needs_gradients():
    assert find("fooling/gradient_ascent").info.needs == (Need.GRADIENTS,)
    assert find("fooling/map_elites").info.needs == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["letters_conv", "letters_dense"])
def test_every_letter_is_reached_from_nothing(name):
    """With the default settings, and with an image that is grey but for a few levels."""
    source = ModelSource(samples.model_files()[name])
    result = LocalRunner().run(Request("fooling/gradient_ascent", source, seed=1))
    assert [one["name"] for one in result.scores["classes"] if one["one_minus_p"] > 1e-4] == []
    assert len(result.arrays["images"]) == 26
    assert result.arrays["images"].std((1, 2)).max() < 16
    for one in result.scores["classes"]:
        steps = [one["milestones"][name] for name in archive.MILESTONES]
        assert None not in steps
        assert steps == sorted(steps)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["direct", "cppn"])
def test_evolution_finds_most_letters_without_a_gradient(letters, encoding):
    options = {"encoding": encoding, "generations": 15, "children": 100, "seconds": 0}
    outcome = run("direct", letters, **options)
    sure = [one["name"] for one in outcome.scores["classes"] if one["probability"] > 0.9]
    assert len(sure) > 13


@pytest.mark.slow
def test_an_ensemble_is_fooled_as_any_model():
    first, second = (
        ModelSource(samples.model_files()[name]) for name in ("letters_conv", "letters_dense")
    )
    source = replace(first, others=(second,))
    options = {"targets": "3", "steps": 40}
    found = LocalRunner().run(Request("fooling/gradient_ascent", source, options=options))
    model = open_model(source, ())
    both = TorchClassifier(model.network, model.spec, model.spec.preprocessing)
    pixels = archive.as_pixels(list(found.arrays["images"]), Context(both))
    with torch.no_grad():
        margin = float(log_odds.margins(both.logits(pixels))[0, 3])
    assert found.scores["classes"][0]["margin"] == pytest.approx(margin, abs=1e-4)
    assert found.scores["classes"][0]["probability"] > 0.5
