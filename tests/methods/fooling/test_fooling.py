"""Fooling images: known optima, what is saved is what was measured, and every way it can fail."""

from __future__ import annotations

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
from diagnostics.methods.fooling import _ascent as ascent
from diagnostics.methods.fooling._elites import time
from diagnostics.methods.registry import find
from diagnostics.models import log_odds
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource, Request
from diagnostics.schema.spec import Need, Output
from tests.networks_for_tests import FunctionalResidual, classifier, linear, mlp

WAYS = {
    "gradient": ("gradient_ascent", {"steps": 60}),
    "direct": ("map_elites", {"encoding": "direct", "generations": 12, "children": 20}),
    "cppn": ("map_elites", {"encoding": "cppn", "generations": 12, "children": 20}),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def asked(way, model, *, seed=3, target=None, keep=lambda make: None, tell=None, **options):
    name, usual = WAYS[way]
    context = Context(
        model, seed=seed, target=target, partial=keep, progress=tell or (lambda doing, share: None)
    )
    outcome = find(f"fooling/{name}").function(context, **{**usual, **options})
    outcome.check()
    return outcome


def entries(outcome):
    return {one["index"]: one for one in outcome.scores["classes"]}


def pictures(outcome):
    return dict(zip(outcome.scores["pictures"], outcome.arrays["pictures"], strict=True))


def reading(outcome, model):
    """Return what the model says of each class's picture, read from a PNG file of it."""
    found = {}
    for index, picture in pictures(outcome).items():
        content = encode_png(picture[..., 0] if picture.shape[-1] == 1 else picture)
        pixels = Pipeline(model.preprocessing).run(decode(content))
        with torch.no_grad():
            logits = model.logits(torch.from_numpy(pixels)[None])
        found[index] = float(
            log_odds.margins(logits, independent=model.spec.output.independent)[0, index]
        )
    return found


def two_classes(seed=0, pixels=16, scale=0.6):
    """Return a linear softmax of two classes, and the largest margin of each on the box."""
    torch.manual_seed(seed)
    network = linear(pixels, 2)
    with torch.no_grad():
        network[1].weight.copy_(scale * torch.randn(2, pixels))
    model = classifier(network, int(pixels**0.5), classes=2)
    weight, bias = network[1].weight.double(), network[1].bias.double()
    w, b = weight[0] - weight[1], float(bias[0] - bias[1])
    return model, (float(w.clamp_min(0).sum()) + b, float((-w).clamp_min(0).sum()) - b)


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
@EVERY_WAY
def test_the_probability_that_is_told_is_that_of_the_file(small, way, channels):
    outcome = asked(way, small[channels])
    told = entries(outcome)
    assert outcome.arrays["pictures"].dtype == np.uint8
    for index, margin in reading(outcome, small[channels]).items():
        assert margin == pytest.approx(told[index]["margin"], abs=1e-4)
        p, distance = told[index]["probability"], told[index]["one_minus_p"]
        assert np.log(p / distance) == pytest.approx(margin, abs=1e-4)
    assert len(reading(outcome, small[channels])) == 4


@EVERY_WAY
@pytest.mark.parametrize("target", [0, 1])
def test_no_picture_passes_the_known_optimum_of_a_linear_model(way, target):
    model, best = two_classes()
    options = {"gradient": {"steps": 400, "decay": 0.0, "go_on": True}}.get(
        way, {"generations": 60, "children": 40}
    )
    found = entries(asked(way, model, target=target, **options))[target]["margin"]
    assert found <= best[target] + 1e-5
    assert found > {"gradient": 0.995, "direct": 0.95, "cppn": 0.5}[way] * best[target]


def test_a_step_goes_along_the_weights_alone_and_as_far_as_it_aims():
    model, _ = two_classes(pixels=400, scale=0.1)
    weight = model.network[1].weight
    w = (weight[0] - weight[1]).detach().reshape(1, 1, 20, 20)
    pixels = torch.rand(1, 1, 20, 20)
    target = torch.zeros(1, dtype=torch.long)
    before = log_odds.margin(model.logits(pixels), target).detach()
    step = ascent.moved(pixels, torch.tensor([0.25]), w) - pixels
    cosine = torch.nn.functional.cosine_similarity(step.flatten(), w.flatten(), dim=0)
    assert float(cosine) == pytest.approx(1, abs=1e-6)
    after = log_odds.margin(model.logits(pixels + step), target).detach()
    assert float(after - before) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.6, 0.71, 0.95, 0.9999])
def test_a_step_is_that_of_the_paper_on_the_probability(p):
    """Rate min(.03, .1 (1 − p)) / |g|², with g the gradient of p: the margin's times p (1 − p)."""
    gradient = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    of_p = p * (1 - p) * gradient
    expected = min(0.03, 0.1 * (1 - p)) / float(of_p.square().sum()) * of_p
    aimed = ascent.aim(torch.tensor([np.log(p / (1 - p))]))
    moved = ascent.moved(torch.zeros(1, 1, 3, 3, dtype=torch.float64), aimed, gradient)
    assert torch.allclose(moved, expected, rtol=1e-9)


def test_an_aim_stays_finite_where_the_probability_is_nothing_or_one():
    margins = torch.tensor([-2000.0, -60.0, 60.0, 2000.0]).double()
    assert ascent.aim(margins).tolist() == pytest.approx([ascent.MOST] * 2 + [0.1] * 2)


def test_a_step_that_gains_too_little_makes_the_next_one_longer_and_no_other_does():
    aimed = torch.full((5,), 0.1)
    gained = torch.tensor([0.02, 0.07, 0.2, -1.0, torch.nan])
    found = ascent.lengthened(torch.full((5,), 4.0), gained, aimed)
    assert found.tolist() == pytest.approx([5.0, 4.0, 3.2, 5.0, 4.0])
    assert ascent.lengthened(torch.tensor([15.0, 1.1]), gained[[0, 2]], aimed[:2]).tolist() == [
        ascent.LONGEST,
        1.0,
    ]


def test_a_picture_whose_gain_is_lost_in_rounding_is_reached_all_the_same():
    """Of 4096 pixels each would move by a fiftieth of a grey level with every step."""
    torch.manual_seed(0)
    network = linear(4096, 2)
    with torch.no_grad():
        network[1].weight.mul_(120)
        network[1].bias.zero_()
    model = classifier(network, 64, classes=2)
    outcome = asked("gradient", model, target=0, steps=200)
    assert entries(outcome)[0]["milestones"]["0.9999"] is not None
    assert np.abs(pictures(outcome)[0] - 127.5).max() < 12


def test_the_start_is_the_mean_colour_and_hardly_any_grain():
    settings = Preprocessing(
        fit="none", height=40, width=40, bgr=True, value_range=255, mean=(20, 100, 200)
    )
    torch.manual_seed(0)
    model = classifier(FunctionalResidual(classes=4), 40, channels=3, preprocessing=settings)
    first = ascent.start(Context(model), [2])[0] * 255
    assert first.mean((1, 2)).tolist() == pytest.approx([200, 100, 20], abs=0.2)
    assert first.std((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.1)
    assert ascent.mean_colour(Preprocessing()).flatten().tolist() == [0.5] * 3


def test_decay_pulls_back_to_the_mean_colour():
    model, _ = two_classes()
    strength = {
        decay: float(
            np.abs(pictures(asked("gradient", model, decay=decay, target=0))[0] - 127.5).sum()
        )
        for decay in (0.0, 0.1)
    }
    assert strength[0.1] < 0.8 * strength[0.0]


def test_a_class_ends_when_it_is_reached_unless_it_is_to_go_on(letters):
    ends, goes = (
        asked("gradient", letters, targets="3,7", steps=160, go_on=go_on) for go_on in (False, True)
    )
    for index in (3, 7):
        reached = entries(ends)[index]["milestones"]["0.9999"]
        assert entries(ends)[index]["step"] == reached
        assert np.isnan(
            ends.arrays["trace"][reached + 1 :, ends.scores["traced"].index(index)]
        ).all()
        assert entries(goes)[index]["one_minus_p"] < entries(ends)[index]["one_minus_p"]
    assert goes.scores["done"] == 160
    assert goes.scores["evaluations"] == 2 * 161


@EVERY_WAY
def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(small, way):
    first, again, other = (asked(way, small[1], seed=seed) for seed in (5, 5, 6))
    assert first.scores == again.scores
    assert first.arrays.keys() == again.arrays.keys()
    for name in first.arrays:
        np.testing.assert_array_equal(first.arrays[name], again.arrays[name])
    assert (first.arrays["pictures"] != other.arrays["pictures"]).any()


@EVERY_WAY
def test_a_classes_picture_does_not_depend_on_which_others_are_meant(small, way):
    whole, part = asked(way, small[1]), asked(way, small[1], targets="2, 0")
    assert part.scores["traced"] == [2, 0]
    for index in (0, 2):
        assert entries(part)[index]["margin"] == pytest.approx(
            entries(whole)[index]["margin"], abs=1e-5
        )
    if way != "gradient":  # where a batch of another size may round otherwise
        assert (pictures(part)[2] == pictures(whole)[2]).all()


@pytest.mark.parametrize("way", ["direct", "cppn"])
def test_what_the_archive_holds_never_gets_less_sure(small, way):
    outcome = asked(way, small[3])
    trace = outcome.arrays["trace"]
    assert trace.shape == (13, 4)
    assert (np.diff(trace, axis=0) >= 0).all()
    assert (trace[-1] > trace[0]).any()
    assert outcome.scores["evaluations"] == 13 * 20
    for one in outcome.scores["classes"]:
        column = trace[:, one["index"]]
        assert column[one["generation"]] == np.float32(one["margin"])
        for name, p in archive.MILESTONES.items():
            above = np.flatnonzero(column >= np.float32(np.log(p / (1 - p))))
            assert one["milestones"][name] == (int(above[0]) if above.size else None)


@pytest.mark.parametrize("way", ["direct", "cppn"])
def test_time_decides_how_far_the_work_gets_and_nothing_else(small, way, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: float(next(clock)))
        cut = asked(way, small[1], generations=500, seconds=200)
    done = cut.scores["done"]
    assert 0 < done < 20
    assert not cut.scores["complete"]
    assert f"after {done} generation" in cut.scores["notes"][0]
    whole = asked(way, small[1], generations=done, seconds=0)
    assert whole.scores["complete"]
    np.testing.assert_array_equal(cut.arrays["pictures"], whole.arrays["pictures"])
    np.testing.assert_array_equal(cut.arrays["trace"], whole.arrays["trace"])


@EVERY_WAY
def test_a_cancelled_work_keeps_what_it_found(small, way, monkeypatch):
    kept, told = [], []

    def tell(doing, share):
        told.append(share)
        if len(told) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(way, small[1], keep=lambda make: kept.append(make()), tell=tell)
    assert told == sorted(told)
    last = kept[-1]
    last.check()
    assert (last.scores["complete"], last.scores["done"]) == (False, 4)
    assert last.arrays["trace"].shape == (5, 4)
    told_of = entries(last)
    for index, margin in reading(last, small[1]).items():
        assert margin == pytest.approx(told_of[index]["margin"], abs=1e-4)


class Fixed(nn.Module):
    """Gives the same logits whatever it gets, or NaN where the picture is bright."""

    def __init__(self, logits, broken=False):
        super().__init__()
        self.logits, self.broken = nn.Parameter(torch.tensor(logits)), broken

    def forward(self, values):
        sums = values.flatten(1).sum(1, keepdim=True)
        values = self.logits + (torch.nan if self.broken else 0.0) * sums
        return values


@EVERY_WAY
def test_a_constant_model_is_fooled_by_nothing(way):
    model = classifier(Fixed([2.0, 1.0, 1.0]), 4, classes=3)
    outcome = asked(way, model)
    p = np.exp(1) / (np.exp(1) + 2)
    assert entries(outcome)[0]["probability"] == pytest.approx(p)
    assert entries(outcome)[1]["probability"] == pytest.approx((1 - p) / 2)
    if way == "gradient":
        assert "no way up" in outcome.scores["notes"][0]
        assert outcome.scores["done"] == 0


@EVERY_WAY
def test_where_no_number_is_finite_nothing_is_found_and_nothing_fails(way):
    outcome = asked(way, classifier(Fixed([2.0, 1.0, 1.0], broken=True), 4, classes=3))
    assert outcome.scores["found"] == 0
    assert "pictures" not in outcome.arrays
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


def test_pictures_that_are_not_finite_are_left_out_of_the_archive():
    torch.manual_seed(0)
    outcome = asked("direct", classifier(Dark(), 4, classes=3))
    assert outcome.scores["found"] == 3
    assert 0 < outcome.scores["not_finite"] < outcome.scores["evaluations"]
    assert (outcome.arrays["pictures"][:, 0, 0] <= 128).all()


@EVERY_WAY
def test_one_class_alone_cannot_be_fooled_but_one_yes_or_no_can(way):
    torch.manual_seed(0)
    model = classifier(mlp(16, 1), 4, classes=1)
    model.spec = replace(model.spec, output=Output.LOGITS)
    with pytest.raises(InputError, match="one class"):
        asked(way, model)
    model.spec = replace(model.spec, output=Output.SIGMOID_LOGITS)
    outcome = asked(way, model)
    (margin,) = reading(outcome, model).values()
    assert entries(outcome)[0]["margin"] == pytest.approx(margin, abs=1e-4)
    assert outcome.arrays["trace"][-1, 0] > outcome.arrays["trace"][0, 0]


@EVERY_WAY
@pytest.mark.parametrize("written", ["4", "-1", "a", "0,²", "1.0"])
def test_a_class_that_is_none_of_the_models_is_named(small, way, written):
    with pytest.raises(OptionError, match=r"0 to 3.*got"):
        asked(way, small[1], targets=written)


def test_the_class_that_is_meant_stands_where_none_is_named(small):
    assert asked("gradient", small[1], target=2).scores["traced"] == [2]
    assert asked("gradient", small[1], target=2, targets="1").scores["traced"] == [1]


@EVERY_WAY
def test_pictures_that_are_too_many_leave_the_surest(small, way, monkeypatch):
    monkeypatch.setattr(archive, "PICTURE_BYTES", 2 * 64)
    outcome = asked(way, small[1])
    assert len(outcome.arrays["pictures"]) == 2
    assert (outcome.scores["found"], outcome.scores["without_picture"]) == (4, 2)
    surest = sorted(outcome.scores["classes"], key=lambda one: one["one_minus_p"])
    assert outcome.scores["classes"] == surest
    assert outcome.scores["pictures"] == [one["index"] for one in surest[:2]]


def test_a_long_trace_is_thinned_and_keeps_its_ends(small, monkeypatch):
    whole = asked("direct", small[1])
    monkeypatch.setattr(archive, "TRACED", 20)
    outcome = asked("direct", small[1])
    at = outcome.scores["trace_at"]
    assert (at[0], at[-1], len(at)) == (0, 12, 5)
    np.testing.assert_array_equal(outcome.arrays["trace"], whole.arrays["trace"][at])


def test_only_the_ascent_needs_gradients():
    assert find("fooling/gradient_ascent").info.needs == (Need.GRADIENTS,)
    assert find("fooling/map_elites").info.needs == ()


@pytest.mark.parametrize("name", ["letters_conv", "letters_dense"])
def test_every_letter_is_reached_from_nothing(name):
    """With the default settings, and with a picture that is grey but for a few levels."""
    source = ModelSource(samples.model_files()[name])
    result = LocalRunner().run(Request("fooling/gradient_ascent", source, seed=1))
    assert [one["class"] for one in result.scores["classes"] if one["one_minus_p"] > 1e-4] == []
    assert len(result.arrays["pictures"]) == 26
    assert result.arrays["pictures"].std((1, 2)).max() < 16
    for one in result.scores["classes"]:
        steps = [one["milestones"][name] for name in archive.MILESTONES]
        assert None not in steps
        assert steps == sorted(steps)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["direct", "cppn"])
def test_evolution_finds_most_letters_without_a_gradient(letters, encoding):
    options = {"encoding": encoding, "generations": 15, "children": 100, "seconds": 0}
    outcome = asked("direct", letters, **options)
    sure = [one["class"] for one in outcome.scores["classes"] if one["probability"] > 0.9]
    assert len(sure) > 13


def test_an_ensemble_is_fooled_as_any_model():
    first, second = (
        ModelSource(samples.model_files()[name]) for name in ("letters_conv", "letters_dense")
    )
    source = replace(first, others=(second,))
    options = {"targets": "3", "steps": 40}
    found = LocalRunner().run(Request("fooling/gradient_ascent", source, options=options))
    model = open_model(source, ())
    both = TorchClassifier(model.network, model.spec, model.spec.preprocessing)
    pixels = archive.pixels_of(list(found.arrays["pictures"]), Context(both))
    with torch.no_grad():
        margin = float(log_odds.margins(both.logits(pixels))[0, 3])
    assert found.scores["classes"][0]["margin"] == pytest.approx(margin, abs=1e-4)
    assert found.scores["classes"][0]["probability"] > 0.5
