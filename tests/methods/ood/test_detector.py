"""Where a score stands among calibration images, how often a flag is wrong, what is left out."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.data import samples
from diagnostics.data.folder import UNKNOWN
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context
from diagnostics.methods.ood._score import SCORES
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.methods.registry import methods
from diagnostics.metrics.intervals import conformal_threshold, false_alarm_interval
from diagnostics.models.features import Features, extract_features, head_weights
from diagnostics.reference.running_sums import running_sums
from diagnostics.reference.statistics import Half, Reference, ReferenceBuilder
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import LayerInfo, Need, Output
from tests.independent.slow_scores import slow_p_value
from tests.networks_for_tests import Attends, FunctionalResidual, classifier, vit

ALPHAS = (0.001, 0.01, 0.05, 0.1, 0.29, 0.3, 1 / 3, 0.5)
RAW = {"energy", "max_logit", "react", "vim"}
OF_PROBABILITIES = {"msp", "entropy", "gen"}
NAMES = {one.info.id.removeprefix("ood/") for one in methods("score")}
FITTED = {name for name, details in SCORES.items() if details.fit}
LABELLED = {"mahalanobis", "relative_mahalanobis", "kl_matching", "scaled_msp"}


@cache
def network():
    torch.manual_seed(0)
    return classifier(FunctionalResidual(classes=4), 16, channels=3)


def with_logits(values):
    """Return what a network gave whose score `max_logit` is these values."""
    logits = torch.as_tensor(-np.asarray(values, np.float32))[:, None].repeat(1, 2)
    empty = torch.zeros(len(logits), 0)
    return Features(logits, empty, torch.zeros(0), empty)


def detector_of(values):
    """Return a detector whose calibration images score these values by `max_logit`."""
    half = Half(with_logits(values), torch.full((len(values),), UNKNOWN))
    return OODDetector(replace(network().spec, offers=frozenset()), Reference(half, half, {}, {}))


def reference_of(model, labelled=True, count=60):
    """Return a reference of random images."""
    builder, generator = ReferenceBuilder(model), torch.Generator().manual_seed(2)
    for half in (0, 1):
        shape = (count, model.spec.channels, model.spec.height, model.spec.width)
        pixels = torch.rand(shape, generator=generator)
        labels = torch.arange(count) % 4 if labelled else torch.full((count,), UNKNOWN)
        builder.add(extract_features(model, pixels), labels, pixels, half)
    return builder.build({})


@pytest.mark.parametrize("count", [5, 19, 20, 99, 100, 357])
@pytest.mark.parametrize("ties", [False, True])
def test_the_p_value_the_percentile_and_the_flag_equal_counting(count, ties):
    random = np.random.default_rng(count)
    calibration = random.integers(0, 9, count) if ties else random.normal(size=count)
    calibration = calibration.astype(np.float32).astype(np.float64)
    detector = detector_of(calibration)
    near = [calibration[:20], calibration[:5] + 1e-5]
    values = np.concatenate([*near, [-99.0, 99.0], random.normal(size=5)])
    for alpha in ALPHAS:
        for value in values:
            placement = detector.place("max_logit", float(value), alpha)
            p_value = slow_p_value(value, calibration)
            assert placement["p_value"] == pytest.approx(float(p_value), abs=1e-15)
            assert placement["flagged"] is bool(float(p_value) <= alpha)
            below = sum(other < value for other in calibration)
            assert placement["percentile"] == pytest.approx(100 * below / count)
            assert (placement["n"], placement["value"]) == (count, value)


@pytest.mark.parametrize("count", [5, 19, 20, 100])
@pytest.mark.parametrize("ties", [False, True])
def test_an_image_is_flagged_exactly_from_the_threshold_on(count, ties):
    random = np.random.default_rng(count)
    calibration = random.integers(0, 6, count) if ties else random.normal(size=count)
    calibration = calibration.astype(np.float32).astype(np.float64)
    detector = detector_of(calibration)
    near = [np.nextafter(calibration, np.inf), np.nextafter(calibration, -np.inf)]
    values = np.concatenate([calibration, *near, calibration + 0.01, [-1e9, 1e9]])
    for alpha in ALPHAS:
        threshold = detector.threshold("max_logit", alpha)
        for value in values:
            flagged = detector.place("max_logit", float(value), alpha)["flagged"]
            assert flagged is bool(threshold is not None and value >= threshold)


def test_so_few_images_that_nothing_can_be_flagged_have_no_threshold_and_a_note():
    detector = detector_of(np.arange(18.0))
    assert detector.threshold("max_logit", 0.05) is None
    assert detector.place("max_logit", 1e9, 0.05)["flagged"] is False
    assert "nothing is ever flagged" in detector.false_alarms(0.05)["note"]
    enough = detector_of(np.arange(19.0))
    assert enough.place("max_logit", 18.0, 0.05)["flagged"] is False
    assert enough.place("max_logit", 18.5, 0.05)["flagged"] is True


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("ties", [False, True])
def test_false_alarms_stay_within_the_promised_rate(n, ties):
    """Over random splits, no more new good images are flagged than alpha, plus chance.

    Of each of many calibration sets one new image is scored, so that flags are independent. Without
    ties the rate is floor(alpha (n + 1)) / (n + 1) exactly; ties can only lower it.
    """
    random, splits, alpha, flagged = np.random.default_rng(7), 400, 0.05, 0
    for _ in range(splits):
        drawn = random.normal(size=n + 1).astype(np.float32).astype(np.float64)
        drawn = drawn.round(1) if ties else drawn
        threshold = detector_of(drawn[:-1]).threshold("max_logit", alpha)
        flagged += float(np.float32(drawn[-1])) >= threshold  # as the network's logits are
    exact = math.floor(alpha * (n + 1)) / (n + 1)
    band = 3.3 * math.sqrt(alpha * (1 - alpha) / splits)  # one in a thousand, both sides
    assert flagged / splits <= alpha + band
    if not ties:
        assert flagged / splits == pytest.approx(exact, abs=band)


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200, 1000])
def test_the_rate_of_one_calibration_set_lies_in_the_interval_that_is_promised(n):
    """With uniform scores a threshold's true rate is one minus it; 95 % lie in the interval."""
    random, inside, sets = np.random.default_rng(3), 0, 200
    for _ in range(sets):
        detector = detector_of(random.random(n))
        promise = detector.false_alarms(0.1)
        inside += promise["low"] <= 1 - detector.threshold("max_logit", 0.1) <= promise["high"]
    assert promise["n"] == n
    assert promise["promised"] == 0.1
    assert (promise["low"], promise["high"]) == false_alarm_interval(n, 0.1)
    assert inside / sets == pytest.approx(0.95, abs=3.3 * math.sqrt(0.95 * 0.05 / sets))


def drawn(kind, count, generator):
    """Return what a network might give for images that are all drawn in the same way."""
    pool = count if kind != "duplicates" else 30
    logits = torch.randn(pool, 4, generator=generator) * 2
    features, layers = (torch.randn(pool, d, generator=generator) for d in (5, 6))
    if kind == "heavy tails":
        features, layers = features.exp(), (2 * layers).exp()
    elif kind == "ties":
        logits, features, layers = logits.round(), features.round(), layers.round()
    outputs = Features(logits, features, torch.zeros(0), layers)
    return (
        outputs.select(torch.randint(pool, (count,), generator=generator))
        if pool < count
        else outputs
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 39, 200])
@pytest.mark.parametrize("kind", ["heavy tails", "ties", "duplicates"])
def test_combined_evidence_flags_no_more_good_images_than_promised_however_few_judge(n, kind):
    """A folder is dealt to two halves of n; of each folder 20 new images are scored."""
    generator, splits, new, alpha = torch.Generator().manual_seed(5), 60, 20, 0.05
    spec = replace(network().spec, offers=frozenset({Need.FEATURES, Need.LAYERS}))
    rates = []
    for _ in range(splits):
        outputs = drawn(kind, 2 * n + new, generator)
        halves = [
            Half(outputs.select(torch.arange(start, start + n)), torch.full((n,), UNKNOWN))
            for start in (0, n)
        ]
        sums = running_sums(halves[0].outputs, halves[0].labels)
        detector = OODDetector(spec, Reference(*halves, sums, {}))
        values = detector.score("combined", outputs.select(torch.arange(2 * n, 2 * n + new)))
        judging = np.sort(detector.score("combined", halves[1].outputs))
        rates.append(float((values >= conformal_threshold(judging, alpha)).mean()))
    exact = alpha * (1 - alpha)
    band = 2.6 * math.sqrt(exact / splits * (1 / n + 1 / new))
    assert np.mean(rates) <= alpha + band


@pytest.mark.slow
def test_twenty_judging_images_keep_the_promise_on_a_real_networks_features():
    """A folder of 40 letters, dealt anew each time; the other letters are the new images."""
    model = open_model(ModelSource(samples.model_files()["letters_conv"]), ()).classifier()
    context = Context(model, folder=samples.folders()["in_distribution"])
    _, _, outputs = context.features(context.in_distribution(), "")
    head = head_weights(model, torch.rand(2, 1, 28, 28))
    spec = replace(model.spec, offers=frozenset({Need.FEATURES, Need.LAYERS}))
    random, alpha, rates = np.random.default_rng(1), 0.05, []
    for _ in range(80):
        order = torch.from_numpy(random.permutation(len(outputs.logits)))
        halves = [
            Half(outputs.select(rows), torch.full((20,), UNKNOWN)) for rows in order[:40].split(20)
        ]
        sums = running_sums(halves[0].outputs, halves[0].labels)
        detector = OODDetector(spec, Reference(*halves, {**sums, **head}, {}))
        values = detector.score("combined", outputs.select(order[40:]))
        judging = np.sort(detector.score("combined", halves[1].outputs))
        rates.append(float((values >= conformal_threshold(judging, alpha)).mean()))
    assert np.mean(rates) <= alpha + 2.6 * np.std(rates, ddof=1) / len(rates) ** 0.5


def test_without_a_reference_scores_have_values_and_no_place():
    detector = OODDetector(network().spec, None)
    assert set(detector.names) == OF_PROBABILITIES | {"energy", "max_logit", "batchnorm_deviation"}
    assert set(detector.left_out) == FITTED
    assert all("known-good images" in why for why in detector.left_out.values())
    assert (detector.default, detector.calibration_scores, detector.threshold("msp", 0.05)) == (
        "msp",
        {},
        None,
    )
    placed = detector.place("msp", 0.25, 0.05)
    assert (placed["value"], placed["p_value"], placed["flagged"]) == (0.25, None, None)
    assert detector.false_alarms(0.05)["n"] == 0
    assert "No known-good images" in detector.false_alarms(0.05)["note"]


def test_with_labelled_images_no_score_is_left_out():
    detector = OODDetector(network().spec, reference_of(network()))
    assert set(detector.names) == NAMES
    assert detector.left_out == {}
    assert detector.default == "combined"
    assert set(detector.exportable) == NAMES - {"batchnorm_deviation"}


def test_without_labels_the_scores_that_need_them_say_so():
    detector = OODDetector(network().spec, reference_of(network(), labelled=False))
    assert set(detector.left_out) == LABELLED
    assert all("labelled images" in why for why in detector.left_out.values())


class Ends(nn.Module):
    def __init__(self, last):
        super().__init__()
        torch.manual_seed(0)
        self.whole, self.last = FunctionalResidual(classes=4), last

    def forward(self, values):
        return self.last(self.whole(values))


@pytest.mark.parametrize(
    ("last", "output"),
    [(nn.Softmax(1), Output.PROBABILITIES), (nn.LogSoftmax(1), Output.LOG_PROBABILITIES)],
)
def test_after_a_softmax_the_scores_that_read_the_size_of_logits_are_left_out(last, output):
    model = classifier(Ends(last), 16, channels=3)
    assert model.spec.output is output
    detector = OODDetector(model.spec, reference_of(model))
    assert set(detector.left_out) == RAW
    assert all("softmax" in why for why in detector.left_out.values())


def test_of_independent_outputs_the_scores_that_compare_classes_are_left_out():
    spec = replace(network().spec, output=Output.SIGMOID_LOGITS)
    detector = OODDetector(spec, reference_of(network()))
    comparing = OF_PROBABILITIES | {"scaled_msp", "kl_matching", "combined", "energy"}
    assert comparing <= set(detector.left_out)
    assert all("independent" in detector.left_out[name] for name in comparing)
    assert {"knn", "mahalanobis", "layer_statistics", "batchnorm_deviation"} <= set(detector.names)
    assert not {"react", "vim"} & set(detector.names)  # both are energies, and energy compares


@pytest.mark.parametrize("way", ["module", "fused", "softmax"])
def test_where_a_network_attends_energy_is_left_out(way):
    torch.manual_seed(0)
    model = classifier(Attends(way, channels=3), 16, channels=3)
    left_out = OODDetector(model.spec, reference_of(model)).left_out
    assert "transformers" in left_out["energy"]
    assert {"energy", "batchnorm_deviation"} == set(left_out)


def test_torchvisions_transformer_drops_energy_and_keeps_the_distances():
    torch.manual_seed(0)
    model = classifier(vit(), 16, channels=3)
    detector = OODDetector(model.spec, reference_of(model))
    assert "energy" in detector.left_out
    assert {"mahalanobis", "relative_mahalanobis", "knn", "gen"} <= set(detector.names)


def test_a_convolutional_network_without_attention_keeps_energy():
    assert not any(layer.kind == "attention" for layer in network().spec.layers)
    assert "energy" in OODDetector(network().spec, None).names
    attending = (*network().spec.layers, LayerInfo("block.attention", "attention", (2, 4, 4)))
    detector = OODDetector(replace(network().spec, layers=attending), None)
    assert "energy" not in detector.names


class Headless(nn.Module):
    """A network that ends without a layer that multiplies: its classes are averaged maps."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, values):
        return self.conv(values).mean((2, 3))


def test_a_score_of_logits_alone_needs_no_last_layer_even_where_it_needs_labels():
    """A temperature and KL matching read logits and labels, which are all there."""
    model = classifier(Headless(), 16, channels=3)
    assert model.spec.head == ""
    detector = OODDetector(model.spec, reference_of(model))
    assert {"knn", "mahalanobis", "vim", "react", "combined"} <= set(detector.left_out)
    assert {"scaled_msp", "kl_matching"} <= set(detector.names)


def test_an_image_whose_logits_are_not_finite_has_no_value_and_no_place():
    detector, outputs = detector_of(np.arange(100.0)), with_logits([1.0, np.nan, 2.0])
    values = detector.score("max_logit", outputs)
    assert values[[0, 2]].tolist() == [1.0, 2.0]
    assert np.isnan(values[1])
    placed = detector.place("max_logit", float(values[1]), 0.05)
    assert (placed["value"], placed["p_value"], placed["flagged"]) == (None, None, None)


def test_what_is_described_names_every_score_once_with_its_reason_or_threshold():
    detector = OODDetector(network().spec, reference_of(network(), labelled=False))
    overview = detector.overview(0.1)
    available = {one["method"]: one for one in overview["available"]}
    left_out = {one["method"]: one for one in overview["left_out"]}
    assert set(available) | set(left_out) == {f"ood/{name}" for name in NAMES}
    assert not set(available) & set(left_out)
    assert all(one["blind"].endswith(".") and one["source"] for one in available.values())
    assert all(one["reason"].endswith(".") for one in left_out.values())
    assert all(
        one["threshold"] == detector.threshold(name.removeprefix("ood/"), 0.1)
        for name, one in available.items()
    )
    assert overview["default"] == "ood/combined"


def test_a_reference_from_before_batchnorm_was_seen_leaves_its_score_out():
    reference = reference_of(network())

    def blind(half):
        return replace(half, outputs=replace(half.outputs, batchnorm=torch.zeros(0)))

    older = replace(reference, fit=blind(reference.fit), calibration=blind(reference.calibration))
    detector = OODDetector(network().spec, older)
    assert "batchnorm_deviation" in OODDetector(network().spec, reference).names
    assert "make it anew" in detector.left_out["batchnorm_deviation"]
