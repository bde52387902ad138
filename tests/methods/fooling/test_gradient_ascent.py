"""Steps of the gradient ascent: those of the paper, and finite where no probability is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.methods.context import Context
from diagnostics.methods.fooling import gradient_ascent
from diagnostics.models import log_odds
from diagnostics.models.ensemble import EnsembleNetwork
from diagnostics.schema.preprocessing import Preprocessing
from tests.methods.fooling.models import two_classes
from tests.networks_for_tests import FunctionalResidual, classifier, mlp


def test_a_step_goes_along_the_weights_alone_and_as_far_as_it_aims():
    model, _ = two_classes(pixels=400, scale=0.1)
    weight = model.network[1].weight
    w = (weight[0] - weight[1]).detach().reshape(1, 1, 20, 20)
    pixels = torch.rand(1, 1, 20, 20)
    target = torch.zeros(1, dtype=torch.long)
    before = log_odds.margin(model.logits(pixels), target).detach()
    step = gradient_ascent.step_up(pixels, torch.tensor([0.25]), w) - pixels
    cosine = torch.nn.functional.cosine_similarity(step.flatten(), w.flatten(), dim=0)
    assert float(cosine) == pytest.approx(1, abs=1e-6)
    after = log_odds.margin(model.logits(pixels + step), target).detach()
    assert float(after - before) == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.6, 0.71, 0.95, 0.9999])
def test_a_step_is_that_of_the_paper_on_the_probability(p):
    """Rate min(.03, .1 (1 − p)) / |g|², with g the gradient of p: the margin's times p (1 − p)."""
    gradient = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    of_p = p * (1 - p) * gradient
    expected = min(0.03, 0.1 * (1 - p)) / float(of_p.square().sum()) * of_p
    aim = gradient_ascent.target_gain(torch.tensor([np.log(p / (1 - p))]))
    step = gradient_ascent.step_up(torch.zeros(1, 1, 3, 3, dtype=torch.float64), aim, gradient)
    assert torch.allclose(step, expected, rtol=1e-9)


def test_the_target_gain_stays_finite_where_the_probability_is_nothing_or_one():
    margins = torch.tensor([-2000.0, -60.0, 60.0, 2000.0]).double()
    expected = [gradient_ascent.MAX_GAIN] * 2 + [0.1] * 2
    assert gradient_ascent.target_gain(margins).tolist() == pytest.approx(expected)


def test_a_step_that_gains_too_little_makes_the_next_one_longer_and_no_other_does():
    aim = torch.full((5,), 0.1)
    gain = torch.tensor([0.02, 0.07, 0.2, -1.0, torch.nan])
    stretch = gradient_ascent.next_stretch(torch.full((5,), 4.0), gain, aim)
    assert stretch.tolist() == pytest.approx([5.0, 4.0, 3.2, 5.0, 4.0])
    at_ends = gradient_ascent.next_stretch(torch.tensor([15.0, 1.1]), gain[[0, 2]], aim[:2])
    assert at_ends.tolist() == [gradient_ascent.MAX_STRETCH, 1.0]


def test_an_ensemble_starts_where_its_member_alone_does():
    settings = Preprocessing(fit="none", height=8, width=8, mean=(0.2, 0.4, 0.6))
    member = classifier(mlp(64, channels=3), 8, 3, preprocessing=settings)
    ensemble = classifier(EnsembleNetwork([member, member]), 8, 3)
    expected = gradient_ascent.start_pixels(Context(member), [1])
    torch.testing.assert_close(gradient_ascent.start_pixels(Context(ensemble), [1]), expected)


def test_the_start_is_the_mean_colour_and_hardly_any_grain():
    settings = Preprocessing(
        fit="none", height=40, width=40, bgr=True, value_range=255, mean=(20, 100, 200)
    )
    torch.manual_seed(0)
    model = classifier(FunctionalResidual(classes=4), 40, channels=3, preprocessing=settings)
    first = gradient_ascent.start_pixels(Context(model), [2])[0] * 255
    assert first.mean((1, 2)).tolist() == pytest.approx([200, 100, 20], abs=0.2)
    assert first.std((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.1)
    assert gradient_ascent.start_colour(classifier(mlp(), 8)).flatten().tolist() == [0.5]
