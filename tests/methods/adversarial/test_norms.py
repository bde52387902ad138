"""Sizes, steps and the smallest change in the box."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from diagnostics.methods.adversarial._norms import (
    add_to_radius,
    bisect,
    descend,
    minimal_perturbation,
    size,
)
from diagnostics.schema.results.adversarial import Norm
from tests.independent.slow_adversarial import slow_minimal_perturbation

NORMS = get_args(Norm)


@pytest.mark.parametrize("norm", NORMS)
def test_the_smallest_change_in_the_box_is_that_of_a_bisection(norm):
    random = torch.Generator().manual_seed(3)
    pixels = torch.rand(20, 1, 6, 6, generator=random).double()
    pixels[:, :, :2] = pixels[:, :, :2].round()  # many values lie at a bound
    gradient = torch.randn(20, 1, 6, 6, generator=random).double()
    room = torch.where(gradient < 0, 1 - pixels, pixels)
    whole = (gradient.abs() * room).flatten(1).sum(1)
    fall = whole * torch.linspace(0.01, 0.97, 20, dtype=torch.float64)
    change = minimal_perturbation(pixels, gradient, fall, norm)
    np.testing.assert_allclose(-(gradient * change).flatten(1).sum(1), fall, rtol=1e-6)
    for row in range(20):
        expected = slow_minimal_perturbation(
            pixels[row].numpy(), gradient[row].numpy(), float(fall[row]), norm
        )
        np.testing.assert_allclose(change[row].numpy(), expected, atol=1e-6)
    changed = pixels + change
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


@pytest.mark.parametrize("norm", NORMS)
def test_what_the_box_cannot_give_is_given_as_far_as_it_goes(norm):
    pixels, gradient = torch.full((1, 1, 2, 2), 0.25), -torch.ones(1, 1, 2, 2)
    change = minimal_perturbation(pixels, gradient, torch.tensor([100.0]), norm)
    assert (pixels + change == 1).all()
    flat = torch.zeros_like(gradient)
    assert (minimal_perturbation(pixels, flat, torch.tensor([1.0]), norm) == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_steps_and_radii_have_the_size_they_are_named_by(norm):
    gradient = torch.randn(5, 3, 4, 4)
    gradient[4] = 0
    length = torch.tensor([1.0, 2.0, 3.0, 4.0, 1e30])
    step = descend(torch.zeros_like(gradient), gradient, length, norm)
    torch.testing.assert_close(size(step, norm), torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]))
    assert ((step * gradient).flatten(1).sum(1)[:4] < 0).all()
    radius, grey = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]), torch.full_like(gradient, 0.5)
    changed = add_to_radius(grey, step, radius, norm)
    torch.testing.assert_close(size(changed - grey, norm)[:4], radius[:4])
    torch.testing.assert_close(changed[4], grey[4])
    far = add_to_radius(grey, step, 100 * radius, norm)
    assert float(far.min()) >= 0
    assert float(far.max()) <= 1


def test_bisection_ends_a_millionth_behind_the_crossing():
    pixels, changed = torch.zeros(3, 1, 1, 1).double(), torch.ones(3, 1, 1, 1).double()
    limit = torch.tensor([0.1, 0.5, 0.999]).double()
    crossing = bisect(lambda points: points.flatten() > limit, pixels, changed).flatten()
    assert (crossing > limit).all()
    assert float((crossing - limit).max()) < 1.1e-6
