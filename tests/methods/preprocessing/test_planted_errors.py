"""What is planted is named, and a healthy network is not accused, by all labelled images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.preprocessing._race import FIRST, Race
from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
from diagnostics.models.batchnorm import batchnorm_layers
from diagnostics.preprocessing.candidates import scalings
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from diagnostics.schema.spec import preprocessing_from
from tests.benchmarks.preprocessing import plants, worlds
from tests.results import conforms

pytestmark = pytest.mark.slow

TRAINED, TESTED, IMAGES = 1200, 400, 200


@pytest.fixture(scope="module")
def digits():
    """Scikit-learn's digits, three times their size, and their labels."""
    load = pytest.importorskip("sklearn.datasets").load_digits
    values, labels = load(return_X_y=True)
    small = np.rint(values.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return small.repeat(3, 1).repeat(3, 2), labels


@pytest.fixture(scope="module")
def grey(digits):
    """A network with BatchNorm that knows digits at a mean and std of its own."""
    settings = replace(worlds.scaled(worlds.GREY, 0.31, 0.38), height=24, width=24)
    return trained(digits, settings, lambda: worlds.Plain(1, nn.BatchNorm2d, 8))


@pytest.fixture(scope="module")
def colour(digits):
    """A network without BatchNorm that knows coloured digits, cropped out of wider images."""
    pictures, labels = worlds.coloured(*digits, TRAINED, TESTED)
    settings = worlds.scaled(worlds.COLOUR, 0.5, 0.2)
    return trained((pictures, labels), settings, lambda: worlds.Plain(3, worlds.group, 8))


def trained(images, settings, make):
    files = worlds.samples_of(*images)[: TRAINED + TESTED]
    torch.manual_seed(1)
    network = make()
    worlds.train(network, files[:TRAINED], settings, epochs=6)
    classifier = worlds.classifier_of("trained", network, settings)
    return worlds.World("trained", classifier, files[TRAINED:])


def planted(world, name, count=IMAGES):
    """Return the case, which must cost what an error costs, and what the check says of it."""
    case = plants.case(world, name, world.images[:count])
    assert case is not None, "the plant costs nothing"
    return case, check_preprocessing(plants.Folder(case.classifier, case.images))


def suggested(check):
    row = next(row for row in check["candidates"] if row["suggested"])
    return preprocessing_from(row["preprocessing"])


@pytest.mark.parametrize("name", ["names shifted", "names mixed"])
def test_names_in_another_order_are_never_called_fine(name, grey):
    case, check = planted(grey, name)
    assert case.healthy > 0.8
    assert (check["verdict"], check["cause"]) == ("something else", "names")
    if name == "names shifted":
        assert "every name stands 1 place too late" in check["sentence"]


def test_random_weights_are_never_called_fine(colour):
    _, check = planted(colour, "random weights")
    assert check["verdict"] == "something else"


def test_an_answer_that_never_changes_is_never_called_fine(grey):
    _, check = planted(grey, "constant")
    assert (check["verdict"], check["cause"]) == ("something else", "constant")


@pytest.mark.parametrize("name", ["BatchNorm ruined", "BatchNorm forgotten"])
def test_ruined_batchnorm_is_never_mended_by_another_scaling(grey, name):
    _, check = planted(grey, name)
    assert (check["verdict"], check["cause"]) == ("something else", "batchnorm")


def test_a_biased_head_is_never_called_a_wrong_preprocessing(colour):
    _, check = planted(colour, "head bias")
    assert (check["verdict"], check["cause"]) == ("something else", "offset")


def test_mean_and_std_that_were_exchanged_are_found_and_put_right(colour):
    case, check = planted(colour, "mean and std exchanged")
    assert check["verdict"] == "wrong"
    right = colour.classifier.preprocessing
    assert np.allclose(suggested(check).mean, right.mean, atol=0.05)
    assert plants.judged("mean and std exchanged", case, check) == "named"


@pytest.mark.parametrize("name", ["stretched instead of cropped", "turned to grey"])
def test_a_wrong_shape_or_colour_is_found_with_all_labelled_images(colour, name):
    case, check = planted(colour, name, TESTED)
    assert check["n"] > 16
    assert check["verdict"] == "wrong"
    assert plants.judged(name, case, check) == "named"


def test_a_blur_that_was_set_is_called_a_blur_and_no_other_scaling(grey):
    _, check = planted(grey, "blurred by 2 px")
    assert check["verdict"] == "wrong"
    assert suggested(check) == grey.classifier.preprocessing
    assert "not blurred" in check["sentence"]


def test_files_that_are_blurred_themselves_are_not_called_wrongly_prepared(grey):
    _, check = planted(grey, "files blurred")
    assert check["verdict"] != "wrong"


def test_a_scale_that_costs_no_accuracy_is_found_by_batchnorm(grey):
    """A last BatchNorm hides the scale from the answers, not from what it remembers."""
    settings = grey.classifier.preprocessing
    faint = replace(settings, mean=(255 * settings.mean[0],), std=(255 * settings.std[0],))
    blind = plants.rebuilt(grey.classifier, lambda network: network.eval())
    first = batchnorm_layers(blind.network)[0]
    wrong = plants.with_settings(blind, faint)
    check = check_preprocessing(plants.Folder(wrong, grey.images[:IMAGES]))
    assert first.eps > 0
    assert check["verdict"] == "wrong"
    assert suggested(check).mean != faint.mean


def test_healthy_networks_are_not_accused(grey, colour):
    verdicts = [
        check_preprocessing(plants.Folder(world.classifier, images))["verdict"]
        for world in (grey, colour)
        for images in plants.draws(world, 100, 2)
    ]
    assert set(verdicts) <= {"fine", "can't tell"}


def test_ways_that_nearly_all_tie_are_no_reason_to_say_fine(grey):
    """A network that reads only which pixels are bright is right in nearly every scaling."""

    class Signs(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, values):
            low, high = values.amin((1, 2, 3), True), values.amax((1, 2, 3), True)
            scaled = (values - low) / (high - low)
            return self.inner((scaled - 0.31) / 0.38)

    network = Signs(grey.classifier.network)
    right = grey.classifier.preprocessing
    classifier = worlds.classifier_of("signs", network, right)
    check = check_preprocessing(plants.Folder(classifier, grey.images[:IMAGES]))
    tied = sum(row["tied"] for row in check["candidates"])
    assert tied > 2 * len(check["candidates"]) / 3
    assert check["verdict"] == "can't tell"
    assert "equally well" in check["sentence"]


def test_a_race_that_is_decided_ends_before_the_last_image(grey):
    images = grey.images[:IMAGES]
    race = Race(plants.Folder(grey.classifier, images), images, "accuracy")
    race.try_others()
    assert FIRST < race.images <= IMAGES
    assert race.passes < len(race.trials) * race.images
    slow = np.array([one.label for one in images[: race.images]])
    assert (race.labels == slow).all()


def test_what_a_check_says_is_what_its_type_promises(grey):
    conforms(PreprocessingCheck, planted(grey, "inverted")[1])


def test_a_large_colour_network_is_not_offered_the_scaling_of_small_grey_images():
    large, small = Preprocessing(), Preprocessing(height=32, width=32)
    grey_one = Preprocessing(colour=False, height=28, width=28, mean=(0.0,), std=(1.0,))

    def names(settings):
        return {one.names[0].partition(":")[0] for one in scalings(settings, settings)}

    of_small_images = {"fashion-mnist", "mnist", "svhn", "cifar10", "cifar100"}
    assert not names(large) & of_small_images
    assert {"imagenet", "half", "clip", "caffe"} <= names(large)
    assert of_small_images <= names(small)
    assert {"mnist", "fashion-mnist"} <= names(grey_one)
    assert not names(grey_one) & {"svhn", "cifar10", "cifar100", "clip", "caffe"}
