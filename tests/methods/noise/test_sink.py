"""A class that gets the noise is accused only where an intervention on its logit proves it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.context import Context
from diagnostics.methods.noise._sink import find_sink, least_offset
from diagnostics.methods.noise.noise import noise
from tests.labelled_logits import drawn_from_softmax
from tests.letters import letters_context
from tests.networks_for_tests import classifier


def digits_network(kind, classes, seed):
    """A network trained on scikit-learn's digits of the first so many classes."""
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=classes)
    pixels = torch.from_numpy(digits.images[:, None].astype(np.float32) / 16)
    labels = torch.from_numpy(digits.target)
    torch.manual_seed(seed)
    body = {
        "dense": [nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, classes)],
        "conv": [
            nn.Conv2d(1, 12, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 16, classes),
        ],
    }
    network = nn.Sequential(*body[kind])
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(15):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(pixels[rows]), labels[rows]).backward()
            optimizer.step()
    accuracy = float((network(pixels).argmax(1) == labels).float().mean())
    assert accuracy > 0.95
    return network.eval()


def sink_of(network, classes):
    return noise(Context(classifier(network, 8, classes=classes)), draws=32).scores["sink"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "classes", "seed"),
    [
        ("dense", 2, 0),
        ("conv", 2, 1),
        ("dense", 3, 2),
        ("conv", 5, 3),
        ("dense", 10, 4),
        ("conv", 10, 5),
    ],
)
def test_noise_names_no_sink_on_a_healthy_network_and_names_the_one_that_is_planted(
    kind, classes, seed
):
    network = digits_network(kind, classes, seed)
    healthy = sink_of(network, classes)
    assert healthy["verdict"] == "no sink"
    other = (healthy["index"] + 1) % classes
    with torch.no_grad():
        network[-1].bias[other] += 12
    planted = sink_of(network, classes)
    assert (planted["verdict"], planted["index"]) == ("sink", other)
    assert planted["offset"] == pytest.approx(12, abs=1.5)
    assert planted["share"] - planted["share_without"] > 0.3


def test_the_letters_have_no_sink():
    answer = noise(letters_context(), draws=32).scores
    assert answer["sink"]["verdict"] == "no sink"
    assert answer["sink"]["offset_from"] == "last layer"


def test_two_classes_need_no_share_of_all_noise_to_be_accused():
    """A rule of five even shares could never name one of five classes or fewer."""
    random = np.random.default_rng(0)
    drawn = random.normal(size=(200, 2))
    drawn[:, 1] += 3
    found = find_sink({"uniform": drawn}, np.zeros((0, 2)), np.zeros(0, int), np.array([0.0, 3.0]))
    assert found["share"] < 1
    assert found["verdict"] == "sink"


def test_without_labels_and_without_a_last_layer_it_cannot_be_told():
    drawn = np.tile([0.0, 5.0, 0.0], (50, 1))
    found = find_sink({"uniform": drawn}, np.zeros((0, 3)), np.zeros(0, int), None)
    assert (found["verdict"], found["offset"]) == ("can't tell", None)
    assert find_sink({"uniform": np.zeros((0, 3))}, drawn, np.zeros(50, int), None) is None


@pytest.mark.parametrize("added", [0.0, 4.0, 8.0])
def test_the_least_offset_that_labels_leave_possible_lies_just_below_what_was_added(added):
    found = []
    for seed in range(40):
        logits, labels = drawn_from_softmax(200, 4, seed=seed)
        logits[:, 2] += added
        found.append(least_offset(logits, labels == 2, 2))
    if added == 0:
        assert np.mean(np.array(found) == 0) >= 0.85
    else:
        assert added - 1.5 < np.mean(found) < added
        assert np.mean(np.array(found) <= added) >= 0.9
