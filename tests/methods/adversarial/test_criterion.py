"""Margins and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.adversarial._criterion import Criterion
from tests.methods.adversarial.linear_networks import criterion_of, images, linear
from tests.networks_for_tests import classifier, mlp


@pytest.mark.parametrize("target", [None, 2])
def test_margins_are_positive_until_an_image_is_adversarial(target):
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 5.0], [2.0, 2.0, 0.0]])
    criterion = Criterion(classifier(mlp(), 8), torch.tensor([0, 0, 0]), target)
    expected = [1.0, -5.0, 0.0] if target is None else [1.0, -4.0, 2.0]
    assert criterion.margin(logits).tolist() == expected
    assert criterion.is_adversarial(logits).tolist() == [False, True, False]
    assert not criterion.is_adversarial(logits * torch.nan).any()


def test_an_image_with_an_infinite_logit_is_never_adversarial():
    logits = torch.tensor([[1.0, 2.0, -torch.inf], [1.0, torch.inf, 2.0], [1.0, 2.0, 0.0]])
    criterion = Criterion(classifier(mlp(), 8), torch.tensor([0, 0, 0]))
    assert criterion.is_adversarial(logits).tolist() == [False, False, True]
    assert criterion.is_adversarial(logits, rounding=False).tolist() == [False, False, True]


def test_with_a_temperature_of_one_the_gradient_points_where_the_cross_entropy_points():
    torch.manual_seed(0)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(4)
    criterion = criterion_of(model, pixels)
    _, gradient = criterion.smooth_margin_gradient(pixels, torch.ones(4).double())
    inputs = pixels.clone().requires_grad_()
    loss = nn.functional.cross_entropy(model.logits(inputs), criterion.predicted, reduction="sum")
    (expected,) = torch.autograd.grad(loss, inputs)
    cosine = nn.functional.cosine_similarity(-gradient.flatten(1), expected.flatten(1))
    np.testing.assert_allclose(cosine, 1, atol=1e-9)


def test_a_very_sure_model_still_has_a_gradient():
    model, pixels = linear(scale=300.0), images(4).float()
    criterion = criterion_of(model, pixels)
    assert (model.logits(pixels).softmax(1).amax(1) == 1).any()
    gradient = criterion.smooth_margin_gradient(pixels)[1]
    assert (gradient.flatten(1).abs().amax(1) > 1).all()


def test_the_penalty_is_the_margin_with_a_rounded_corner():
    model, pixels = linear(2), images(1)
    criterion = criterion_of(model, pixels)
    margin = criterion.margin(model.logits(pixels))
    for width in (0.1 * margin, margin, 10 * margin):
        penalty, gradient = criterion.penalty(pixels, width)
        slope = min(float((margin + width) / (2 * width)), 1.0)
        expected = margin if slope == 1 else (margin + width) ** 2 / (4 * width)
        torch.testing.assert_close(penalty, expected)
        weight = model.network[1].weight.detach().double()
        label = int(criterion.predicted)
        torch.testing.assert_close(
            gradient.flatten(), slope * (weight[label] - weight[1 - label]), rtol=1e-6, atol=1e-9
        )
