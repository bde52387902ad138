"""Attention rollout, plain and weighed by gradients."""

from __future__ import annotations

import pytest
import torch

from diagnostics.methods.attribution.attention_rollout import attention_rollout
from diagnostics.methods.attribution.gradient_rollout import gradient_rollout
from tests.methods.attribution.images import TARGET, pixels
from tests.networks_for_tests import Attends, classifier, seeded, vit


def test_rollout_of_one_layer_is_half_of_its_mean_attention():
    network = seeded(Attends("fused"))
    model, images = classifier(network, 12), pixels(side=12)
    values = attention_rollout(model, images, TARGET).values
    weights = model.trace(images, ["attn.attention"]).activations["attn.attention"]
    expected = 0.5 * weights.mean(1)[:, 0, 1:].reshape(2, 3, 3)
    assert torch.allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize(("method", "share"), [(attention_rollout, 0.5), (gradient_rollout, 1.0)])
def test_rollout_follows_the_layers_one_by_one(method, share):
    """A slow second implementation: one matrix product after the other, per image."""
    network = seeded(vit())
    model, images = classifier(network, 16, 3), pixels(3, 16)
    names = [layer.name for layer in model.spec.layers if layer.kind == "attention"]
    trace = model.trace(images, names)
    values = method(model, images, TARGET).values
    for row in range(2):
        reached = torch.eye(17)
        for name in names:
            weights = trace.activations[name][row]
            if share == 1.0:
                slope = trace.layer_gradient(TARGET, name)[row]
                mix = torch.clamp(slope * weights, min=0).mean(0)
            else:
                mix = weights.mean(0) / 2
            reached = share * reached + mix @ reached
        expected = reached[0, 1:].reshape(4, 4)
        assert torch.allclose(values[row], expected, atol=1e-5)


def test_a_rollout_follows_the_tokens_that_the_answer_is_read_from():
    """With a class token that the head does not read, the patches' mean is followed."""
    network = seeded(Attends("fused", reads="mean"))
    model, images = classifier(network, 12), pixels(side=12)
    weights = model.trace(images, ["attn.attention"]).activations["attn.attention"].mean(1)
    expected = 0.5 * weights[:, 1:, 1:].mean(1) + 0.5 / 9
    values = attention_rollout(model, images, TARGET).values
    assert torch.allclose(values, expected.reshape(2, 3, 3), atol=1e-6)
