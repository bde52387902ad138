"""The line on every page says what contradicts what, and never accuses what was only assumed."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from diagnostics.report.preprocessing import alert
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import Candidate, Check, Fit, ModelSpec, Output
from tests.report.preprocessing.answers import check

OWN = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
SET = replace(OWN, value_range=255, mean=(0.0,) * 3, std=(1.0,) * 3)


def spec(fit=Fit.EXACT, *checks):
    candidate = Candidate("timm/small", fit, 4, 3, 32, 32, OWN, "")
    return ModelSpec(
        name="m.pt", format="", architecture="timm/small", sha256="", parameters=1, height=32,
        width=32, channels=3, class_names=("a", "b", "c", "d"), output=Output.LOGITS,
        preprocessing=OWN, checks=checks, candidates=(candidate,),
    )  # fmt: skip


def test_settings_that_contradict_the_file_are_named_with_the_way_back():
    found = alert.of_settings(SET, spec())
    assert "value range 255 instead of 1" in found.sentence
    assert "mean 0 0 0 instead of 0.5 0.5 0.5" in found.sentence
    assert found.settings == OWN


def test_settings_as_the_file_says_them_are_no_alert():
    assert alert.of_settings(OWN, spec()) is None


@pytest.mark.parametrize("fit", [Fit.RESIZED, Fit.POSITION])
def test_what_a_network_was_published_for_binds_nobody_who_trained_it_anew(fit):
    assert alert.of_settings(SET, spec(fit)) is None


def test_a_published_network_that_fits_by_position_says_what_it_was_published_with():
    """EfficientNet-lite0 calls a cat a pillow with another mean and std, and nothing was said."""
    published = spec(Fit.POSITION)
    candidates = (replace(published.candidates[0], classes=1000),)
    found = alert.of_settings(SET, replace(published, candidates=candidates))
    assert "otherwise than timm/small was published with" in found.sentence
    assert found.settings == OWN


def test_what_was_only_assumed_contradicts_nothing():
    assumed = Check("preprocessing", "warned", "How its images were prepared is not said.")
    assert alert.of_settings(SET, spec(Fit.EXACT, assumed)) is None
    said = Check("preprocessing", "passed", "As the folder says.")
    assert alert.of_settings(SET, spec(Fit.EXACT, said)) is not None


@pytest.mark.parametrize("verdict", ["fine", "can't tell", "something else"])
def test_only_a_check_that_found_a_better_way_is_an_alert(verdict):
    assert alert.of_check(check(verdict)) is None
    wrong = check()
    wrong["candidates"][1]["preprocessing"] = asdict(OWN)
    found = alert.of_check(wrong)
    assert found.settings == OWN
    assert found.offer == "Switch to “half”"
