"""What every attribution promises, tested by walking the registry."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution import check, notes
from diagnostics.methods.attribution.input_x_gradient import input_x_gradient
from diagnostics.methods.attribution.integrated_gradients import integrated_gradients
from diagnostics.methods.attribution.occlusion import occlusion
from diagnostics.methods.registry import find, methods
from diagnostics.models.classifier import Counted
from tests.independent.slow_insertion_deletion import area
from tests.methods.attribution.images import TARGET, pixels
from tests.networks_for_tests import (
    Attends,
    FunctionalResidual,
    classifier,
    mlp,
    seeded,
    swin,
    vit,
)


@pytest.mark.parametrize("method", [input_x_gradient, integrated_gradients, occlusion])
def test_pixels_go_in_the_order_of_what_they_gave(method):
    """Contributions 3, 2, 1 and −1: the areas are known."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    network[1].weight.data = torch.tensor([[3.0, 2.0, 1.0, -1.0]])
    model = classifier(network.double(), 2, dtype=torch.float64)
    options = {"fill": "black", "window": 1, "stride": 1} if method is occlusion else {}
    heatmap = method(model, torch.ones(1, 1, 2, 2).double(), torch.tensor([0]), **options)

    def score(image):
        with torch.no_grad():
            return float(model.logits(torch.from_numpy(image)[None, None]))

    whole, blank, values = np.ones((2, 2)), np.zeros((2, 2)), heatmap.values[0].numpy()
    assert area(score, whole, blank, values, insert=False) == pytest.approx(0.875)
    assert area(score, whole, blank, values, insert=True) == pytest.approx(4.125)


NETWORKS = {
    "residual": (lambda channels: FunctionalResidual(channels, 4), 8),
    "mlp": (lambda channels: mlp(64, 4, channels), 8),
    "vit": (vit, 16),
    "swin": (swin, 16),
    "attention": (lambda channels: Attends("fused", channels), 12),
}
NEED_MAPS = {"attribution/grad_cam", "attribution/score_cam"}
NEED_TOKENS = {"attribution/attention_rollout", "attribution/gradient_rollout"}
NEED_RULES = {"attribution/deep_lift", "attribution/guided_backprop"}  # for every activation


def answers(method, network):
    """Say whether a method should answer for a network; in words why not is tested below."""
    if method in NEED_RULES:
        return network in ("residual", "mlp")
    if method in NEED_TOKENS:
        return network in ("vit", "attention")
    return method not in NEED_MAPS or network != "mlp"


@pytest.mark.parametrize("method", methods("map"), ids=lambda method: method.info.id)
@pytest.mark.parametrize(
    ("name", "channels"),
    [
        *((name, channels) for name in ("residual", "mlp", "attention") for channels in (1, 3)),
        *(pytest.param(name, 3, marks=pytest.mark.slow) for name in ("vit", "swin")),
    ],
)
def test_every_method_keeps_the_familys_promise(method, channels, name):
    make, side = NETWORKS[name]
    model = classifier(seeded(make(channels)), side, channels)
    images, before = pixels(channels, side), torch.get_rng_state()
    if not answers(method.info.id, name):
        missing = set(method.info.needs) - model.spec.offers
        with pytest.raises(NotOfferedError) if not missing else contextlib.nullcontext():
            assert missing or method.function(model, images, TARGET)
        return
    heatmap = method.function(model, images, TARGET)
    check(heatmap, images)
    assert torch.isfinite(heatmap.values).all()
    assert heatmap.values.any() or all(notes(heatmap))
    alone = method.function(model, images[:1], TARGET[:1])
    assert torch.allclose(heatmap.values[:1], alone.values, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert not any(len(module._forward_hooks) for module in model.network.modules())


@pytest.mark.parametrize("method", methods("map"), ids=lambda method: method.info.id)
def test_a_method_makes_as_many_passes_as_it_declares(method):
    network = mlp(144, 4, 3) if method.info.id in NEED_RULES else Attends("fused", 3)
    model = classifier(seeded(network), 12, 3)
    counts = []
    counted = Counted(model, counts.append)
    settings = method.info.check({})
    method.function(counted, pixels(3, 12), TARGET, **settings)
    passes = method.forward_passes(model.spec, **settings)
    assert sum(counts) == pytest.approx(2 * passes, abs=2)
    assert method.info.expensive == (passes > 1)


@pytest.mark.parametrize("method", methods("map"), ids=lambda method: method.info.id)
def test_every_method_says_what_it_is(method):
    assert method.info.summary.endswith(".")
    assert method.info.source
    assert all(option.help for option in method.info.options)
    assert find(method.info.id) is method
