"""The attacks against closed forms, and against DeepFool as foolbox has it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.methods.adversarial import _attacks as attacks
from diagnostics.methods.adversarial._criterion import Criterion, tolerance
from diagnostics.methods.adversarial._norms import bisect, interpolate, size
from diagnostics.schema.adversarial import walk_passes
from diagnostics.schema.results.adversarial import Norm
from tests.independent.slow_adversarial import foolbox_deepfool, slow_minimal_perturbation
from tests.methods.adversarial.linear_networks import (
    closed_form,
    criterion_of,
    images,
    linear,
    weight_and_bias,
)
from tests.networks_for_tests import classifier, mlp

NORMS = get_args(Norm)


def ignore(share):
    """Take no notice of progress."""


def deepfool(criterion, pixels, norm):
    return attacks.deepfool(criterion, pixels, ignore, norm=norm)


def ddn(criterion, pixels, norm):
    return attacks.ddn(criterion, pixels, ignore, norm=norm, steps=120)


def refined(criterion, pixels, changed, halvings=20):
    """Return changed images moved back to the boundary."""
    return bisect(
        lambda points: criterion.is_adversarial(criterion.logits(points)),
        pixels,
        changed,
        halvings,
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attack", [deepfool, ddn])
def test_a_linear_classifier_has_the_distance_of_the_closed_form(norm, attack):
    model, pixels = linear(), images(12)
    criterion = criterion_of(model, pixels)
    changed, is_adversarial = attack(criterion, pixels, norm)
    assert is_adversarial.all()
    assert criterion.is_adversarial(model.logits(changed)).all()
    closest = refined(criterion, pixels, changed)
    ratio = size(closest - pixels, norm) / closed_form(model, pixels, norm)
    assert float(ratio.min()) >= 1
    assert float(ratio.max()) < 1.05
    assert (model.logits(closest).argmax(1) != criterion.predicted).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_step_of_deepfool_goes_beyond_the_boundary_by_the_overshoot(norm):
    model, pixels = linear(2), images(6)
    criterion = criterion_of(model, pixels)
    logits = model.logits(pixels)
    changed, _ = attacks.deepfool(criterion, pixels, ignore, norm=norm, steps=1, overshoot=0.3)
    expected = -0.3 * criterion.margin(logits) - attacks.BEYOND * tolerance(logits)
    torch.testing.assert_close(criterion.margin(model.logits(changed)), expected)


def test_the_historical_attack_finds_the_closed_form_too():
    model, pixels = linear(2), images(6)
    criterion = criterion_of(model, pixels)
    changed, is_adversarial = attacks.lbfgs(criterion, pixels, ignore)
    assert is_adversarial.all()
    closest = refined(criterion, pixels, changed)
    ratio = size(closest - pixels, "l2") / closed_form(model, pixels, "l2")
    assert float(ratio.min()) >= 1
    assert float(ratio.max()) < 1.05


@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_classifier_in_the_box_has_the_distance_of_a_bisection(norm):
    model, pixels = linear(2, 6, seed=5), images(10, 6, low=-0.5, high=1.5).clamp(0, 1)
    criterion = criterion_of(model, pixels)
    changed, is_adversarial = deepfool(criterion, pixels, norm)
    assert is_adversarial.all()
    distances = size(refined(criterion, pixels, changed, 40) - pixels, norm)
    weight, bias = weight_and_bias(model)
    for row, label in enumerate(criterion.predicted.tolist()):
        gradient = (weight[label] - weight[1 - label]).view(1, 6, 6)
        margin = float((gradient * pixels[row]).sum() + bias[label] - bias[1 - label])
        change = slow_minimal_perturbation(pixels[row].numpy(), gradient.numpy(), margin, norm)
        expected = np.abs(change).max() if norm == "linf" else np.linalg.norm(change)
        assert 1 - 1e-6 <= float(distances[row]) / expected < 1.005


@pytest.mark.parametrize("norm", NORMS)
def test_nearer_to_the_boundary_the_distance_is_smaller(norm):
    torch.manual_seed(2)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(6)
    criterion = criterion_of(model, pixels)
    changed, reachable = ddn(criterion, pixels, norm)
    assert reachable.any()
    boundary = refined(criterion, pixels, changed)
    before = torch.full((6,), torch.inf).double()
    for share in (0.0, 0.4, 0.8):
        start = interpolate(pixels, boundary, torch.full((6,), share).double())
        changed, is_adversarial = ddn(criterion, start, norm)
        distance = size(refined(criterion, start, changed) - start, norm)
        both = reachable & is_adversarial
        assert (distance[both] <= before[both] * (1 + 1e-3)).all()
        rest = (1 - share) * size(boundary - pixels, norm)
        assert (distance[reachable] <= rest[reachable] * 1.05).all()
        before = distance


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_distance_does_not_depend_on_the_scale_of_the_logits(norm, scale):
    pixels = images(5)
    for attack in (deepfool, ddn):
        expected, scaled = (
            size(attack(criterion_of(model, pixels), pixels, norm).pixels - pixels, norm)
            for model in (linear(), linear(scale=scale))
        )
        np.testing.assert_allclose(expected, scaled, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_a_constant_model_is_never_fooled(norm):
    model = linear()
    with torch.no_grad():
        model.network[1].weight.zero_()
    pixels = images(3)
    criterion = criterion_of(model, pixels)
    for attack in (deepfool, ddn):
        changed, is_adversarial = attack(criterion, pixels, norm)
        assert not is_adversarial.any()
        assert (changed == pixels).all()
    assert not attacks.lbfgs(criterion, pixels, ignore, steps=5).is_adversarial.any()


def test_images_of_a_batch_do_not_touch_each_other():
    torch.manual_seed(4)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(5)
    for norm in NORMS:
        for attack in (deepfool, ddn):
            together, _ = attack(criterion_of(model, pixels), pixels, norm)
            alone, _ = attack(criterion_of(model, pixels[3:4]), pixels[3:4], norm)
            np.testing.assert_allclose(together[3:4], alone, atol=1e-9)


def test_ddn_asks_once_forward_and_back_for_each_step():
    model, pixels = linear(), images(3)
    batches, logits = [], model.logits
    model.logits = lambda points: batches.append(len(points)) or logits(points)
    criterion = Criterion(model, torch.zeros(3, dtype=torch.long))
    attacks.ddn(criterion, pixels, ignore, norm="l2", steps=17)
    assert batches == [3] * 17


def test_walks_towards_every_rival_keep_the_closed_form_and_cost_what_is_said():
    model, pixels = linear(12), images(9)
    criterion = criterion_of(model, pixels)
    passes, logits = [], model.logits

    def counted(points):
        passes.append(len(points) * points.requires_grad)
        return logits(points)

    model.logits = counted
    found = attacks.rival_walks(criterion, pixels, ignore, norm="l2", steps=120)
    model.logits = logits
    assert sum(passes) == 9 * walk_passes(120, 9) == 9 * 30 * (9 + 5 + 3 + 2)
    closest = refined(criterion, pixels, found.pixels)
    ratio = size(closest - pixels, "l2") / closed_form(model, pixels, "l2")
    assert found.is_adversarial.all()
    assert 1 <= float(ratio.min()) <= float(ratio.max()) < 1.05


def test_walks_towards_rivals_do_not_depend_on_how_many_go_at_once(monkeypatch):
    torch.manual_seed(4)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(5)
    together = attacks.rival_walks(criterion_of(model, pixels), pixels, ignore, norm="l2", steps=40)
    monkeypatch.setattr(attacks, "gradient_batch_size", lambda values, device: 1)
    alone = attacks.rival_walks(criterion_of(model, pixels), pixels, ignore, norm="l2", steps=40)
    np.testing.assert_allclose(together.pixels, alone.pixels, atol=1e-9)


@pytest.mark.slow
def test_ddn_is_shorter_than_the_deepfool_of_the_peer():
    torch.manual_seed(6)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 5),
    )
    model, pixels = classifier(network, 8, 1, 5), images(12, low=0.0, high=1.0).float()
    peer = foolbox_deepfool(model, pixels)
    criterion = criterion_of(model, pixels)
    ours, is_adversarial = attacks.ddn(criterion, pixels, ignore, norm="l2", steps=60)
    assert is_adversarial.all()
    assert size(ours - pixels, "l2").median() < size(peer - pixels, "l2").median()
