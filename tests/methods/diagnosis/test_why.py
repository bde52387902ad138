"""One verdict per image on networks whose answers can be written down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.context import Context, Sample
from diagnostics.methods.diagnosis.outputs import outputs
from diagnostics.methods.diagnosis.why import why
from diagnostics.methods.registry import find, methods
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.results.diagnosis import WhyAnswer
from diagnostics.schema.spec import Need, Output
from tests.benchmarks.preprocessing.worlds import classifier_of
from tests.methods.diagnosis.cases import (
    GREY,
    SIDE,
    Asked,
    images,
    linear,
    quarters,
    samples,
    unlabelled,
)

SURE = 4 * quarters()


def asked(classifier: TorchClassifier, classes: int = 4, good: int = 80, probes: int = 2) -> Asked:
    pictures, labels = images(classes, good + probes)
    files = samples(pictures, labels)
    return Asked(classifier, files[:good], [unlabelled(one) for one in files[good:]])


def answer(context: Context, *, closer: bool = False) -> WhyAnswer:
    outcome = why(context, closer=closer)
    outcome.check()
    return outcome.scores


def first(context: Context) -> list[str]:
    return [image["causes"][0]["id"] for image in answer(context)["images"]]


def test_ordinary_images_of_a_good_network_are_trusted() -> None:
    found = answer(asked(linear(SURE), probes=8))
    assert [image["verdict"] for image in found["images"]].count("trust") >= 6
    assert not found["diagnosis"]["causes"]
    assert found["diagnosis"]["right"] is not None


def test_a_sink_a_dead_class_shifted_names_and_a_constant_are_named() -> None:
    sink = linear(quarters(), torch.tensor([0.0, 12.0, 0.0, 0.0]))
    context = asked(sink)
    assert answer(context)["diagnosis"]["causes"][0]["id"] == "head.bias"
    dead = linear(SURE, torch.tensor([0.0, 0.0, -60.0, 0.0]))
    assert [one["id"] for one in answer(asked(dead))["diagnosis"]["causes"]] == ["head.dead_class"]
    good = asked(linear(SURE))
    shifted = Asked(
        good.classifier,
        [replace(one, label=(one.label + 1) % 4) for one in good.in_distribution()],
        good.samples(),
    )
    assert first(shifted) == ["classes.order"] * 2
    constant = linear(torch.zeros(4, SIDE * SIDE), torch.tensor([0.0, 9.0, 0.0, 0.0]))
    assert first(asked(constant)) == ["model.constant"] * 2


def test_softmax_of_softmax_is_undone_exactly() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = linear(SURE).network

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.inner(pixels).softmax(1)

    context = asked(classifier_of("twice", Twice(), GREY))
    context.classifier.spec = replace(context.classifier.spec, output=Output.LOGITS)
    cause = answer(context)["images"][0]["causes"][0]
    assert cause["id"] == "output.double_softmax"
    pixels = torch.tensor(images(4, 81)[0][80], dtype=torch.float32)[None, None] / 255
    inner = Twice().inner(pixels).double().softmax(1).max()
    assert cause["p_after"] == pytest.approx(float(inner), abs=1e-4)


def test_healthy_logits_are_no_probabilities() -> None:
    for seed in range(10):
        weight = torch.randn(5, SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
        found = outputs(asked(linear(0.1 * weight), classes=4)).scores
        assert not any(one["holds"] for one in found["causes"])


@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_any_number_of_classes_is_answered(classes: int) -> None:
    weight = torch.zeros(classes, SIDE * SIDE)
    weight[: min(classes, 4)] = SURE[: min(classes, 4)]
    found = answer(asked(linear(weight), classes=min(classes, 4)))
    assert len(found["images"]) == 2
    if classes == 1:
        assert found["images"][0]["causes"][0]["id"] == "model.one_class"


def test_without_good_images_nothing_is_trusted_and_what_is_missing_is_said() -> None:
    context = asked(linear(SURE), good=0, probes=3)
    found = answer(context)
    assert {image["verdict"] for image in found["images"]} == {"cannot_tell"}
    assert "20 known-good images" in found["images"][0]["needs"]
    assert found["images"][0]["unasked"]


def test_unlabelled_good_images_leave_unasked_what_needs_labels() -> None:
    context = asked(linear(SURE))
    bare = Asked(
        context.classifier,
        [unlabelled(one) for one in context.in_distribution()],
        context.samples(),
    )
    found = answer(bare)
    assert any("Without labels" in line for line in found["images"][0]["unasked"])
    assert found["diagnosis"]["right"] is None
    assert {image["verdict"] for image in found["images"]} == {"cannot_tell"}


def test_an_image_that_cannot_be_read_does_not_spoil_the_others() -> None:
    context = asked(linear(SURE))
    broken = Sample("broken.png", -1, lambda: b"no image")
    found = answer(
        Asked(context.classifier, context.in_distribution(), [broken, *context.samples()])
    )
    assert found["images"][0]["error"]
    assert found["images"][1]["said"]


def test_an_untrained_network_is_never_trusted() -> None:
    for seed in range(5):
        weight = torch.randn(4, SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
        found = answer(asked(linear(0.05 * weight)))
        assert "trust" not in {image["verdict"] for image in found["images"]}


def test_what_is_measured_of_the_model_is_measured_once() -> None:
    context = asked(linear(SURE))
    before = answer(context)
    again = answer(context)
    assert again["passes"] < before["passes"] / 2
    assert again["remembered"] > 0
    verdicts = [[image["verdict"] for image in one["images"]] for one in (before, again)]
    assert verdicts[0] == verdicts[1]


def test_the_same_question_has_the_same_answer() -> None:
    one, other = (answer(asked(linear(SURE))) for _ in range(2))
    assert one["images"] == other["images"]


def test_progress_only_grows_and_ends_at_most_at_one_and_cancel_keeps_what_is_known() -> None:
    context = asked(linear(SURE), probes=4)
    shares: list[float] = []
    context.progress = lambda _activity, done: shares.append(done)
    made: list[int] = []
    context.partial = lambda make: made.append(len(make().scores["images"]))
    answer(context)
    assert max(shares) <= 1.0
    assert made == [1, 2, 3, 4]


def test_without_gradients_the_cheap_stage_says_that_regions_were_not_asked() -> None:
    context = asked(linear(SURE))
    spec = context.classifier.spec
    offers = spec.offers - {Need.GRADIENTS}
    context.classifier.spec = replace(spec, offers=offers, parameters=10**9)
    found = answer(context)
    tried = {one["id"] for one in found["images"][0]["tried"]}
    assert "shortcut.local" not in tried
    assert any("egions" in line for line in found["images"][0]["unasked"])
    assert found["closer"] is not None
    assert "shortcut.local" in {
        one["id"] for one in answer(context, closer=True)["images"][0]["tried"]
    }


def test_every_method_of_the_topic_answers_alone() -> None:
    names = [one.info.id for one in methods() if one.info.id.startswith("diagnosis/")]
    assert len(names) >= 11
    for name in names:
        outcome = find(name).function(asked(linear(SURE)))
        outcome.check()
        assert len(outcome.scores["images"]) == 2


def test_pictures_of_the_evidence_are_what_the_model_was_asked_about() -> None:
    weight = quarters().reshape(4, SIDE, SIDE)
    weight[3, :3, :3] = 1.0
    pictures, labels = images(4, 90)
    for row, label in enumerate(labels):
        if label == 3:
            pictures[row][:3, :3] = 255
    patched = pictures[0].copy()
    patched[:3, :3] = 255
    probe = unlabelled(samples([patched], [0])[0])
    outcome = why(Asked(linear(weight.flatten(1)), samples(pictures, labels), [probe]))
    cause = outcome.scores["images"][0]["causes"][0]
    assert cause["id"] == "shortcut.local"
    classifier = linear(weight.flatten(1))
    for picture in cause["evidence"]:
        array = outcome.arrays[picture["array"]]
        assert array.dtype == np.uint8
        pixels = torch.tensor(array[..., 0], dtype=torch.float32)[None, None] / 255
        with torch.no_grad():
            shares = classifier.logits(pixels).softmax(1)[0]
        assert picture["p_cause"] == pytest.approx(float(shares[3]), abs=0.02)
