"""Copies of networks with random weights: what changes in them, and what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from diagnostics.data import samples
from diagnostics.errors import NotOfferedError
from diagnostics.loaders.open import open_model
from diagnostics.methods.faithfulness._randomization import randomized
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import ModelSource
from tests.networks_for_tests import FunctionalResidual, classifier, linear


@pytest.mark.parametrize("name", ["letters_conv", "letters_dense"])
@pytest.mark.parametrize("part", ["head", "upper", "all"])
def test_a_random_copy_leaves_the_model_as_it_is(name, part):
    model = open_model(ModelSource(samples.model_files()[name]), ()).classifier()
    torch.manual_seed(1)
    pixels = torch.rand(2, 1, 28, 28)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    logits = model.logits(pixels).detach()
    copies = [randomized(model, part, seed, pixels) for seed in (3, 3, 4)]
    for key, value in model.network.state_dict().items():
        assert torch.equal(value, before[key])
    assert torch.equal(model.logits(pixels), logits)
    outputs = [copy.logits(pixels) for copy in copies]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    changed = {
        key
        for key, value in copies[0].network.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert all(key.startswith(f"{model.spec.head}.") for key in changed) == (part == "head")
    weights = [key for key, values in before.items() if "running" not in key and values.ndim > 0]
    assert (weights[0] in changed) == (part == "all")
    assert f"{model.spec.head}.weight" in changed
    for key, value in copies[0].network.state_dict().items():
        if "running" not in key:
            assert torch.equal(value.flatten().sort().values, before[key].flatten().sort().values)


def test_a_random_copy_measures_its_normalisations_anew():
    model = classifier(FunctionalResidual(classes=4), 8, 3)
    model.network.norm.running_var.fill_(1e-12)  # would make every value huge
    copy = randomized(model, "all", 0, torch.rand(2, 3, 8, 8))
    assert copy.network.norm.running_var.min() > 1e-5
    assert not copy.network.norm.training


class Uncopied(nn.Module):
    """Holds what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 4)
        self.generator = (number for number in range(3))

    def forward(self, values):
        return self.head(values.flatten(1))


def test_a_network_that_cannot_be_randomized_says_why():
    pixels = torch.rand(2, 1, 8, 8)
    with pytest.raises(NotOfferedError, match="cannot be copied"):
        randomized(classifier(Uncopied(), 8), "all", 0, pixels)
    model = classifier(linear(64), 8)
    without = TorchClassifier(model.network, replace(model.spec, head=""), model.preprocessing)
    with pytest.raises(NotOfferedError, match="cannot be told"):
        randomized(without, "head", 0, pixels)
