"""Sweeps held against linear models and counting by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from diagnostics.corruptions.registry import corrupt, find, names
from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import InputError, OptionError
from diagnostics.execution.local import LocalRunner
from diagnostics.methods.context import Context
from diagnostics.methods.corruption import _sweep
from diagnostics.methods.corruption._sweep import SweepAxis, label_changes
from diagnostics.methods.corruption.sweep import sweep
from diagnostics.methods.registry import find as find_method
from diagnostics.metrics.intervals import counted
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.schema.results.corruption import SweepAnswer
from diagnostics.schema.spec import preprocessing_from
from tests.methods.corruption.linear_model import SIDE, linear_model, values_of, weights
from tests.networks_for_tests import classifier
from tests.results import conforms


def swept(files, model=None, **options):
    return sweep(Context(model or linear_model(), files=files), **options).scores


def test_a_linear_model_under_more_brightness_answers_as_its_sum_of_weights_says(files):
    model = linear_model()
    w, b = weights(model)
    answer = swept(files, model, axis="brightness", start="-0.2", stop="0.2", steps=9)
    added = answer["axes"][0]["values"]
    for file, image in zip(files, answer["images"], strict=True):
        logits = np.array([w @ (values_of(file) + one).ravel() + b for one in added])
        assert image["predicted"] == logits.argmax(1).tolist()
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        for index, curve in image["curves"].items():
            assert curve["probability"] == pytest.approx(p[:, int(index)], rel=2e-4)
        for step, top in enumerate(image["top"]):
            order = np.argsort(-logits[step])[:3]
            assert [entry["index"] for entry in top] == order.tolist()


def test_a_linear_model_under_another_range_is_its_scaled_logits_and_changes_where_they_cross(
    files,
):
    model = linear_model()
    nn.init.normal_(model.network[1].bias, std=3)
    w, b = weights(model)
    answer = swept(files, model, axis="value_range", start="0.001", stop="1000", steps=61)
    changes = 0
    for file, image in zip(files, answer["images"], strict=True):
        z = w @ values_of(file).ravel()
        factors = answer["axes"][0]["values"]
        assert image["predicted"] == [int((factor * z + b).argmax()) for factor in factors]
        for change in image["label_changes"]:
            new, old = change["new"], change["old"]
            after, before = factors[change["step"]], factors[change["previous_step"]]
            assert (after * z + b)[new] > (after * z + b)[old]
            assert (before * z + b)[old] > (before * z + b)[new]
            assert change["title"].startswith(f"class {old} becomes class {new} at ")
            assert change["title"].endswith("× the values")
        changes += len(image["label_changes"])
    assert changes > 0


def test_at_the_identity_the_ranking_is_that_of_the_image_as_it_is(files):
    for axis in ("contrast", "rotated", "gaussian_noise"):
        answer = swept(files, axis=axis, steps=5)
        step = answer["axes"][0]["identity_step"]
        for image in answer["images"]:
            for clean, entry in zip(image["clean"], image["top"][step], strict=True):
                assert entry == pytest.approx(clean, rel=1e-5)


def test_every_class_that_is_ever_predicted_has_a_curve_and_a_name(files):
    answer = swept(files, axis="inverted")
    for image in answer["images"]:
        predicted = {str(index) for index in (*image["predicted"], image["clean"][0]["index"])}
        assert set(image["curves"]) == predicted
        assert predicted <= answer["classes"].keys()
        for curve in image["curves"].values():
            total = np.array(curve["probability"]) + np.array(curve["one_minus_p"])
            assert total == pytest.approx(1)


def test_the_target_class_is_followed(files):
    context = Context(linear_model(), files=files, target=3)
    answer = sweep(context, axis="contrast", steps=3).scores
    assert all(image["target"] == 3 and "3" in image["curves"] for image in answer["images"])


def test_two_axes_ask_every_step_of_the_one_with_every_step_of_the_other(files):
    model = linear_model()
    answer = swept(
        files[:1], model, axis="blur", steps=3, second="contrast", second_steps=4, stop="2"
    )
    first, second = (axis["values"] for axis in answer["axes"])
    (image,) = answer["images"]
    assert len(image["predicted"]) == len(first) * len(second)
    values = values_of(files[0]).astype(np.float32)[..., None]
    w, b = weights(model)
    expected = [
        int((w @ corrupt(values, [("blur", one), ("contrast", two)], 0).ravel() + b).argmax())
        for one in first
        for two in second
    ]
    assert image["predicted"] == expected
    assert "label_changes" not in image
    assert answer["quantile_bands"] == []


def test_a_quantile_bands_numbers_are_those_of_counting(files, folder):
    model = linear_model()
    context = Context(model, folder=folder)
    answer = sweep(context, axis="inverted", steps=5, images="folder", max_images=5).scores
    assert (answer["n"], answer["labelled"], answer["images"]) == (5, 5, [])
    w, b = weights(model)
    values = [values_of(file) for file in files]
    first = [int((w @ one.ravel() + b).argmax()) for one in values]
    for share, band in zip(answer["axes"][0]["values"], answer["quantile_bands"], strict=True):
        logits = np.array([w @ ((1 - share) * v + share * (1 - v)).ravel() + b for v in values])
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        quantiles = np.quantile(p[range(5), first], [0.05, 0.5, 0.95])
        assert band["probability_quantiles"] == pytest.approx(quantiles, rel=1e-4)
        assert band["one_minus_p_quantiles"] == pytest.approx(1 - quantiles, rel=1e-4)
        assert band["unchanged"] == counted(int((logits.argmax(1) == first).sum()), 5)
        assert band["correct"] == counted(int((logits.argmax(1) == [0, 1, 0, 1, 0]).sum()), 5)


def test_the_folder_is_drawn_from_by_the_seed(folder):
    def drawn(seed):
        context = Context(linear_model(), folder=folder, seed=seed)
        outcome = sweep(context, axis="contrast", steps=2, images="folder", max_images=2)
        return outcome.scores["quantile_bands"]

    assert drawn(0) == drawn(0)
    assert len({json.dumps(drawn(seed)) for seed in range(4)}) > 1


def test_an_answer_so_far_says_that_it_is_not_complete(files, monkeypatch):
    monkeypatch.setattr(_sweep, "batch_size", lambda _: 4)
    partial, shares = [], []
    context = Context(
        linear_model(),
        files=files,
        partial=lambda make: partial.append(make()),
        progress=lambda doing, done: shares.append(done),
    )
    complete = sweep(context, axis="contrast", steps=6).scores
    first = partial[0].scores
    assert not first["complete"]
    assert complete["complete"]
    assert len(first["images"]) == 1
    assert first["images"][0]["predicted"][4:] == [None, None]
    assert first["images"][0]["predicted"][:4] == complete["images"][0]["predicted"][:4]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1
    for outcome in partial:
        outcome.check()
        conforms(SweepAnswer, outcome.scores)


def test_thumbnails_are_the_corrupted_images_and_at_most_24_of_each(files):
    outcome = sweep(Context(linear_model(), files=files[:2]), axis="contrast", steps=101)
    assert len(outcome.arrays) == 2 * (24 + 1)
    for row, image in enumerate(outcome.scores["images"]):
        assert image["thumbnails"][0] == 0
        assert image["thumbnails"][-1] == 100
        values = values_of(files[row]).astype(np.float32)[..., None]
        assert (outcome.arrays[f"image/{row}/clean"] == np.rint(values * 255)).all()
        for step in image["thumbnails"]:
            slope = outcome.scores["axes"][0]["values"][step]
            expected = np.rint(corrupt(values, [("contrast", slope)], 0) * 255)
            assert (outcome.arrays[f"image/{row}/step/{step}"] == expected).all()


def test_thumbnails_of_large_images_are_averages_of_blocks(tmp_path):
    side = 192
    levels = np.random.default_rng(0).integers(0, 256, (side, side)).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "large.png")
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    model = classifier(network, side, classes=2)
    context = Context(model, files=[file_at(tmp_path / "large.png")])
    thumbnail = sweep(context, steps=2).arrays["image/0/clean"][..., 0]
    blocks = levels.reshape(96, 2, 96, 2).mean((1, 3))
    assert np.abs(thumbnail - blocks).max() <= 0.5 + 1e-4


def test_answers_that_are_not_finite_are_told_apart(files):
    class Overflows(nn.Module):
        def forward(self, values):
            bright = values.mean((1, 2, 3))
            logits = torch.stack([bright, 1 - bright], 1)
            return torch.where(bright[:, None] > 0.9, torch.nan, logits)

    context = Context(classifier(Overflows(), SIDE, classes=2), files=files)
    outcome = sweep(context, axis="brightness", start="0", stop="1", steps=3)
    outcome.check()
    conforms(SweepAnswer, outcome.scores)
    (image, *_) = outcome.scores["images"]
    assert image["predicted"][-1] == -1
    assert image["top"][-1] == []
    assert image["curves"][str(image["target"])]["probability"][-1] is None
    assert image["label_changes"][-1]["new"] == -1
    assert outcome.scores["quantile_bands"][-1] == {
        "n": 5,
        "not_finite": 5,
        "probability_quantiles": None,
        "one_minus_p_quantiles": None,
        "unchanged": counted(0, 5),
        "correct": {"hits": 0, "n": 0, "interval": [0.0, 1.0]},
    }


def test_a_model_of_one_class_never_changes_and_this_is_said(files):
    answer = swept(files, linear_model(classes=1), axis="contrast", steps=3)
    assert all(image["label_changes"] == [] for image in answer["images"])
    assert "one class only" in " ".join(answer["notes"])


def test_a_grey_model_is_told_that_colour_changes_nothing(files):
    answer = swept(files, axis="saturation", steps=3)
    assert "no colour to alter" in " ".join(answer["notes"])
    assert all(len(set(image["predicted"])) == 1 for image in answer["images"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": "far"}, "must be a number"),
        ({"stop": "1e9"}, "between"),
        ({"second": "contrast"}, "Both axes"),
        ({"steps": 101, "second": "blur", "second_steps": 101}, "too many"),
    ],
)
def test_options_that_do_not_fit_are_said(files, options, words):
    with pytest.raises(OptionError, match=words):
        swept(files, **options)


def test_without_a_readable_image_it_is_said(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for files in ((), (file_at(tmp_path / "text.png"),)):
        with pytest.raises(InputError, match="No image could be read"):
            sweep(Context(linear_model(), files=files))


@pytest.mark.parametrize(
    "options",
    [
        {"axis": "threshold"},
        {"axis": "value_range", "second": "rotated", "steps": 3, "second_steps": 2},
        {"axis": "imagenet_c_noise", "images": "folder"},
    ],
    ids=str,
)
def test_an_answer_is_what_its_type_promises(files, folder, options):
    outcome = sweep(Context(linear_model(), files=files, folder=folder), **options)
    conforms(SweepAnswer, outcome.scores)


def test_the_choices_of_an_axis_are_the_registered_corruptions():
    choices = {one.name: one.choices for one in find_method("corruption/sweep").info.options}
    assert choices["axis"] == names()
    assert choices["second"] == ("none", *names())


def changes_of(clean, predicted, axis):
    ranked = [{"index": clean, "probability": 0.9, "one_minus_p": 0.1}]
    return label_changes({"clean": ranked, "predicted": predicted}, axis, list("abcdefgh"))


def test_label_changes_go_outwards_from_the_image_as_it_is():
    axis = SweepAxis(find("rotated"), (-20, -10, 0, 10, 20, 30))
    assert changes_of(5, [7, 5, 5, 5, 6, 5], axis) == [
        {"step": 4, "previous_step": 3, "old": 5, "new": 6, "title": "f becomes g at 20°"},
        {"step": 5, "previous_step": 4, "old": 6, "new": 5, "title": "g becomes f at 30°"},
        {"step": 0, "previous_step": 1, "old": 5, "new": 7, "title": "f becomes h at −20°"},
    ]


def test_another_answer_at_the_identity_itself_is_listed_once():
    """A batch of another size may round otherwise, so that a tie is answered otherwise."""
    axis = SweepAxis(find("rotated"), (-10, 0, 10))
    assert changes_of(5, [6, 6, 6], axis) == [
        {"step": 1, "previous_step": None, "old": 5, "new": 6, "title": "f becomes g at 0°"}
    ]
    assert changes_of(5, [5, 6, 6], axis)[1:] == [
        {"step": 0, "previous_step": 1, "old": 6, "new": 5, "title": "g becomes f at −10°"}
    ]


def test_without_an_identity_the_first_step_is_held_against_the_image_as_it_is():
    axis = SweepAxis(find("threshold"), (0.1, 0.2, 0.3, 0.4))
    title = "f becomes g at level 0.1"
    assert changes_of(5, [6, 6, None, 5], axis) == [
        {"step": 0, "previous_step": None, "old": 5, "new": 6, "title": title}
    ]


@pytest.mark.parametrize("value", [5.0, 25.0])
def test_the_contrast_axis_is_the_contrast_of_the_preprocessing(value):
    """So that a step opened in Inspect, or set as preprocessing, is the same question."""
    source = ModelSource(samples.model_files()["letters_conv"])
    images = (samples.image_files()["letter-x-blurred"],)
    runner = LocalRunner()
    options = {"axis": "contrast", "start": str(value), "stop": "50", "steps": 2}
    answer = runner.run(Request("corruption/sweep", source, images, options=options)).scores
    inspected = runner.run(Request(INSPECT, source, images, options={"attributions": ()}))
    settings = preprocessing_from(inspected.scores["model"]["preprocessing"])
    settings = replace(settings, contrast=value)
    inspected = runner.run(Request(INSPECT, source, images, settings, options={"attributions": ()}))
    top = inspected.scores["images"][0]["top"]
    for ours, theirs in zip(answer["images"][0]["top"][0], top, strict=False):
        assert ours["index"] == theirs["index"]
        assert ours["probability"] == pytest.approx(theirs["probability"], rel=1e-4, abs=1e-9)
