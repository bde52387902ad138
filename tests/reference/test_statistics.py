"""The reference of in-distribution images: which images it takes in, and its file."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import Decoded
from diagnostics.errors import InputError
from diagnostics.methods.ood._score import SCORES
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, concatenate, extract_features
from diagnostics.preprocessing.pipeline import Pipeline, network_input
from diagnostics.reference.covariance import (
    covariance,
)
from diagnostics.reference.statistics import FORMAT, MAX_ROWS, ReferenceBuilder, dumps, load
from tests.networks_for_tests import FunctionalResidual, classifier
from tests.reference.builders import CLASSES, SIDE, built, extracted, network

OLD_FILE = Path(__file__).parent / "format_1.safetensors"


@pytest.mark.parametrize("sizes", [1, 7, 50, 119])
def test_batches_of_any_size_give_the_same_reference(sizes):
    at_once, in_parts = built(), built(sizes=sizes)
    assert set(in_parts.sums) == set(at_once.sums)
    for name, value in at_once.sums.items():
        within = 1e-6 if name.startswith("head") else 1e-9  # the last layer answers in float32
        assert in_parts.sums[name].numpy() == pytest.approx(value.numpy(), rel=within, abs=within)
    for name, value in vars(at_once.fit.outputs).items():
        assert torch.equal(getattr(in_parts.fit.outputs, name), value)
    assert torch.equal(in_parts.fit.labels, at_once.fit.labels)
    for name, value in vars(at_once.examples).items():
        assert torch.equal(getattr(in_parts.examples, name), value)
    assert dict(in_parts.about) == dict(at_once.about)


def test_images_whose_numbers_are_not_finite_are_left_out_and_counted():
    outputs, labels, pixels = extracted(120)
    broken = torch.tensor([3, 4, 77])
    logits, features = outputs.logits.clone(), outputs.features.clone()
    deviations = outputs.batchnorm.clone()
    logits[3, 1], features[4, 0], deviations[77] = math.nan, math.inf, math.nan
    spoiled = Features(logits, features, deviations, outputs.layers, outputs.pixel_statistics)
    builder = ReferenceBuilder(network())
    builder.add(spoiled, labels, pixels, 0)
    builder.add(*extracted(20, 1), 1)
    found = builder.build({})
    assert found.about["left_out"] == 3
    assert found.about["images"] == {"fit": 117, "calibration": 20}
    fine = torch.tensor([row for row in range(120) if row not in broken])
    clean = ReferenceBuilder(network())
    clean.add(outputs.select(fine), labels[fine], pixels[fine], 0)
    clean.add(*extracted(20, 1), 1)
    for name, value in clean.build({}).sums.items():
        assert torch.equal(found.sums[name], value), name
    assert torch.equal(found.fit.outputs.logits, outputs.logits[fine])
    assert torch.equal(found.fit.labels, labels[fine])


def test_a_batch_without_one_good_image_changes_nothing():
    outputs, labels, pixels = extracted(20, 1)
    bad = Features(torch.full_like(outputs.logits, math.nan), *list(vars(outputs).values())[1:])
    builder = ReferenceBuilder(network())
    for half in (0, 1):
        builder.add(bad, labels, pixels, half)
        builder.add(outputs, labels, pixels, half)
        builder.add(outputs.select(torch.arange(0)), labels[:0], pixels[:0], half)
    found = builder.build({})
    assert found.about["images"] == {"fit": 20, "calibration": 20}
    assert found.about["left_out"] == 40
    assert float(found.sums["count"]) == 20


@pytest.mark.parametrize(("fit", "calibrating"), [(0, 0), (4, 4), (100, 4), (4, 100), (0, 9)])
def test_too_few_images_in_either_half_are_refused_in_words(fit, calibrating):
    builder = ReferenceBuilder(network())
    for half, count in enumerate((fit, calibrating)):
        if count:
            builder.add(*extracted(count, half), half)
    with pytest.raises(InputError, match=rf"^A reference needs 10 .* got {fit + calibrating}\.$"):
        builder.build({})


def test_ten_images_are_enough():
    found = built(5, calibrating=5)
    assert OODDetector(network().spec, found).names


def test_images_beyond_the_rows_that_are_kept_still_count_in_the_sums():
    outputs, labels, pixels = extracted(50)
    builder, passes = ReferenceBuilder(network()), MAX_ROWS // 50 + 3
    for _ in range(passes):
        builder.add(outputs, labels, pixels, 0)
        builder.add(outputs, labels, pixels, 1)
    found = builder.build({})
    assert float(found.sums["count"]) == 50 * passes
    assert found.about["images"]["fit"] == 50 * passes
    for half in (found.fit, found.calibration):
        assert (
            len(half.labels) == len(half.outputs.logits) == len(half.outputs.batchnorm) == MAX_ROWS
        )
    first = ReferenceBuilder(network())
    first.add(outputs, labels, pixels, 0)
    first.add(outputs, labels, pixels, 1)
    assert covariance(found).numpy() == pytest.approx(covariance(first.build({})).numpy())


def test_a_reference_comes_back_from_its_file_bit_for_bit(tmp_path):
    reference, path = built(), tmp_path / "known.safetensors"
    path.write_bytes(dumps(reference))
    found = load(path, "known.safetensors")
    assert dict(found.about) == dict(reference.about)
    assert set(found.sums) == set(reference.sums)
    for name, value in reference.sums.items():
        assert found.sums[name].dtype == value.dtype
        assert torch.equal(found.sums[name], value)
    for half in ("fit", "calibration"):
        old, new = getattr(reference, half), getattr(found, half)
        assert torch.equal(old.labels, new.labels)
        for name, value in vars(old.outputs).items():
            assert torch.equal(getattr(new.outputs, name), value)
            assert getattr(new.outputs, name).dtype == value.dtype
    assert dumps(found) == dumps(reference)
    for name, value in vars(reference.examples).items():
        assert torch.equal(getattr(found.examples, name), value)
        assert getattr(found.examples, name).dtype == value.dtype
    asked = extracted(10, 5)[0]
    before, after = OODDetector(network().spec, reference), OODDetector(network().spec, found)
    assert before.names == after.names
    for name in before.names:
        assert after.score(name, asked) == pytest.approx(before.score(name, asked), rel=1e-12)


def test_a_file_that_was_written_earlier_can_be_read():
    """Its images are the first twelve and six of these tests, and its numbers are theirs."""
    reference = load(OLD_FILE, "known.safetensors")
    assert dict(reference.about) == {
        "format": FORMAT,
        "model": "0" * 64,
        "model_name": "test",
        "preprocessing": json.loads(json.dumps(asdict(network().preprocessing))),
        "images": {"fit": 12, "calibration": 6},
        "left_out": 0,
        "seed": 3,
    }
    expected = built(12, calibrating=6)
    assert set(reference.sums) == set(expected.sums)
    for name, value in expected.sums.items():
        found = reference.sums[name].numpy()
        assert found == pytest.approx(value.numpy(), rel=1e-4, abs=1e-4), name
    for half in ("fit", "calibration"):
        own, other = getattr(reference, half), getattr(expected, half)
        assert torch.equal(own.labels, other.labels)
        for name, value in vars(other.outputs).items():
            found = getattr(own.outputs, name).numpy()
            assert found == pytest.approx(value.numpy(), rel=1e-4, abs=1e-4), name


def test_the_names_in_files_stay_as_they_were(tmp_path):
    tensors, _ = parts(tmp_path)
    added = {f"examples.{part}" for part in ("pixels", "labels", "logits", "features")}
    assert set(tensors) == set(load_file(OLD_FILE)) | added


def test_a_file_from_before_references_carried_images_says_so_when_it_is_asked_for_them():
    reference = load(OLD_FILE, "known.safetensors")
    assert reference.examples is None
    with pytest.raises(InputError, match=r"before references carried images; build it again\.$"):
        reference.require_examples()


def test_a_file_that_carries_images_of_another_size_belongs_to_no_such_model():
    reference = built()
    cut = replace(reference.examples, pixels=reference.examples.pixels[..., 1:])
    with pytest.raises(InputError, match=r"images of 3 × 16 × 15, and test takes 3 × 16 × 16;"):
        replace(reference, examples=cut).require_match(network())


def test_the_file_says_what_it_was_measured_with(tmp_path):
    path = tmp_path / "known"
    path.write_bytes(dumps(built()))
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["reference"])
    assert about["format"] == FORMAT
    assert (about["model"], about["seed"], about["left_out"]) == ("0" * 64, 3, 0)
    assert about["images"] == {"fit": 120, "calibration": 20}


def parts(tmp_path):
    """Return the tensors and the metadata of a good reference."""
    path = tmp_path / "good"
    path.write_bytes(dumps(built()))
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
    content = dumps(built())
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
        "none",
        "empty",
        "other",
        "blank",
        "cut",
        "list",
        "null",
        "number",
        "text",
        "older",
        "deep",
        "no model",
    ],
)
def test_a_file_with_other_words_in_it_is_refused_in_words(tmp_path, metadata):
    tensors, _ = parts(tmp_path)
    refused(tmp_path, save(tensors, metadata))


TENSORS = tuple(
    f"{half}.{part}"
    for half in ("fit", "calibration")
    for part in ("logits", "features", "labels", "layers", "batchnorm", "shades")
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


def nan_in(values):
    changed = values.clone()
    changed[0, 0] = math.nan
    return changed


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("pixels", lambda pixels: pixels.float()),
        ("pixels", lambda pixels: pixels[0]),
        ("pixels", lambda pixels: pixels[:-1]),
        ("pixels", lambda pixels: torch.cat([pixels, pixels])),
        ("labels", lambda labels: labels.int()),
        ("labels", lambda labels: labels[:-1]),
        ("labels", lambda labels: labels[:, None]),
        ("labels", lambda labels: labels + CLASSES),
        ("labels", lambda labels: labels - CLASSES),
        ("logits", lambda logits: logits.double()),
        ("logits", lambda logits: logits.to(torch.float8_e4m3fn)),
        ("logits", lambda logits: logits[:, 1:]),
        ("logits", lambda logits: logits[1:]),
        ("logits", nan_in),
        ("features", lambda features: features.int()),
        ("features", lambda features: features[:, :-1]),
        ("features", lambda features: features[..., None]),
        ("features", lambda features: features / 0),
    ],
)
def test_a_file_whose_examples_are_damaged_is_refused_in_words(tmp_path, name, damaged):
    tensors, metadata = parts(tmp_path)
    name = f"examples.{name}"
    tensors[name] = damaged(tensors[name]).contiguous()
    refused(tmp_path, save(tensors, metadata))


@pytest.mark.parametrize("name", ["pixels", "labels", "logits", "features"])
def test_a_file_that_carries_half_of_what_examples_need_is_refused_in_words(tmp_path, name):
    tensors, metadata = parts(tmp_path)
    del tensors[f"examples.{name}"]
    refused(tmp_path, save(tensors, metadata))


def test_a_file_with_more_or_no_examples_is_refused_in_words(tmp_path):
    tensors, metadata = parts(tmp_path)
    for rows in (torch.zeros(0, dtype=torch.int64), torch.arange(65) % 20):
        changed = {
            name: value[rows] if name.startswith("examples.") else value
            for name, value in tensors.items()
        }
        refused(tmp_path, save(changed, metadata))


def scored_or_refused(tmp_path, content):
    """Score by all that can be fitted; else the file is refused, and nothing else may happen."""
    path = tmp_path / "bad"
    path.write_bytes(content)
    with suppress(InputError):
        assert OODDetector(network().spec, load(path, "bad.safetensors")).calibration_scores


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
    reference, own = built(), network()
    reference.require_match(own)
    other = TorchClassifier(own.network, replace(own.spec, sha256="f" * 64), own.preprocessing)
    with pytest.raises(InputError, match=r"weights 000000000000….* test has ffffffffffff…"):
        reference.require_match(other)
    changed = replace(own.preprocessing, mean=(0.5, 0.5, 0.5))
    with pytest.raises(InputError, match="another preprocessing"):
        reference.require_match(TorchClassifier(own.network, own.spec, changed))


INERT = {  # a setting that changes nothing, beside others that make it so
    "resize_px": ({"fit": "stretch"}, 7),
    "interpolation": ({"fit": "none"}, "lanczos"),
    "antialias": ({"fit": "stretch", "interpolation": "nearest"}, False),
    "contrast_keeps_range": ({"contrast": 0.0}, False),
    "bgr": ({"grey": True}, True),
}


def with_preprocessing(one, **settings):
    return TorchClassifier(one.network, one.spec, replace(one.preprocessing, **settings))


@pytest.mark.parametrize("name", INERT)
def test_an_inert_setting_refuses_no_reference(name):
    beside, value = INERT[name]
    own = with_preprocessing(network(), **beside)
    changed = with_preprocessing(network(), **beside, **{name: value})
    assert own.preprocessing != changed.preprocessing
    image = Decoded(np.random.default_rng(0).random((20, 30, 3)).astype(np.float32))
    if own.preprocessing.fit == "none":
        image = replace(image, array=image.array[:SIDE, :SIDE])
    pixels = [Pipeline(one.preprocessing).run(image) for one in (own, changed)]
    fed = [
        network_input(one, two.preprocessing)
        for one, two in zip(pixels, (own, changed), strict=True)
    ]
    assert np.array_equal(*fed)
    builder, (outputs, labels, given) = ReferenceBuilder(own), extracted(20)
    for half in (0, 1):
        builder.add(outputs, labels, given, half)
    builder.build({}).require_match(changed)


def test_a_setting_that_changes_pixels_is_named_with_both_values():
    changed = with_preprocessing(network(), invert=True)
    with pytest.raises(InputError, match=r"another preprocessing \(invert False, now True\)"):
        built().require_match(changed)


def test_a_reference_whose_settings_are_no_settings_belongs_to_no_preprocessing():
    reference = built()
    for settings in ({"colours": 3}, {"mean": ["a"]}, {"fit": "bent"}):
        other = replace(reference, about={**reference.about, "preprocessing": settings})
        with pytest.raises(InputError, match="cannot be read"):
            other.require_match(network())


def test_a_reference_read_from_its_file_still_belongs_to_its_model(tmp_path):
    path = tmp_path / "known"
    path.write_bytes(dumps(built()))
    load(path, "known").require_match(network())


def test_what_was_seen_in_several_passes_is_joined_in_order():
    outputs = extracted(20)[0]
    again = concatenate([outputs.select(torch.arange(7)), outputs.select(torch.arange(7, 20))])
    for name, value in vars(outputs).items():
        assert torch.equal(getattr(again, name), value)


def test_how_many_images_carry_a_label_is_counted():
    assert built().labelled == int((extracted(120)[1] >= 0).sum()) > 0


def test_one_more_class_than_is_counted_by_class_leaves_the_scores_that_need_it_out():
    """Above 2048 classes no sums by predicted class are kept."""
    torch.manual_seed(0)
    classes = 2049
    wide = classifier(FunctionalResidual(classes=classes), SIDE, channels=3, classes=classes)
    builder = ReferenceBuilder(wide)
    for half in (0, 1):
        pixels = extracted(40, half)[2]
        builder.add(extract_features(wide, pixels), torch.arange(40) % 2, pixels, half)
    detector = OODDetector(wide.spec, builder.build({}))
    assert set(detector.calibration_scores) == set(detector.names)
    assert all(np.isfinite(known).all() for known in detector.calibration_scores.values())


def test_every_fit_works_on_a_small_reference_and_on_one_without_labels():
    for count in (20, 60):
        reference = built(count)
        unlabelled = ReferenceBuilder(network())
        for half in (0, 1):
            outputs, labels, pixels = extracted(count, half)
            unlabelled.add(outputs, torch.full_like(labels, UNKNOWN), pixels, half)
        bare = unlabelled.build({})
        for one in (reference, bare):
            detector = OODDetector(network().spec, one)
            assert all(np.isfinite(known).all() for known in detector.calibration_scores.values())
        needing = {name for name, details in SCORES.items() if details.labels_per_class}
        assert needing <= set(OODDetector(network().spec, bare).left_out)
