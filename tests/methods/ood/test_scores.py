"""OOD scores against slow second implementations and pytorch-ood."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.ood._score import LABELS_PER_CLASS, SCORES, check
from diagnostics.methods.ood.kl_matching import fit as fit_kl_matching
from diagnostics.methods.ood.vim import dimensions
from diagnostics.methods.registry import find, methods
from diagnostics.models.features import Features, extract_features
from diagnostics.models.guard import Outputs
from diagnostics.models.standalone import standalone_source
from diagnostics.reference.statistics import Half, Reference, ReferenceBuilder
from tests.independent import slow_scores as slow
from tests.networks_for_tests import FunctionalResidual, classifier

FITTING, JUDGING, CLASSES, SIDE = 240, 40, 5, 16
OF_LOGITS = {
    "msp": slow.slow_msp,
    "entropy": slow.slow_entropy,
    "max_logit": slow.slow_max_logit,
    "energy": slow.slow_energy,
    "gen": slow.slow_gen,
}


@cache
def network():
    """Return a random network whose features have full rank and whose answers vary."""
    torch.manual_seed(1)
    model = FunctionalResidual(classes=CLASSES)
    nn.init.normal_(model.stem.weight, std=1)
    nn.init.normal_(model.body.weight, std=0.3)
    nn.init.normal_(model.fc.weight, std=1)
    model.norm.running_mean.normal_(std=0.3)
    model.norm.running_var.uniform_(0.1, 1)
    nn.init.constant_(model.norm.bias, 0.5)
    return classifier(model, SIDE, channels=3, classes=CLASSES)


def images(count, seed):
    generator = torch.Generator().manual_seed(seed)
    shade = torch.rand(count, 3, 1, 1, generator=generator)
    grain = torch.rand(count, 3, SIDE, SIDE, generator=generator) - 0.5
    return (shade + torch.rand(count, 1, 1, 1, generator=generator) * grain).clamp(0, 1)


@cache
def reference_of(labelled=1.0):
    """Return a reference of random images.

    Args:
        labelled: Share of the images that carry a label.
    """
    builder, generator = ReferenceBuilder(network()), torch.Generator().manual_seed(9)
    for half, count in enumerate((FITTING, JUDGING)):
        pixels = images(count, half)
        outputs = extract_features(network(), pixels)
        labels = torch.randint(CLASSES, (count,), generator=generator)
        labels[torch.rand(count, generator=generator) >= labelled] = UNKNOWN
        builder.add(outputs, labels, pixels, half)
    return builder.build({})


@cache
def ood_outputs():
    """Return what the network gives for new images, some of them far from the others."""
    parts = [
        extract_features(network(), images(12, 7)),
        extract_features(network(), torch.rand(12, 3, SIDE, SIDE)),
    ]
    return Features(
        *(torch.cat([getattr(one, part) for one in parts]) for part in Features.__annotations__)
    )


def scores(name, outputs, reference=None):
    fit = SCORES[name].fit
    values = find(f"ood/{name}").function(outputs, fit(reference) if fit and reference else {})
    check(values, outputs)
    return values.numpy()


def rows(tensor):
    return tensor.double().numpy()


def of_logits(logits, name):
    logits = torch.as_tensor(logits)
    outputs = Features(
        logits, torch.zeros(len(logits), 0), torch.zeros(0), torch.zeros(len(logits), 0)
    )
    return scores(name, outputs)


def test_the_network_of_these_tests_says_several_classes_and_shrinks_nothing():
    reference = reference_of()
    outputs = reference.fit.outputs
    assert len(outputs.logits.argmax(1).unique()) >= 3
    assert 5 * outputs.features.shape[1] < FITTING
    assert 5 * outputs.layers.shape[1] < FITTING
    assert np.linalg.matrix_rank(np.cov(rows(outputs.features).T)) == outputs.features.shape[1]


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_score_of_logits_equals_the_slow_one(name):
    logits = np.random.default_rng(1).normal(0, 4, (30, 7))
    expected = [OF_LOGITS[name](list(row)) for row in logits]
    assert of_logits(logits, name) == pytest.approx(expected, rel=1e-12)
    outputs = ood_outputs()
    expected = [OF_LOGITS[name](list(row)) for row in rows(outputs.logits)]
    assert scores(name, outputs) == pytest.approx(expected, rel=1e-9)


def test_gen_counts_the_hundred_most_probable_of_more_classes():
    logits = np.random.default_rng(2).normal(0, 3, (5, 250))
    assert of_logits(logits, "gen") == pytest.approx([slow.slow_gen(list(row)) for row in logits])
    whole = [slow.slow_gen(list(row), most=250) for row in logits]
    assert (of_logits(logits, "gen") < 0.95 * np.array(whole)).all()


def test_kl_matching_equals_the_slow_one():
    reference, outputs = reference_of(), ood_outputs()
    templates = [list(row) for row in rows(reference.fit.outputs.logits)]
    expected = [slow.slow_kl_matching(list(row), templates) for row in rows(outputs.logits)]
    assert scores("kl_matching", outputs, reference) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_knn_equals_the_slow_one_at_a_twentieth_of_the_images():
    reference, outputs = reference_of(), ood_outputs()
    bank, k = rows(reference.fit.outputs.features), FITTING // 20
    expected = [slow.slow_knn(one, bank, k) for one in rows(outputs.features)]
    assert scores("knn", outputs, reference) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("count", "k"), [(10, 1), (19, 1), (40, 2), (999, 49), (1500, 50)])
def test_knn_counts_a_twentieth_of_the_images_but_fifty_at_most(count, k):
    features = torch.rand(count, 3, dtype=torch.float64)
    empty = torch.zeros(count, 0)
    outputs = Features(torch.zeros(count, 2), features, torch.zeros(0), empty)
    half = Half(outputs, torch.zeros(count, dtype=torch.int64))
    queries = outputs.select(torch.arange(4))
    expected = [slow.slow_knn(one, features.numpy(), k) for one in queries.features.numpy()]
    found = scores("knn", queries, Reference(half, half, {}, {}))
    assert found == pytest.approx(expected, abs=1e-7)  # an image's own distance is zero


def test_react_equals_the_slow_one():
    reference, outputs, last = reference_of(), ood_outputs(), network().network.fc
    fitting = rows(reference.fit.outputs.features), rows(last.weight), rows(last.bias)
    expected = [slow.slow_react(one, *fitting) for one in rows(outputs.features)]
    assert scores("react", outputs, reference) == pytest.approx(expected, rel=1e-5)


def test_vim_equals_the_slow_one():
    reference, outputs, last = reference_of(), ood_outputs(), network().network.fc
    features, logits = (rows(part) for part in (reference.fit.outputs.features, outputs.logits))
    half = features.shape[1] // 2
    own = rows(reference.fit.outputs.logits), rows(last.weight), rows(last.bias)
    vim = slow.SlowVim(features, *own, half)
    expected = [vim.score(*one) for one in zip(rows(outputs.features), logits, strict=True)]
    assert scores("vim", outputs, reference) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("width", "kept"),
    [(2048, 1000), (1536, 1000), (1500, 512), (768, 512), (767, 383), (64, 32), (1, 1)],
)
def test_vim_keeps_as_many_directions_as_the_paper(width, kept):
    assert dimensions(width) == kept


@pytest.mark.parametrize("labelled", [1.0, 0.7])
def test_mahalanobis_and_relative_mahalanobis_equal_the_slow_ones(labelled):
    reference, outputs = reference_of(labelled), ood_outputs()
    features, labels = rows(reference.fit.outputs.features), reference.fit.labels.numpy()
    slowly = slow.SlowMahalanobis(features, labels, LABELS_PER_CLASS)
    expected = [slowly.score(one) for one in rows(outputs.features)]
    assert scores("mahalanobis", outputs, reference) == pytest.approx(expected, rel=1e-7)
    expected = [slowly.relative(one) for one in rows(outputs.features)]
    found = scores("relative_mahalanobis", outputs, reference)
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_a_class_with_too_few_labelled_images_has_no_mean_to_be_near_to():
    reference = reference_of()
    features, labels = reference.fit.outputs.features, reference.fit.labels.clone()
    rare = torch.nonzero(labels == 2)[:, 0]
    labels[rare[LABELS_PER_CLASS - 1 :]] = UNKNOWN
    builder = ReferenceBuilder(network())
    builder.add(reference.fit.outputs, labels, torch.zeros(FITTING, 3, SIDE, SIDE), 0)
    judging = reference.calibration
    builder.add(judging.outputs, judging.labels, torch.zeros(JUDGING, 3, SIDE, SIDE), 1)
    slowly = slow.SlowMahalanobis(rows(features), labels.numpy(), LABELS_PER_CLASS)
    assert len(slowly.means) == CLASSES - 1
    outputs = Features(*(part[rare] for part in vars(reference.fit.outputs).values()))
    expected = [slowly.score(one) for one in rows(outputs.features)]
    assert scores("mahalanobis", outputs, builder.build({})) == pytest.approx(expected, rel=1e-7)


def test_layer_statistics_equal_the_slow_distance_of_means_and_deviations():
    reference, outputs = reference_of(), ood_outputs()
    layers = rows(reference.fit.outputs.layers)
    expected = [slow.slow_distance(one, layers) for one in rows(outputs.layers)]
    assert scores("layer_statistics", outputs, reference) == pytest.approx(expected, rel=1e-6)


def test_the_layer_statistics_are_those_of_the_first_layer_that_normalises():
    pixels = images(6, 3)
    with torch.no_grad():
        maps = rows(network().network.norm(network().network.stem(pixels)))
    expected = [
        [channel.mean() for channel in one] + [channel.std() for channel in one] for one in maps
    ]
    found = extract_features(network(), pixels).layers.numpy()
    assert found == pytest.approx(np.array(expected), rel=1e-4, abs=1e-5)


def test_batchnorm_deviation_equals_the_slow_one_averaged_over_layers():
    torch.manual_seed(0)
    stack = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, eps=0.01), nn.Flatten(), nn.Linear(6 * 144, 4),
    )  # fmt: skip
    for norm in (stack[1], stack[4]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.01, 2)
    model, pixels = classifier(stack, SIDE, channels=3), images(5, 1)
    expected = []
    with torch.no_grad():
        for image in pixels:
            deviations = []
            for place in (1, 4):
                norm = stack[place]
                values = rows(stack[:place](image[None])[0])
                memory = rows(norm.running_mean), rows(norm.running_var)
                deviations.append(slow.slow_deviation(values, *memory, norm.eps))
            expected.append(sum(deviations) / 2)
    assert scores("batchnorm_deviation", extract_features(model, pixels)) == pytest.approx(
        expected, rel=1e-4
    )


def slow_parts(fit, outputs):
    """Return what each part of the combined evidence gives for images, fitted on others."""
    logits, features, layers = (rows(part) for part in (fit.logits, fit.features, fit.layers))
    classes, last = logits.argmax(1), [rows(part) for part in network().network.fc.parameters()]
    given = [rows(part) for part in (outputs.logits, outputs.features, outputs.layers)]
    found = {
        "msp": [slow.slow_msp(list(row)) for row in given[0]],
        "layer_statistics": [slow.slow_distance(row, layers) for row in given[2]],
        "react": [slow.slow_react(row, features, *last) for row in given[1]],
    }
    if len(logits) >= 4 * len(set(classes)):
        own = slow.SlowMahalanobis(features, classes)
        found["relative_mahalanobis"] = [own.relative(row) for row in given[1]]
        found["mahalanobis"] = [own.score(row) for row in given[1]]
    else:
        k = max(1, len(features) // 20)
        found["knn"] = [slow.slow_knn(row, features, k) for row in given[1]]
    return found


def test_combined_evidence_equals_the_slow_one_which_ranks_among_images_of_other_folds():
    reference, outputs = reference_of(), ood_outputs()
    fit, folds = reference.fit.outputs, torch.arange(FITTING) % 5
    held_out = {}
    for fold in range(5):
        found = slow_parts(fit.select(folds != fold), fit.select(folds == fold))
        for name, values in found.items():
            held_out.setdefault(name, []).extend(values)
    always = {"msp", "react", "relative_mahalanobis"}
    assert set(held_out) == always | {"mahalanobis", "layer_statistics"}
    values = slow_parts(fit, outputs)
    tails = {"mahalanobis", "layer_statistics"}
    expected = [
        slow.slow_combined({name: values[name][row] for name in values}, held_out, tails)
        for row in range(len(outputs.logits))
    ]
    assert scores("combined", outputs, reference) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_labels_change_nothing_of_the_combined_evidence():
    expected = scores("combined", ood_outputs(), reference_of(1.0))
    assert scores("combined", ood_outputs(), reference_of(0.0)).tolist() == expected.tolist()


def test_with_few_images_of_each_class_neighbours_stand_for_class_means():
    reference = reference_of()
    few = reference.fit.outputs.select(torch.arange(12))
    classes = few.logits.argmax(1).unique()
    assert len(few.logits) < 4 * len(classes)
    half = Half(few, torch.full((12,), UNKNOWN))
    fitted = SCORES["combined"].fit(Reference(half, reference.calibration, {}, {}))
    parts = {key.partition("__")[0] for key in fitted if key.endswith("__held_out")}
    assert parts == {"msp", "knn", "layer_statistics"}


def test_the_fitted_temperature_makes_doubt_the_share_of_mistakes():
    """Margin 10 and four of five right: T = 10 / log 4, and then p = 0.8 for each image."""
    logits = torch.tensor([[10.0, 0.0]]).repeat(100, 1)
    labels = (torch.arange(100) % 5 == 0).long()
    empty = torch.zeros(100, 0)
    outputs = Features(logits, empty, torch.zeros(0), empty)
    half = Half(outputs, labels)
    reference = Reference(half, half, {}, {})
    assert float(SCORES["scaled_msp"].fit(reference)["temperature"]) == pytest.approx(
        10 / math.log(4), rel=1e-6
    )
    assert scores("scaled_msp", outputs, reference) == pytest.approx([0.2] * 100, rel=1e-6)
    unlabelled = labels.clone()
    unlabelled[:50] = UNKNOWN  # ten of the other fifty are wrong, so nothing changes
    half = Half(outputs, unlabelled)
    found = scores("scaled_msp", outputs, Reference(half, half, {}, {}))
    assert found == pytest.approx([0.2] * 100, rel=1e-6)


@pytest.fixture
def theirs():
    """Return pytorch-ood's detectors, computing in float64 as far as they can."""
    detector = pytest.importorskip("pytorch_ood.detector")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield detector
    torch.set_default_dtype(before)


@pytest.mark.parametrize(
    ("name", "peer", "offset", "factor"),
    [
        ("msp", "MaxSoftmax", 1, 1),
        ("entropy", "Entropy", 0, 1),
        ("max_logit", "MaxLogit", 0, 1),
        ("energy", "EnergyBased", 0, 1),
        ("gen", "GEN", 0, CLASSES),
    ],
)
def test_a_score_of_logits_equals_pytorch_oods(theirs, name, peer, offset, factor):
    outputs = ood_outputs()
    logits = outputs.logits.double() / 4  # theirs cuts probabilities at 1e-7
    logits = logits[logits.softmax(1).amin(1) > 1e-6]
    assert len(logits) >= 8
    own = of_logits(logits, name)
    peers = getattr(theirs, peer)(None).predict_logits(logits).numpy() * factor + offset
    assert own == pytest.approx(peers, rel=1e-5)


def test_gen_of_many_classes_equals_pytorch_oods(theirs):
    logits = torch.randn(6, 300, generator=torch.Generator().manual_seed(0)).double()
    peers = theirs.GEN(None, M=100).predict_logits(logits).numpy() * 100
    assert of_logits(logits, "gen") == pytest.approx(peers, rel=1e-5)


def test_scaled_doubt_equals_pytorch_oods_at_the_same_temperature(theirs):
    logits = ood_outputs().logits.double()
    peers = theirs.MaxSoftmax(None, t=2.5).predict_logits(logits) + 1
    outputs = Outputs(logits, torch.zeros(len(logits), 0), torch.zeros(len(logits), 0))
    found = find("ood/scaled_msp").function(outputs, {"temperature": torch.tensor(2.5)})
    assert found.numpy() == pytest.approx(peers.numpy(), rel=1e-5)


def test_kl_matching_equals_pytorch_oods(theirs):
    reference, outputs = reference_of(), ood_outputs()
    peer = theirs.KLMatching(None).fit_logits(reference.fit.outputs.logits.double())
    peers = peer.predict_logits(outputs.logits.double()).detach().numpy()
    assert scores("kl_matching", outputs, reference) == pytest.approx(peers, rel=1e-5, abs=1e-9)


def test_knn_equals_pytorch_oods(theirs):
    reference, outputs = reference_of(), ood_outputs()
    peer = theirs.KNN(None, k=FITTING // 20)
    peer.fit_features(reference.fit.outputs.features.double(), reference.fit.labels)
    peers = peer.predict_features(outputs.features.double()).numpy()
    assert scores("knn", outputs, reference) == pytest.approx(peers, rel=1e-5)


def test_react_equals_pytorch_oods(theirs):
    reference, outputs, last = reference_of(), ood_outputs(), network().network.fc

    def head(features):
        return features @ last.weight.double().T + last.bias.double()

    peer = theirs.ReAct(None, head)
    peer.fit_feature_maps(reference.fit.outputs.features.double(), reference.fit.labels)
    peers = peer.predict_feature_maps(outputs.features.double()).numpy()
    assert scores("react", outputs, reference) == pytest.approx(peers, rel=1e-5)


def test_vim_equals_pytorch_oods(theirs):
    reference, outputs, last = reference_of(), ood_outputs(), network().network.fc
    peer = theirs.ViM(None, outputs.features.shape[1] // 2, last.weight, last.bias)
    peer.fit_features(reference.fit.outputs.features, reference.fit.labels)
    peers = peer.predict_features(outputs.features).numpy()  # in float32: a sum of two parts
    size = np.abs(of_logits(outputs.logits, "energy")).max()
    assert scores("vim", outputs, reference) == pytest.approx(peers, rel=1e-3, abs=1e-3 * size)


def test_mahalanobis_equals_pytorch_oods_up_to_twice_the_images(theirs):
    reference, outputs = reference_of(), ood_outputs()
    peer = theirs.Mahalanobis(None)
    peer.fit_features(reference.fit.outputs.features.double(), reference.fit.labels)
    peers = peer.predict_features(outputs.features.double()).numpy() * 2 * FITTING
    assert scores("mahalanobis", outputs, reference) == pytest.approx(peers, rel=1e-5)


def test_relative_mahalanobis_equals_pytorch_oods_up_to_the_images(theirs):
    reference, outputs = reference_of(), ood_outputs()
    peer = theirs.RMD(None)
    peer.fit_features(reference.fit.outputs.features.double(), reference.fit.labels)
    peers = peer.predict_features(outputs.features.double()).numpy() * FITTING
    whole = scores("mahalanobis", outputs, reference).max()  # a difference of two of that size
    found = scores("relative_mahalanobis", outputs, reference)
    assert found == pytest.approx(peers, rel=1e-5, abs=1e-5 * whole)


EXTREME = {
    "saturated": [[60.0, 0.0, 0.0, 0.0, 0.0]],
    "huge": [[1e4, 0.0, 0.0, 0.0, 0.0], [-1e4, 0.0, 0.0, 0.0, 0.0], [1e30, -1e30, 0.0, 0.0, 1.0]],
    "all equal": [[0.0] * 5, [1e4] * 5, [-1e4] * 5],
}


@pytest.mark.parametrize("name", [one.info.id.partition("/")[2] for one in methods("score")])
@pytest.mark.parametrize("case", EXTREME)
def test_every_score_is_finite_for_extreme_logits(name, case):
    logits = torch.tensor(EXTREME[case])
    like = ood_outputs().select(torch.arange(len(logits)))
    outputs = Features(logits, like.features, like.batchnorm, like.layers)
    assert np.isfinite(scores(name, outputs, reference_of())).all()


@pytest.mark.parametrize("name", [one.info.id.partition("/")[2] for one in methods("score")])
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e6, 1e15])
def test_every_score_is_finite_for_features_and_layers_of_any_size(name, scale):
    like = ood_outputs()
    outputs = Features(like.logits, like.features * scale, like.batchnorm, like.layers * scale)
    assert np.isfinite(scores(name, outputs, reference_of())).all()


@pytest.mark.parametrize("name", OF_LOGITS)
@pytest.mark.parametrize("classes", [1, 2, 101])
def test_scores_of_logits_take_any_number_of_classes(name, classes):
    logits = np.random.default_rng(3).normal(0, 5, (4, classes))
    logits[0], logits[1, 0] = 0, 60
    expected = [OF_LOGITS[name](list(row)) for row in logits]
    assert of_logits(logits, name) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_templates_with_a_probability_of_zero_leave_kl_matching_finite():
    probabilities = torch.tensor([[3.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    counts = torch.tensor([3.0, 2.0]).double()
    sums = {"predicted_count": counts, "predicted_sum": probabilities}
    fitted = fit_kl_matching(Reference(None, None, sums, {}))
    outputs = Outputs(
        torch.tensor([[0.0, 0.0], [900.0, 0.0]]), torch.zeros(2, 0), torch.zeros(2, 0)
    )
    found = find("ood/kl_matching").function(outputs, fitted)
    assert found.isfinite().all()
    assert float(found[1]) == pytest.approx(0, abs=1e-12)


def test_doubt_keeps_the_order_where_the_probability_rounds_to_one():
    found = of_logits([[gap, 0.0, 0.0] for gap in (60.0, 50.0, 40.0)], "msp")
    expected = [2 * math.exp(-gap) for gap in (60, 50, 40)]
    assert found == pytest.approx(expected, rel=1e-12)
    generalised = of_logits([[gap, 0.0, 0.0] for gap in (60.0, 50.0, 40.0)], "gen")
    assert all(one < other for one, other in pairwise(generalised))


@pytest.mark.parametrize("name", ["msp", "entropy", "gen"])
def test_adding_a_number_to_all_logits_changes_no_score_of_probabilities(name):
    logits = np.random.default_rng(5).normal(0, 3, (20, 6))
    assert of_logits(logits + 123, name) == pytest.approx(of_logits(logits, name), rel=1e-9)


@pytest.mark.parametrize("name", ["max_logit", "energy"])
def test_adding_a_number_to_all_logits_takes_it_from_scores_of_their_size(name):
    logits = np.random.default_rng(5).normal(0, 3, (20, 6))
    assert of_logits(logits + 123, name) == pytest.approx(of_logits(logits, name) - 123)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_the_order_of_the_classes_changes_no_score(name):
    logits = np.random.default_rng(6).normal(0, 3, (20, 6))
    turned = logits[:, [3, 0, 5, 1, 2, 4]]
    assert of_logits(turned, name) == pytest.approx(of_logits(logits, name), rel=1e-12)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_larger_lead_of_the_first_class_lowers_a_score_of_logits(name):
    logits = np.zeros((30, 4))
    logits[:, 0] = np.linspace(0, 25, 30)
    assert (np.diff(of_logits(logits, name)) < 0).all()


def moved(turn, shift):
    """Return a reference and new images whose features went through an affine map."""
    reference, outputs = reference_of(), ood_outputs()

    def mapped(one):
        features = one.features.double() @ turn.T + shift
        return Features(one.logits, features, one.batchnorm, one.layers)

    builder = ReferenceBuilder(network())
    for place, half in enumerate((reference.fit, reference.calibration)):
        pixels = torch.zeros(len(half.labels), 3, SIDE, SIDE)
        builder.add(mapped(half.outputs), half.labels, pixels, place)
    return builder.build({}), mapped(outputs)


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_no_affine_map_of_the_features_changes_a_mahalanobis_distance(name):
    width = ood_outputs().features.shape[1]
    generator = torch.Generator().manual_seed(1)
    turn = torch.eye(width).double() + 0.3 * torch.randn(width, width, generator=generator)
    reference, outputs = moved(turn, torch.arange(width).double())
    before = scores(name, ood_outputs(), reference_of())
    assert scores(name, outputs, reference) == pytest.approx(before, rel=1e-6, abs=1e-6)


def test_neither_turning_nor_scaling_the_features_changes_knn():
    width = ood_outputs().features.shape[1]
    turn, _ = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64))
    reference, outputs = moved(3 * turn, torch.zeros(width).double())
    before = scores("knn", ood_outputs(), reference_of())
    assert scores("knn", outputs, reference) == pytest.approx(before, rel=1e-6)


def test_distances_called_zero_or_more_are_so_at_the_known_means_and_images():
    width = ood_outputs().features.shape[1]
    reference, _ = moved(torch.eye(width).double(), torch.full((width,), 100.0).double())
    fitted = SCORES["mahalanobis"].fit(reference)
    means = fitted["means"]
    at_means = Outputs(torch.zeros(len(means), 1), means, torch.zeros(len(means), 0))
    assert (find("ood/mahalanobis").function(at_means, fitted) >= 0).all()
    fitted = SCORES["layer_statistics"].fit(reference)
    at_mean = Outputs(torch.zeros(1, 1), torch.zeros(1, 0), fitted["mean"][None])
    assert (find("ood/layer_statistics").function(at_mean, fitted) >= 0).all()
    assert (scores("knn", reference.fit.outputs, reference) >= 0).all()


def test_an_image_whose_numbers_are_not_finite_does_not_spoil_the_others():
    outputs = ood_outputs()
    logits, features = outputs.logits.clone(), outputs.features.clone()
    logits[0], features[1] = math.nan, math.inf
    spoiled = Features(logits, features, outputs.batchnorm, outputs.layers)
    for one in methods("score"):
        name = one.info.id.partition("/")[2]
        whole, found = scores(name, outputs, reference_of()), scores(name, spoiled, reference_of())
        assert found[2:] == pytest.approx(whole[2:], rel=1e-12), name


EXPORTABLE = [name for name, details in SCORES.items() if details.exportable]


@pytest.mark.parametrize("name", EXPORTABLE)
def test_the_exported_source_of_a_score_computes_the_same_with_torch_alone(name):
    source = standalone_source(find(f"ood/{name}").function, "A score.")
    outputs, fit = ood_outputs(), SCORES[name].fit
    assert "diagnostics" not in source
    namespace = {}
    exec(compile(source, "score.py", "exec"), namespace)
    fitted = fit(reference_of()) if fit else {}
    plain = Outputs(outputs.logits, outputs.features, outputs.layers)
    found = namespace[name](plain, fitted).numpy()
    assert found == pytest.approx(scores(name, outputs, reference_of()), rel=1e-12)


def test_a_score_that_uses_more_than_torch_is_not_exported(monkeypatch):
    monkeypatch.setattr("diagnostics.methods.ood.gen.MAX_CLASSES", np.arange(3))
    with pytest.raises(TypeError, match="gen uses MAX_CLASSES, which a guard cannot ship"):
        standalone_source(find("ood/gen").function, "A score.")


def test_a_score_that_is_not_finite_or_not_one_per_image_is_refused():
    outputs = ood_outputs()
    with pytest.raises(ValueError, match="one number per image"):
        check(torch.zeros(len(outputs.logits), 1), outputs)
    with pytest.raises(ValueError, match="not finite"):
        check(torch.full((len(outputs.logits),), math.inf), outputs)
