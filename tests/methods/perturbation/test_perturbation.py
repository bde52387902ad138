"""What holds of random noise and of single pixels alike."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from diagnostics.errors import OptionError
from diagnostics.methods.perturbation.one_pixel import one_pixel
from diagnostics.methods.perturbation.random_noise import random_noise
from diagnostics.schema.results.perturbation import OnePixelAnswer, RandomNoiseAnswer
from tests.methods.perturbation.known_networks import (
    Flat,
    LogitsFrom,
    only_image,
    random_image,
    random_mlp,
    two_classes,
)
from tests.results import conforms

ANSWERS = {random_noise: RandomNoiseAnswer, one_pixel: OnePixelAnswer}
METHODS = list(ANSWERS)


def changes_anything(image):
    """Whether any ray or any pixel changes the answer."""
    return image["rays"]["crossings"] > 0 if "rays" in image else image["single"]["max"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_an_image_without_a_finite_answer_says_so(context, method):
    network = LogitsFrom(lambda flat: two_classes(flat.sum(1) * torch.nan))
    assert "not finite" in only_image(method(context(network, 6)))["error"]


@pytest.mark.parametrize("method", METHODS)
def test_answers_conform_also_where_an_image_cannot_be_read(context, tmp_path, method):
    given = context(Flat(6, 0.05), 6, images=[random_image(), np.full((6, 6), 128, np.uint8)])
    (tmp_path / "image 0.png").write_bytes(b"nothing")
    scores = method(given).scores
    conforms(ANSWERS[method], scores)
    broken, fine = scores["images"]
    assert broken["error"] == "image 0.png could not be read."
    assert fine["error"] is None


@pytest.mark.parametrize("method", METHODS)
def test_the_target_counts_alone(context, method):
    network = LogitsFrom(
        lambda flat: torch.stack([flat[:, 0] * 0, flat[:, 0] * 9 - 5, -flat[:, 0]], 1)
    )
    assert not changes_anything(only_image(method(context(network, 6, classes=3, target=2))))
    assert changes_anything(only_image(method(context(network, 6, classes=3, target=1))))
    assert "already" in only_image(method(context(network, 6, classes=3, target=0)))["error"]
    with pytest.raises(OptionError, match="no class 3"):
        method(context(network, 6, classes=3, target=3))


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_alone_decides(context, method):
    def scores(seed):
        image = random_image()
        given = context(random_mlp(), 6, images=[image], classes=4, seed=seed)
        return json.dumps(method(given).scores)

    assert scores(1) == scores(1)
    assert scores(1) != scores(2)


@pytest.mark.parametrize("method", METHODS)
def test_partial_answers_grow_and_conform(context, method):
    partial = []
    images = [random_image()] * 2
    outcome = method(
        context(
            random_mlp(),
            6,
            images=images,
            classes=4,
            partial=lambda make: partial.append(make()),
        )
    )
    assert len(partial) > 3
    assert not any(answer.scores["complete"] for answer in partial)
    assert outcome.scores["complete"]
    counts = [len(answer.scores["images"]) for answer in partial]
    assert counts == sorted(counts)
    for answer in partial:
        answer.check()
        conforms(ANSWERS[method], answer.scores)
