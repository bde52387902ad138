"""The three methods' answers about the sample model and folders, from the folder to the score."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.methods.registry import find
from diagnostics.metrics.roc import auroc
from diagnostics.reference.statistics import load
from diagnostics.schema.request import ModelSource
from diagnostics.schema.results.ood import DetectionAnswer, EvaluationAnswer, ReferenceAnswer
from tests.independent.slow_false_discovery import slow_benjamini_hochberg
from tests.independent.slow_scores import slow_p_value
from tests.results import conforms


@pytest.fixture(scope="module")
def classifier():
    return open_model(ModelSource(samples.model_files()["letters_conv"]), ()).classifier()


@pytest.fixture(scope="module")
def fitted(classifier):
    folder = samples.folders()["in_distribution"]
    return find("ood/fit_reference").function(Context(classifier, folder=folder, seed=3))


@pytest.fixture(scope="module")
def reference(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "reference.safetensors"
    parts = [fitted.arrays[f"file/{index}"].tobytes() for index in range(len(fitted.arrays))]
    path.write_bytes(b"".join(parts))
    return load(path, path.name)


@pytest.fixture(scope="module")
def evaluated(classifier, reference):
    folder = samples.folders()["out_of_distribution"]
    context = Context(classifier, ood_folder=folder, reference=reference)
    return find("ood/evaluate").function(context)


def detected(classifier, reference, **options):
    files = list(samples.image_files().values())
    return find("ood/detect").function(
        Context(classifier, files=files, reference=reference), **options
    )


def test_the_reference_says_which_images_it_is_of(fitted, reference):
    conforms(ReferenceAnswer, fitted.scores)
    about = fitted.scores["reference"]
    assert about == reference.about
    assert about["seed"] == 3
    assert about["folder"]["name"] == samples.folders()["in_distribution"].name
    fit, calibration = about["images"]["fit"], about["images"]["calibration"]
    assert 0 <= fit - calibration <= 1
    assert len(reference.fit.labels) == fit
    assert len(reference.calibration.labels) == calibration


@pytest.mark.parametrize("examined", [True, False])
@pytest.mark.parametrize("has_reference", [True, False])
def test_a_detection_is_what_its_type_promises(classifier, reference, has_reference, examined):
    outcome = detected(classifier, reference if has_reference else None, examined=examined)
    answer = outcome.scores
    conforms(DetectionAnswer, answer)
    assert (answer["preprocessing"] is not None) == examined
    assert (answer["reference"] is not None) == has_reference
    assert (answer["distribution_shift"] is not None) == has_reference
    ids = {info["method"] for info in answer["available"]}
    assert all(set(image["scores"]) == ids for image in answer["images"])
    names = {name.removeprefix("in_distribution/") for name in outcome.arrays}
    expected = {name.removeprefix("ood/") for name in ids} | {"smallest_p_values"}
    assert names == (expected if has_reference else set())
    assert (answer["discoveries"] is not None) == has_reference


def test_an_image_is_flagged_by_the_default_score_at_its_threshold(classifier, reference):
    answer = detected(classifier, reference, alpha=0.1, examined=False).scores
    info = next(one for one in answer["available"] if one["method"] == answer["default"])
    flags = [image["flagged"] for image in answer["images"]]
    values = [image["scores"][answer["default"]]["value"] for image in answer["images"]]
    assert flags == [value >= info["threshold"] for value in values]
    assert set(flags) == {True, False}


def test_an_evaluation_is_what_its_type_promises_and_its_auroc_that_of_its_arrays(evaluated):
    conforms(EvaluationAnswer, evaluated.scores)
    for method, separation in evaluated.scores["scores"].items():
        name = method.removeprefix("ood/")
        id_scores = evaluated.arrays[f"in_distribution/{name}"]
        ood_scores = evaluated.arrays[f"out_of_distribution/{name}"]
        assert separation["auroc"] == pytest.approx(auroc(id_scores, ood_scores))
        assert separation["low"] <= separation["auroc"] <= separation["high"]
        assert separation["n"]["in_distribution"] == len(id_scores)
        assert separation["n"]["out_of_distribution"] == len(ood_scores)
        for scores in (id_scores, ood_scores):
            assert (np.diff(scores) >= 0).all()


def test_a_folder_without_a_reference_is_measured_where_it_is_needed(classifier):
    """The command line said that no known-good images were given, though a folder was."""
    files = list(samples.image_files().values())
    folder = samples.folders()["in_distribution"]
    context = Context(classifier, files=files, folder=folder, seed=3)
    answer = find("ood/detect").function(context, examined=False).scores
    assert answer["false_alarms"]["n"] > 0
    assert {image["flagged"] for image in answer["images"]} == {True, False}
    strangers = samples.folders()["out_of_distribution"]
    context = Context(classifier, folder=folder, ood_folder=strangers, seed=3)
    assert find("ood/evaluate").function(context).scores["scores"]["ood/combined"]["auroc"] > 0.7


def test_without_folder_and_reference_the_sentence_says_what_to_give(classifier):
    with pytest.raises(InputError, match="folder of known-good images, or a reference"):
        find("ood/evaluate").function(Context(classifier))


def test_images_flagged_by_any_score_are_counted_beside_the_promise(classifier, reference):
    """A loop over the calibration images, each placed among the others by every score."""
    answer = detected(classifier, reference, alpha=0.1, examined=False).scores
    detector = OODDetector(classifier.spec, reference)
    outputs = reference.calibration.outputs
    values = {name: detector.score(name, outputs) for name in detector.names}
    flagged = 0
    for row in range(len(outputs.logits)):
        p_values = []
        for scores in values.values():
            others = [other for place, other in enumerate(scores) if place != row]
            p_values.append(slow_p_value(scores[row], others))
        flagged += min(p_values) <= Fraction(1, 10)
    promise = answer["false_alarms"]
    assert promise["scores"] == len(values)
    assert promise["by_any"]["hits"] == flagged
    assert flagged > 0.1 * promise["n"]


def test_many_images_named_together_are_those_of_the_slow_procedure(classifier, reference):
    answer = detected(classifier, reference, alpha=0.05, examined=False).scores
    p_values = [
        Fraction(image["scores"][answer["default"]]["p_value"]).limit_denominator(10**4)
        for image in answer["images"]
    ]
    expected = slow_benjamini_hochberg(p_values, Fraction(1, 20))
    names = [image["file"] for image in answer["images"]]
    found = answer["discoveries"]
    assert found["n"] == len(names)
    assert found["files"] == [name for name, is_in in zip(names, expected, strict=True) if is_in]


def test_every_score_says_what_its_number_is(classifier, reference):
    answer = detected(classifier, reference, examined=False).scores
    said = {info["method"]: info["measure"] for info in answer["available"]}
    assert all(sentence.endswith(".") for sentence in said.values())
    assert said["ood/combined"].startswith("Minus the summed natural logarithms of the parts' p")
