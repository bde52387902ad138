"""What is measured on known-good images: sums, covariances, and the file that holds them."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from diagnostics.errors import InputError
from diagnostics.methods.ood._score import SCORES
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, concatenated, extract_features
from diagnostics.reference.moments import UNKNOWN
from diagnostics.reference.shrinkage import shrunk, whitening
from diagnostics.reference.statistics import (
    FORMAT,
    ROWS,
    ReferenceBuilder,
    class_means,
    covariance,
    dumps,
    layer_covariance,
    load,
    mean_feature,
    mean_layers,
    tied_covariance,
)
from tests.independent.slow_scores import slow_ledoit_wolf
from tests.networks_for_tests import FunctionalResidual, classifier

CLASSES, SIDE, WIDTH = 5, 16, 8


@cache
def network():
    torch.manual_seed(1)
    made = FunctionalResidual(classes=CLASSES)
    made.stem.weight.data.normal_()
    return classifier(made, SIDE, channels=3, classes=CLASSES)


@cache
def measured(count, seed=0):
    """Return what the network gives for random images, their labels, and their pixels."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 3, 1, 1, generator=generator).expand(-1, -1, SIDE, SIDE).clone()
    pixels += 0.2 * torch.rand(pixels.shape, generator=generator)
    labels = torch.randint(UNKNOWN, CLASSES, (count,), generator=generator)
    return extract_features(network(), pixels), labels, pixels


def gathered(count=120, sizes=None, judging=20):
    """Return a reference gathered in batches of these sizes; None takes all in at once."""
    gathering = ReferenceBuilder(network())
    for half, number in enumerate((count, judging)):
        seen, labels, pixels = measured(number, half)
        for rows in torch.arange(number).split(sizes or number):
            gathering.add(seen.of(rows), labels[rows], pixels[rows], half)
    return gathering.done({"seed": 3})


@pytest.mark.parametrize("sizes", [1, 7, 50, 119])
def test_batches_of_any_size_give_the_same_reference(sizes):
    whole, parted = gathered(), gathered(sizes=sizes)
    assert set(parted.moments) == set(whole.moments)
    for name, value in whole.moments.items():
        within = 1e-6 if name.startswith("head") else 1e-9  # the last layer answers in float32
        assert parted.moments[name].numpy() == pytest.approx(value.numpy(), rel=within, abs=within)
    for name, value in vars(whole.fit.seen).items():
        assert torch.equal(getattr(parted.fit.seen, name), value)
    assert torch.equal(parted.fit.labels, whole.fit.labels)
    assert dict(parted.about) == dict(whole.about)


def test_moments_equal_direct_computation():
    reference = gathered()
    seen, labels, pixels = measured(120)
    features, layers = seen.features.double(), seen.layers.double()
    probabilities = torch.softmax(seen.logits.double(), 1)
    said, moments = seen.logits.argmax(1), reference.moments
    expected = {
        "count": torch.tensor(120.0),
        "sum": sum(features),
        "gram": sum(torch.outer(one, one) for one in features),
        "labelled_gram": sum(torch.outer(one, one) for one in features[labels >= 0]),
        "class_count": torch.tensor([(labels == c).sum() for c in range(CLASSES)]),
        "class_sum": torch.stack([features[labels == c].sum(0) for c in range(CLASSES)]),
        "said_count": torch.tensor([(said == c).sum() for c in range(CLASSES)]),
        "said_sum": torch.stack([probabilities[said == c].sum(0) for c in range(CLASSES)]),
        "layer_sum": sum(layers),
        "layer_gram": sum(torch.outer(one, one) for one in layers),
        "pixel_mean": sum(image.mean((1, 2)) for image in pixels.double()),
        "pixel_square": sum((image**2).mean((1, 2)) for image in pixels.double()),
        "head_weight": network().network.fc.weight,
        "head_bias": network().network.fc.bias,
    }
    assert set(moments) == set(expected)
    for name, value in expected.items():
        tolerance = 1e-5 if name.startswith(("head", "pixel")) else 1e-9
        assert moments[name].numpy() == pytest.approx(value.numpy(), rel=tolerance, abs=tolerance)


def test_means_and_covariances_equal_numpys():
    reference = gathered()
    seen, labels, _ = measured(120)
    features, own = seen.features.double().numpy(), labels.numpy()
    assert mean_feature(reference).numpy() == pytest.approx(features.mean(0))
    assert mean_layers(reference).numpy() == pytest.approx(seen.layers.double().numpy().mean(0))
    expected = np.cov(features.T, bias=True)
    assert covariance(reference).numpy() == pytest.approx(expected, rel=1e-8, abs=1e-10)
    expected = np.cov(seen.layers.double().numpy().T, bias=True)
    assert layer_covariance(reference).numpy() == pytest.approx(expected, rel=1e-8, abs=1e-10)
    means = np.array([features[own == c].mean(0) for c in range(CLASSES)])
    assert class_means(reference, 5).numpy() == pytest.approx(means)
    centred = features[own >= 0] - means[own[own >= 0]]
    expected = centred.T @ centred / len(centred)
    assert tied_covariance(reference).numpy() == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("count", "shrinks"), [(39, True), (40, False)])
def test_a_covariance_is_shrunk_below_five_images_per_feature(count, shrinks):
    """Eight features: from 40 images on, the covariance stays as it was measured."""
    features = measured(count)[0].features.double().numpy()
    plain = np.cov(features.T, bias=True)
    found = covariance(gathered(count)).numpy()
    expected = slow_ledoit_wolf(features - features.mean(0)) if shrinks else plain
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-10)
    assert np.allclose(found, plain, rtol=1e-7, atol=1e-10) is not shrinks


def test_the_shrunk_covariances_are_sklearns():
    peer = pytest.importorskip("sklearn.covariance")
    reference = gathered(30)
    seen, labels, _ = measured(30)
    features = seen.features.double().numpy()
    expected = peer.LedoitWolf().fit(features).covariance_
    assert covariance(reference).numpy() == pytest.approx(expected, rel=1e-7, abs=1e-10)
    layers = seen.layers.double().numpy()
    expected = peer.LedoitWolf().fit(layers).covariance_
    assert layer_covariance(reference).numpy() == pytest.approx(expected, rel=1e-7, abs=1e-10)
    own = labels.numpy()
    centred = np.array(
        [f - features[own == c].mean(0) for f, c in zip(features, own, strict=True) if c >= 0]
    )
    expected = peer.LedoitWolf(assume_centered=True).fit(centred).covariance_
    assert tied_covariance(reference).numpy() == pytest.approx(expected, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize(("count", "size"), [(5, 3), (12, 30), (200, 4), (2, 6)])
def test_shrinking_equals_the_slow_one(count, size):
    rows = np.random.default_rng(count).normal(size=(count, size)) * np.arange(1, size + 1)
    centred = rows - rows.mean(0)
    sample = torch.from_numpy(centred.T @ centred / count)
    found = shrunk(sample, torch.from_numpy(centred)).numpy()
    assert found == pytest.approx(slow_ledoit_wolf(centred), rel=1e-10)
    if count > 2:  # two images lie the same way from their mean: no noise is seen in them
        assert np.linalg.eigvalsh(found).min() > 0


def test_images_that_are_all_the_same_have_a_covariance_of_zero():
    zeros = torch.zeros(4, 4, dtype=torch.float64)
    assert torch.equal(shrunk(zeros, zeros), zeros)
    assert torch.equal(whitening(zeros), zeros)


def test_whitening_makes_a_covariance_the_identity():
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double()
    made = whitening(rows.T @ rows / 50)
    assert (made.T @ rows.T @ rows @ made / 50).numpy() == pytest.approx(np.eye(6), abs=1e-10)


def test_whitening_drops_directions_without_variance():
    """The distance then equals that by the pseudo-inverse."""
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    spread = rows @ torch.randn(3, 7, generator=torch.Generator().manual_seed(1)).double()
    singular = spread.T @ spread / 50
    made, values = whitening(singular), torch.randn(9, 7).double()
    assert int((made.abs().sum(0) > 0).sum()) == 3
    expected = (values @ torch.linalg.pinv(singular, hermitian=True) * values).sum(1)
    assert ((values @ made) ** 2).sum(1).numpy() == pytest.approx(expected.numpy(), rel=1e-8)


def test_images_whose_numbers_are_not_finite_are_left_out_and_counted():
    seen, labels, pixels = measured(120)
    broken = torch.tensor([3, 4, 77])
    logits, features = seen.logits.clone(), seen.features.clone()
    deviations = seen.batchnorm.clone()
    logits[3, 1], features[4, 0], deviations[77] = math.nan, math.inf, math.nan
    spoiled = Features(logits, features, deviations, seen.layers, seen.shades)
    gathering = ReferenceBuilder(network())
    gathering.add(spoiled, labels, pixels, 0)
    gathering.add(*measured(20, 1), 1)
    found = gathering.done({})
    assert found.about["left_out"] == 3
    assert found.about["images"] == {"fit": 117, "calibration": 20}
    fine = torch.tensor([row for row in range(120) if row not in broken])
    clean = ReferenceBuilder(network())
    clean.add(seen.of(fine), labels[fine], pixels[fine], 0)
    clean.add(*measured(20, 1), 1)
    for name, value in clean.done({}).moments.items():
        assert torch.equal(found.moments[name], value), name
    assert torch.equal(found.fit.seen.logits, seen.logits[fine])
    assert torch.equal(found.fit.labels, labels[fine])


def test_layer_statistics_that_are_not_finite_spoil_no_moment():
    seen, labels, pixels = measured(120)
    layers = seen.layers.clone()
    layers[5, 2] = math.inf
    gathering = ReferenceBuilder(network())
    spoiled = Features(seen.logits, seen.features, seen.batchnorm, layers, seen.shades)
    gathering.add(spoiled, labels, pixels, 0)
    gathering.add(*measured(20, 1), 1)
    assert all(one.isfinite().all() for one in gathering.done({}).moments.values())


def test_a_batch_without_one_good_image_changes_nothing():
    seen, labels, pixels = measured(20, 1)
    bad = Features(torch.full_like(seen.logits, math.nan), *list(vars(seen).values())[1:])
    gathering = ReferenceBuilder(network())
    for half in (0, 1):
        gathering.add(bad, labels, pixels, half)
        gathering.add(seen, labels, pixels, half)
        gathering.add(seen.of(torch.arange(0)), labels[:0], pixels[:0], half)
    found = gathering.done({})
    assert found.about["images"] == {"fit": 20, "calibration": 20}
    assert found.about["left_out"] == 40
    assert float(found.moments["count"]) == 20


@pytest.mark.parametrize(("fit", "judging"), [(0, 0), (4, 4), (100, 4), (4, 100), (0, 9)])
def test_too_few_images_in_either_half_are_refused_in_words(fit, judging):
    gathering = ReferenceBuilder(network())
    for half, count in enumerate((fit, judging)):
        if count:
            gathering.add(*measured(count, half), half)
    with pytest.raises(InputError, match=rf"^A reference needs 10 .* got {fit + judging}\.$"):
        gathering.done({})


def test_ten_images_are_enough():
    found = gathered(5, judging=5)
    assert OODDetector(network().spec, found).names


def test_images_beyond_the_rows_that_are_kept_still_count_in_the_sums():
    seen, labels, pixels = measured(50)
    gathering, passes = ReferenceBuilder(network()), ROWS // 50 + 3
    for _ in range(passes):
        gathering.add(seen, labels, pixels, 0)
        gathering.add(seen, labels, pixels, 1)
    found = gathering.done({})
    assert float(found.moments["count"]) == 50 * passes
    assert found.about["images"]["fit"] == 50 * passes
    for half in (found.fit, found.calibration):
        assert len(half.labels) == len(half.seen.logits) == len(half.seen.batchnorm) == ROWS
    first = ReferenceBuilder(network())
    first.add(seen, labels, pixels, 0)
    first.add(seen, labels, pixels, 1)
    assert covariance(found).numpy() == pytest.approx(covariance(first.done({})).numpy())


def test_a_reference_comes_back_from_its_file_bit_for_bit(tmp_path):
    reference, path = gathered(), tmp_path / "known.safetensors"
    path.write_bytes(dumps(reference))
    found = load(path, "known.safetensors")
    assert dict(found.about) == dict(reference.about)
    assert set(found.moments) == set(reference.moments)
    for name, value in reference.moments.items():
        assert found.moments[name].dtype == value.dtype
        assert torch.equal(found.moments[name], value)
    for half in ("fit", "calibration"):
        old, new = getattr(reference, half), getattr(found, half)
        assert torch.equal(old.labels, new.labels)
        for name, value in vars(old.seen).items():
            assert torch.equal(getattr(new.seen, name), value)
            assert getattr(new.seen, name).dtype == value.dtype
    assert dumps(found) == dumps(reference)
    asked = measured(10, 5)[0]
    before, after = OODDetector(network().spec, reference), OODDetector(network().spec, found)
    assert before.names == after.names
    for name in before.names:
        assert after.score(name, asked) == pytest.approx(before.score(name, asked), rel=1e-12)


def test_the_file_says_what_it_was_measured_with(tmp_path):
    path = tmp_path / "known"
    path.write_bytes(dumps(gathered()))
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["reference"])
    assert about["format"] == FORMAT
    assert (about["model"], about["seed"], about["left_out"]) == ("0" * 64, 3, 0)
    assert about["images"] == {"fit": 120, "calibration": 20}


def parts(tmp_path):
    """Return the tensors and the metadata of a good reference."""
    path = tmp_path / "good"
    path.write_bytes(dumps(gathered()))
    with safe_open(path, "pt") as file:
        return load_file(path), file.metadata()


def refused(tmp_path, content):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load(path, "bad.safetensors")
    text = str(error.value)
    assert text.startswith("bad.safetensors ")
    assert text.endswith(".")
    assert text.count(".") == 2
    assert "\n" not in text


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"no tensors at all, but words", bytes(100), b"\xff" * 64, b"PK\x03\x04" * 20],
    ids=["empty", "json", "words", "zeros", "huge header", "zip"],
)
def test_a_file_without_tensors_is_refused_in_words(tmp_path, content):
    refused(tmp_path, content)


def test_a_file_that_is_not_there_and_a_folder_are_refused_in_words(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match=r"^known is no reference of Oversure"):
            load(path, "known")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_file_is_refused_in_words(tmp_path, share):
    content = dumps(gathered())
    refused(tmp_path, content[: int(share * len(content))])


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"other": "words"},
        {"reference": ""},
        {"reference": "{"},
        {"reference": "[]"},
        {"reference": "null"},
        {"reference": "3"},
        {"reference": '"text"'},
        {"reference": json.dumps({"format": "oversure reference 0"})},
        {"reference": "[" * 100_000},
        {"reference": json.dumps({"format": FORMAT})},
    ],
    ids=[
        *("none", "empty", "other", "blank", "cut", "list", "null", "number", "text"),
        *("older", "deep", "no model"),
    ],
)
def test_a_file_with_other_words_in_it_is_refused_in_words(tmp_path, metadata):
    tensors, _ = parts(tmp_path)
    refused(tmp_path, save(tensors, metadata))


TENSORS = tuple(
    f"{half}.{part}"
    for half in ("fit", "calibration")
    for part in ("logits", "features", "labels", "layers", "batchnorm")
)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("damage", ["missing", "other rows", "no axes", "one axis more"])
def test_a_file_whose_images_do_not_fit_together_is_refused_in_words(tmp_path, name, damage):
    tensors, metadata = parts(tmp_path)
    value = tensors.pop(name)
    if damage == "other rows":
        tensors[name] = value[:-1].contiguous()
    elif damage == "no axes":
        tensors[name] = value.flatten()[0].clone()
    elif damage == "one axis more":
        tensors[name] = value[..., None].clone()
    refused(tmp_path, save(tensors, metadata))


def scored_or_refused(tmp_path, content):
    """Score by all that can be fitted; else the file is refused, and nothing else may happen."""
    path = tmp_path / "bad"
    path.write_bytes(content)
    with suppress(InputError):
        assert OODDetector(network().spec, load(path, "bad.safetensors")).calibrated


@pytest.mark.parametrize("name", ["count", "sum", "gram", "class_count", "class_sum", "head_bias"])
@pytest.mark.parametrize("damage", ["missing", "other shape"])
def test_a_file_whose_sums_are_damaged_is_refused_in_words(tmp_path, name, damage):
    """At the latest when scores are fitted, and never by an error that is no sentence."""
    tensors, metadata = parts(tmp_path)
    value = tensors.pop(f"moments.{name}")
    if damage == "other shape":
        tensors[f"moments.{name}"] = torch.cat([value[None], value[None]])
    scored_or_refused(tmp_path, save(tensors, metadata))


def test_labels_of_classes_that_there_are_not_are_refused_in_words(tmp_path):
    tensors, metadata = parts(tmp_path)
    tensors["fit.labels"] = tensors["fit.labels"] + CLASSES
    scored_or_refused(tmp_path, save(tensors, metadata))


def test_a_reference_belongs_to_its_model_and_its_preprocessing():
    reference, own = gathered(), network()
    reference.demand_for(own)
    other = TorchClassifier(own.network, replace(own.spec, sha256="f" * 64), own.preprocessing)
    with pytest.raises(InputError, match=r"weights 000000000000….* test has ffffffffffff…"):
        reference.demand_for(other)
    changed = replace(own.preprocessing, mean=(0.5, 0.5, 0.5))
    with pytest.raises(InputError, match="another preprocessing"):
        reference.demand_for(TorchClassifier(own.network, own.spec, changed))


def test_a_reference_read_from_its_file_still_belongs_to_its_model(tmp_path):
    path = tmp_path / "known"
    path.write_bytes(dumps(gathered()))
    load(path, "known").demand_for(network())


def test_what_was_seen_in_several_passes_is_joined_in_order():
    seen = measured(20)[0]
    again = concatenated([seen.of(torch.arange(7)), seen.of(torch.arange(7, 20))])
    for name, value in vars(seen).items():
        assert torch.equal(getattr(again, name), value)


def test_how_many_images_carry_a_label_is_counted():
    assert gathered().labelled == int((measured(120)[1] >= 0).sum()) > 0


def test_one_more_class_than_is_counted_by_class_leaves_the_scores_that_need_it_out():
    """Above 2048 classes no sums by predicted class are kept."""
    torch.manual_seed(0)
    classes = 2049
    wide = classifier(FunctionalResidual(classes=classes), SIDE, channels=3, classes=classes)
    gathering = ReferenceBuilder(wide)
    for half in (0, 1):
        pixels = measured(40, half)[2]
        gathering.add(extract_features(wide, pixels), torch.arange(40) % 2, pixels, half)
    judge = OODDetector(wide.spec, gathering.done({}))
    assert set(judge.calibrated) == set(judge.names)
    assert all(np.isfinite(known).all() for known in judge.calibrated.values())


def test_every_fit_works_on_a_small_reference_and_on_one_without_labels():
    for count in (20, 60):
        reference = gathered(count)
        unlabelled = ReferenceBuilder(network())
        for half in (0, 1):
            seen, labels, pixels = measured(count, half)
            unlabelled.add(seen, torch.full_like(labels, UNKNOWN), pixels, half)
        bare = unlabelled.done({})
        for one in (reference, bare):
            judge = OODDetector(network().spec, one)
            assert all(np.isfinite(known).all() for known in judge.calibrated.values())
        needing = {name for name, details in SCORES.items() if details.labels_per_class}
        assert needing <= set(OODDetector(network().spec, bare).left_out)
