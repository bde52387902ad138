"""Sweeps and what is read out of them, held against linear models and counting by hand."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from diagnostics.corruptions.registry import AXES, altered
from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import InputError, OptionError
from diagnostics.execution.local import LocalRunner
from diagnostics.methods.context import Context
from diagnostics.methods.corruption import _grey_transitions as reading
from diagnostics.methods.corruption import _sweep as sweeping
from diagnostics.methods.corruption.sweep import sweep
from diagnostics.methods.corruption.sweep_images import sweep_images
from diagnostics.methods.corruption.transitions import transitions
from diagnostics.metrics.intervals import wilson
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.schema.spec import preprocessing_from
from tests.networks_for_tests import classifier, linear

SIDE, CLASSES = 4, 4


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five grey images, nothing so bright or dark that a little more is clipped."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(3)
    files = []
    for place in range(5):
        levels = random.integers(80, 176, (SIDE, SIDE)).astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{place}.png")
        files.append(file_at(folder / f"{place}.png"))
    return files


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    """The same images in folders "class 0" and "class 1"."""
    path = tmp_path_factory.mktemp("folder") / "known.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for place, file in enumerate(pictures):
            archive.write(file.path, f"class {place % 2}/{place}.png")
    return file_at(path)


def model(seed=0, classes=CLASSES):
    torch.manual_seed(seed)
    network = linear(SIDE * SIDE, classes)
    nn.init.normal_(network[1].weight)
    return classifier(network, SIDE, classes=classes)


def weights(asked):
    layer = asked.network[1]
    return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()


def values_of(file):
    return np.asarray(Image.open(file.path), np.float64) / 255


def asked(files, made=None, **options):
    return sweep(Context(made or model(), files=files), **options).scores


def test_a_linear_model_under_more_brightness_answers_as_its_sum_of_weights_says(pictures):
    made = model()
    w, b = weights(made)
    found = asked(pictures, made, axis="brightness", start="-0.2", stop="0.2", steps=9)
    added = found["axes"][0]["values"]
    for file, image in zip(pictures, found["images"], strict=True):
        logits = np.array([w @ (values_of(file) + one).ravel() + b for one in added])
        assert image["said"] == logits.argmax(1).tolist()
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        for index, curve in image["curves"].items():
            assert curve["probability"] == pytest.approx(p[:, int(index)], rel=2e-4)
        for place, top in enumerate(image["top"]):
            order = np.argsort(-logits[place])[:3]
            assert [one[0] for one in top] == order.tolist()


def test_a_linear_model_under_another_range_is_its_scaled_logits_and_turns_where_they_cross(
    pictures,
):
    made = model()
    nn.init.normal_(made.network[1].bias, std=3)
    w, b = weights(made)
    found = asked(pictures, made, axis="value_range", start="0.001", stop="1000", steps=61)
    turned = 0
    for file, image in zip(pictures, found["images"], strict=True):
        z = w @ values_of(file).ravel()
        said = [int((factor * z + b).argmax()) for factor in found["axes"][0]["values"]]
        assert image["said"] == said
        for turn in image["turns"]:
            now, was = turn["now"], turn["was"]
            at, last = (found["axes"][0]["values"][turn[key]] for key in ("place", "last"))
            assert (at * z + b)[now] > (at * z + b)[was]
            assert (last * z + b)[was] > (last * z + b)[now]
            assert turn["title"].startswith(f"class {was} becomes class {now} at ")
            assert turn["title"].endswith("× the values")
        turned += len(image["turns"])
    assert turned > 0


def test_at_the_neutral_number_the_answer_is_that_of_the_image_as_it_is(pictures):
    for axis in ("contrast", "rotated", "gaussian_noise"):
        found = asked(pictures, axis=axis, steps=5)
        place = found["axes"][0]["neutral"]
        for image in found["images"]:
            for was, now in zip(image["before"], image["top"][place], strict=True):
                assert was[0] == now[0]
                assert now[1:] == pytest.approx(was[1:], rel=1e-5)


def test_every_class_that_is_ever_first_has_a_curve_and_a_name(pictures):
    found = asked(pictures, axis="inverted")
    for image in found["images"]:
        first = {str(one) for one in image["said"]} | {str(image["before"][0][0])}
        assert set(image["curves"]) == first
        assert first <= found["classes"].keys()
        for curve in image["curves"].values():
            total = np.array(curve["probability"]) + np.array(curve["one_minus_p"])
            assert total == pytest.approx(1)


def test_a_class_that_is_meant_is_followed(pictures):
    context = Context(model(), files=pictures, target=3)
    found = sweep(context, axis="contrast", steps=3).scores
    assert all(image["meant"] == 3 and "3" in image["curves"] for image in found["images"])


def test_two_axes_ask_every_step_of_the_one_with_every_step_of_the_other(pictures):
    made = model()
    found = asked(
        pictures[:1], made, axis="blur", steps=3, second="contrast", second_steps=4, stop="2"
    )
    first, second = (axis["values"] for axis in found["axes"])
    (image,) = found["images"]
    assert len(image["said"]) == len(first) * len(second)
    values = values_of(pictures[0]).astype(np.float32)[..., None]
    w, b = weights(made)
    expected = [
        int((w @ altered(values, [("blur", one), ("contrast", two)], 0).ravel() + b).argmax())
        for one in first
        for two in second
    ]
    assert image["said"] == expected
    assert "turns" not in image
    assert found["bands"] == []


def test_a_bands_numbers_are_those_of_counting(pictures, folder):
    made = model()
    context = Context(made, folder=folder)
    found = sweep(context, axis="inverted", steps=5, images="folder", most=5).scores
    assert (found["n"], found["labelled"], found["images"]) == (5, 5, [])
    w, b = weights(made)
    values = [values_of(file) for file in pictures]
    first = [int((w @ one.ravel() + b).argmax()) for one in values]
    for share, band in zip(found["axes"][0]["values"], found["bands"], strict=True):
        logits = np.array([w @ ((1 - share) * v + share * (1 - v)).ravel() + b for v in values])
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        sure = p[range(5), first]
        assert band["quantiles"] == pytest.approx(np.quantile(sure, [0.05, 0.5, 0.95]), rel=1e-4)
        assert np.add(band["quantiles"], band["distances"]) == pytest.approx(1)
        kept = int((logits.argmax(1) == first).sum())
        assert band["kept"] == {"hits": kept, "interval": list(wilson(kept, 5))}
        right = int((logits.argmax(1) == [0, 1, 0, 1, 0]).sum())
        assert (band["right"]["hits"], band["right"]["n"]) == (right, 5)


def test_the_folder_is_drawn_from_by_the_seed(folder):
    def drawn(seed):
        context = Context(model(), folder=folder, seed=seed)
        return sweep(context, axis="contrast", steps=2, images="folder", most=2).scores["bands"]

    assert drawn(0) == drawn(0)
    assert len({json.dumps(drawn(seed)) for seed in range(4)}) > 1


def test_what_is_there_so_far_is_kept_and_says_that_it_is_not_all(pictures, monkeypatch):
    monkeypatch.setattr(sweeping, "batch_size", lambda _: 4)
    kept, told = [], []
    context = Context(
        model(),
        files=pictures,
        partial=lambda make: kept.append(make()),
        progress=lambda doing, done: told.append(done),
    )
    whole = sweep(context, axis="contrast", steps=6).scores
    first = kept[0].scores
    assert not first["complete"]
    assert whole["complete"]
    assert len(first["images"]) == 1
    assert first["images"][0]["said"][4:] == [None, None]
    assert first["images"][0]["said"][:4] == whole["images"][0]["said"][:4]
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1
    for one in kept:
        one.check()


def test_pictures_are_the_altered_images_and_at_most_24_of_each(pictures):
    outcome = sweep(Context(model(), files=pictures[:2]), axis="contrast", steps=101)
    assert len(outcome.arrays) == 2 * (24 + 1)
    for row, image in enumerate(outcome.scores["images"]):
        assert image["pictures"][0] == 0
        assert image["pictures"][-1] == 100
        values = values_of(pictures[row]).astype(np.float32)[..., None]
        assert (outcome.arrays[f"image/{row}/before"] == np.rint(values * 255)).all()
        for place in image["pictures"]:
            slope = outcome.scores["axes"][0]["values"][place]
            wanted = np.rint(altered(values, [("contrast", slope)], 0) * 255)
            assert (outcome.arrays[f"image/{row}/step/{place}"] == wanted).all()


def test_answers_that_are_not_finite_are_told_apart(pictures):
    class Overflows(nn.Module):
        def forward(self, values):
            bright = values.mean((1, 2, 3))
            logits = torch.stack([bright, 1 - bright], 1)
            return torch.where(bright[:, None] > 0.9, torch.nan, logits)

    made = classifier(Overflows(), SIDE, classes=2)
    outcome = sweep(Context(made, files=pictures), axis="brightness", start="0", stop="1", steps=3)
    outcome.check()
    (one, *_) = outcome.scores["images"]
    assert one["said"][-1] == -1
    assert one["top"][-1] == []
    assert one["curves"][str(one["meant"])]["probability"][-1] is None
    assert one["turns"][-1]["now"] == -1
    assert outcome.scores["bands"][-1] == {
        "n": 5,
        "not_finite": 5,
        "quantiles": None,
        "distances": None,
        "kept": {"hits": 0, "interval": list(wilson(0, 5))},
        "right": {"hits": 0, "n": 0, "interval": [0.0, 1.0]},
    }


def test_a_model_of_one_class_never_changes_and_this_is_said(pictures):
    found = asked(pictures, model(classes=1), axis="contrast", steps=3)
    assert all(image["turns"] == [] for image in found["images"])
    assert "one class only" in " ".join(found["notes"])


def test_a_grey_model_is_told_that_colour_changes_nothing(pictures):
    found = asked(pictures, axis="saturation", steps=3)
    assert "no colour to alter" in " ".join(found["notes"])
    assert all(len(set(image["said"])) == 1 for image in found["images"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": "far"}, "must be a number"),
        ({"stop": "1e9"}, "between"),
        ({"second": "contrast"}, "Both axes"),
        ({"steps": 101, "second": "blur", "second_steps": 101}, "too many"),
    ],
)
def test_options_that_do_not_fit_are_said(pictures, options, words):
    with pytest.raises(OptionError, match=words):
        asked(pictures, **options)


def test_without_a_readable_image_it_is_said(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for method in (sweep, sweep_images):
        for files in ((), (file_at(tmp_path / "text.png"),)):
            with pytest.raises(InputError, match="No image could be read"):
                method(Context(model(), files=files))


def test_a_step_is_given_as_the_picture_that_was_asked_about(pictures):
    steps = [[["contrast", 25]], [["blur", 1.5], ["gaussian_noise", 0.2]], [["value_range", 3]], []]
    outcome = sweep_images(Context(model(), files=pictures[:1]), along=json.dumps(steps))
    values = values_of(pictures[0]).astype(np.float32)[..., None]
    for place, along in enumerate(steps):
        made = altered(values, along, 0).clip(0, 1) * 255
        assert (outcome.arrays[f"step/{place}"] == np.rint(made)).all()
    assert outcome.scores["rounded"][3] < 1e-6
    assert max(outcome.scores["rounded"][:2]) <= 0.5 / 255 + 1e-6
    assert outcome.scores["rounded"][2] > 0.5  # a picture file cannot hold it


@pytest.mark.parametrize(
    "along",
    ["no list", "5", '[[["nonsense", 1]]]', '[[["contrast", -1]]]', '[[["contrast", "x"]]]'],
)
def test_steps_that_are_none_are_refused(pictures, along):
    with pytest.raises(InputError):
        sweep_images(Context(model(), files=pictures[:1]), along=along)


def test_turns_go_outwards_from_the_image_as_it_is():
    found = reading.turns([7, 5, 5, 5, 6, 5], 5, 2)
    assert found == [
        {"place": 4, "last": 3, "was": 5, "now": 6},
        {"place": 5, "last": 4, "was": 6, "now": 5},
        {"place": 0, "last": 1, "was": 5, "now": 7},
    ]
    without = reading.turns([6, 6, None, 5], 5, None)
    assert without == [{"place": 0, "last": None, "was": 5, "now": 6}]


def test_the_interval_of_a_paired_drop_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    for truth in ((0.6, 0.2, 0.05, 0.15), (0.8, 0.15, 0.02, 0.03), (0.3, 0.3, 0.3, 0.1)):
        drop, inside = truth[1] - truth[2], 0
        for cells in random.multinomial(40, truth, 2000):
            _, low, high = reading.paired_drop(*cells.tolist())
            inside += low <= drop <= high
        assert 0.935 <= inside / 2000 <= 0.99


def test_an_unpaired_looking_drop_is_newcombes_of_two_rates():
    """Without a link between the two answers it is the root of the sum of squares, method 10."""
    drop, low, high = reading.paired_drop(25, 25, 25, 25)
    low_p, high_p = wilson(50, 100)
    assert drop == 0
    assert low == pytest.approx(-math.hypot(0.5 - low_p, high_p - 0.5))
    assert high == -low


def said(n, kept, *, range_same=True):
    """Return answers where the hard threshold keeps the label of `kept` of `n` images."""
    zeros = np.zeros(n, np.intp)
    found = dict.fromkeys(reading.PROBE, zeros)
    found[reading.HARD] = (np.arange(n) >= kept).astype(np.intp)
    found |= dict.fromkeys(reading.OTHER_RANGES, np.ones(n, np.intp))
    return found | ({} if range_same else {"range_same": np.ones(n, np.intp)})


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("n", "kept", "verdict"),
    [
        (200, 140, "relies on grey transitions"),
        (200, 195, "no sign of it"),
        (200, 175, "can't tell"),
        (10, 7, "can't tell"),
        (19, 0, "can't tell"),
        (20, 0, "relies on grey transitions"),
        (0, 0, "can't tell"),
    ],
)
def test_the_reading_follows_the_rule_of_ten_points_with_their_interval(n, kept, verdict, labelled):
    labels = np.full(n, 0 if labelled else -1, np.intp)
    found = reading.reading(said(n, kept), labels, 0.1)
    assert found.verdict == verdict
    assert found.n == n
    assert found.of == ("accuracy" if labelled and n else "same answers")
    if n:
        assert found.drop == pytest.approx((n - kept) / n)
        assert found.interval[0] > 0.1 or verdict != "relies on grey transitions"


def test_the_reading_is_withheld_where_the_range_may_be_the_cause():
    labels = np.zeros(200, np.intp)
    answers = said(200, 100)
    answers["as_is"] = (np.arange(200) % 2).astype(np.intp)
    answers["range_same"] = answers["as_is"]
    answers["range_255th"] = labels
    answers[reading.HARD] = np.ones(200, np.intp)
    found = reading.reading(answers, labels, 0.1)
    assert found.verdict == "can't tell"
    assert "the range is wrong" in found.why
    assert reading.reading(said(200, 100, range_same=False), labels, 0.1).verdict == "can't tell"


def test_images_full_of_greys_are_no_drawings_and_say_nothing_of_edges():
    found = reading.reading(said(200, 20), np.zeros(200, np.intp), 0.6)
    assert found.verdict == "can't tell"
    assert "no drawings" in found.why


def test_the_probe_counts_what_each_alteration_does(folder, pictures):
    made = model()
    w, b = weights(made)
    found = transitions(Context(made, folder=folder)).scores
    rows = {row["name"]: row for row in found["rows"]}
    values = [values_of(file) for file in pictures]
    first = [int((w @ one.ravel() + b).argmax()) for one in values]
    for name, change in {
        "as_is": lambda v: v,
        "range_same": lambda v: v,
        "threshold": lambda v: v > 0.5,
        "range_255": lambda v: 255 * v,
        "range_255th": lambda v: v / 255,
        "negative": lambda v: 1 - v,
    }.items():
        now = [int((w @ change(one).ravel() + b).argmax()) for one in values]
        assert rows[name]["kept"]["hits"] == sum(x == y for x, y in zip(first, now, strict=True))
        assert rows[name]["right"]["hits"] == sum(x == i % 2 for i, x in enumerate(now))
    assert found["n"] == 5
    assert found["greys"] == 1
    assert found["complete"]


def test_the_probe_reads_images_in_hand_without_labels(pictures):
    found = transitions(Context(model(), files=pictures), images="in hand").scores
    assert found["reading"]["of"] == "same answers"
    with pytest.raises(InputError):
        transitions(Context(model()), images="in hand")


@pytest.mark.parametrize("value", [5.0, 25.0])
def test_the_contrast_axis_is_the_contrast_of_the_preprocessing(value):
    """So that a step opened in Inspect, or set as preprocessing, is the same question."""
    source = ModelSource(samples.model_files()["letters_conv"])
    images = (samples.image_files()["letter-x-blurred"],)
    runner = LocalRunner()
    options = {"axis": "contrast", "start": str(value), "stop": "50", "steps": 2}
    swept = runner.run(Request("corruption/sweep", source, images, options=options))
    ranked = swept.scores["images"][0]["top"][0]
    own = runner.run(Request(INSPECT, source, images, options={"attributions": ()}))
    stages = own.scores["model"]["preprocessing"]
    changed = replace(preprocessing_from(stages), contrast=value)
    seen = runner.run(Request(INSPECT, source, images, changed, options={"attributions": ()}))
    for mine, theirs in zip(ranked, seen.scores["images"][0]["top"], strict=False):
        assert mine[0] == theirs["index"]
        assert mine[1] == pytest.approx(theirs["probability"], rel=1e-4, abs=1e-9)


def test_every_axis_has_a_title_a_unit_and_a_sentence():
    assert len({axis.title for axis in AXES.values()}) == len(AXES)
    for axis in AXES.values():
        assert axis.unit
        assert axis.phrase.count("{}") == 1
        assert axis.about.endswith(".")
        assert axis.limits[0] <= min(axis.usual) < max(axis.usual) <= axis.limits[1]
