"""Maps of trained networks, of the same networks untrained, and of a network that is constant."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests import trained_networks as networks
from tests.benchmarks.rates.trust import constant, verdicts

pytestmark = pytest.mark.slow

METHODS = ("attribution/gradient", "attribution/occlusion?window=2&stride=1")
IMAGES = 4


@pytest.fixture(scope="module")
def digits():
    return networks.small_digits()


@pytest.fixture(scope="module")
def trained(digits):
    torch.manual_seed(3)
    network = networks.wrapped(networks.trained(networks.shallow_conv(8), digits, 15), 8)
    assert networks.accuracy(network, digits) > 0.95
    return network


def trusted(classifier, digits):
    found = verdicts(classifier, digits.tested[:IMAGES], METHODS)
    assert all(sum(counts.values()) == IMAGES for counts in found.values())
    return sum(counts.get("trust", 0) for counts in found.values())


def test_maps_of_a_trained_network_are_trusted(trained, digits):
    """Of 8: most of those by occlusion, and some of those by the gradient."""
    assert trusted(trained, digits) >= 3


def unchanged(network):
    return network


def normal(network):
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    return network


@pytest.mark.parametrize(
    ("make", "drawn"),
    [
        (networks.shallow_conv, unchanged),
        (networks.shallow_conv, normal),
        (networks.batchnorm, unchanged),
    ],
)
def test_an_untrained_network_never_gets_trust(make, drawn, digits):
    torch.manual_seed(11)
    assert trusted(networks.wrapped(drawn(make(8)), 8), digits) == 0


def test_a_trained_network_with_a_last_layer_drawn_anew_never_gets_trust(trained, digits):
    copy = constant(trained)
    torch.manual_seed(5)
    copy.network.get_submodule(trained.spec.head).reset_parameters()
    assert trusted(copy, digits) == 0


def test_a_constant_network_never_gets_trust(trained, digits):
    assert trusted(constant(trained), digits) == 0
