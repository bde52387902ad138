"""Whether a last layer holds more than chance: of networks that nobody trained, and of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.faithfulness._last_layer import PROBES, SHUFFLES, last_layer, probes
from diagnostics.methods.faithfulness._verdict import MAX_UNTRAINED, untrained_probability
from diagnostics.models.classifier import TorchClassifier
from tests.letters import letters
from tests.networks_for_tests import FunctionalResidual, classifier, vit


def asked(model, image, seed=0):
    passes = []
    answer = last_layer(model, image, seed, passes.append)
    assert passes in ([], [PROBES])
    return answer


def stands_out(answer):
    return untrained_probability(answer) < MAX_UNTRAINED


def image(side=28, channels=1, seed=0):
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_spread_is_that_of_the_logits_apart_from_what_all_classes_share():
    model, picture = letters(), image()
    answer = asked(model, picture)
    drawn = probes(picture, torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.logits(drawn).double().numpy()
    apart = logits - logits.mean(0, keepdims=True) - logits.mean(1, keepdims=True) + logits.mean()
    assert len(drawn) == PROBES
    assert answer["spread"] == pytest.approx(np.sqrt((apart**2).mean()), rel=1e-5)
    assert len(answer["shuffled"]) == SHUFFLES


def test_the_model_stays_as_it_is():
    model, picture = letters(), image()
    before = {name: values.clone() for name, values in model.network.state_dict().items()}
    assert asked(model, picture) == asked(model, picture)
    for name, values in model.network.state_dict().items():
        assert torch.equal(values, before[name])


@pytest.mark.parametrize("name", ["letters_conv", "letters_dense"])
def test_a_trained_last_layer_stands_out_until_it_is_drawn_anew(name):
    model, picture = letters(name), image()
    assert stands_out(asked(model, picture))
    for seed in range(4):
        torch.manual_seed(seed)
        copy = TorchClassifier(type(model.network)(), model.spec, model.preprocessing)
        copy.network.load_state_dict(model.network.state_dict())
        copy.network.get_submodule(model.spec.head).reset_parameters()
        assert not stands_out(asked(copy, picture, seed))


DRAWN = {
    "default": lambda weight: None,
    "normal": lambda weight: nn.init.normal_(weight, std=0.02),
    "xavier": nn.init.xavier_normal_,
    "orthogonal": nn.init.orthogonal_,
}


@pytest.mark.parametrize("init", DRAWN)
@pytest.mark.parametrize("make", [lambda: FunctionalResidual(3, 10), lambda: vit(3, 10)])
def test_an_untrained_network_does_not_stand_out_however_it_was_drawn(make, init):
    for seed in range(4):
        torch.manual_seed(seed)
        model = classifier(make().eval(), 16, 3, 10)
        with torch.no_grad():
            DRAWN[init](model.network.get_submodule(model.spec.head).weight)
        assert not stands_out(asked(model, image(16, 3, seed), seed))


class Constant(nn.Module):
    """Answers the same whatever it is shown."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 10)
        nn.init.zeros_(self.head.weight)

    def forward(self, values):
        return self.head(values.flatten(1))


def test_what_cannot_be_known_says_why():
    picture = image()
    assert asked(classifier(Constant(), 28, 1, 10), picture)["reason"] == (
        "The answer stays the same whatever the image is changed to."
    )
    model = letters()
    without = TorchClassifier(model.network, replace(model.spec, head=""), model.preprocessing)
    assert "cannot be told" in asked(without, picture)["reason"]
