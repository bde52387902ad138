"""The images behind the steps of a sweep."""

from __future__ import annotations

import json

import numpy as np
import pytest

from diagnostics.corruptions.registry import corrupt
from diagnostics.data.samples import file_at
from diagnostics.errors import InputError
from diagnostics.methods.context import Context
from diagnostics.methods.corruption.sweep_images import sweep_images
from diagnostics.schema.results.corruption import SweepImagesAnswer
from tests.methods.corruption.linear_model import linear_model, values_of
from tests.results import conforms


def test_a_step_is_the_picture_that_the_sweep_asked_about(files):
    steps = [[["contrast", 25]], [["blur", 1.5], ["gaussian_noise", 0.2]], [["value_range", 3]], []]
    outcome = sweep_images(Context(linear_model(), files=files[:1]), corruptions=json.dumps(steps))
    conforms(SweepImagesAnswer, outcome.scores)
    values = values_of(files[0]).astype(np.float32)[..., None]
    for index, corruptions in enumerate(steps):
        exact = corrupt(values, corruptions, 0).clip(0, 1) * 255
        assert (outcome.arrays[f"step/{index}"] == np.rint(exact)).all()
    assert outcome.scores["rounding"][3] < 1e-6
    assert max(outcome.scores["rounding"][:2]) <= 0.5 / 255 + 1e-6
    assert outcome.scores["rounding"][2] > 0.5  # a picture file cannot hold it


def test_a_fractional_severity_shows_the_nearest_one(files):
    context = Context(linear_model(), files=files[:1])
    steps = [[["imagenet_c_noise", 0.4]], [["imagenet_c_noise", 2.4]], [["imagenet_c_noise", 2]]]
    outcome = sweep_images(context, corruptions=json.dumps([*steps, []]))
    unchanged, second, whole, image = (outcome.arrays[f"step/{index}"] for index in range(4))
    assert (unchanged == image).all()
    assert (second == whole).all()
    assert outcome.scores["corruptions"][:2] == [
        [["imagenet_c_noise", 0.0]],
        [["imagenet_c_noise", 2.0]],
    ]


@pytest.mark.parametrize(
    "corruptions",
    ["no list", "5", '[[["nonsense", 1]]]', '[[["contrast", -1]]]', '[[["contrast", "x"]]]'],
)
def test_steps_that_are_none_are_refused(files, corruptions):
    with pytest.raises(InputError):
        sweep_images(Context(linear_model(), files=files[:1]), corruptions=corruptions)


def test_without_a_readable_image_it_is_said(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for files in ((), (file_at(tmp_path / "text.png"),)):
        with pytest.raises(InputError, match="No image could be read"):
            sweep_images(Context(linear_model(), files=files))
