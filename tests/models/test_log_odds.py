"""Log-odds of a class: exact where the probability rounds to one, and nothing where none exists."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.metrics.predictions import probabilities
from diagnostics.models import log_odds

LOGITS = torch.tensor(
    [[60.0, 0, 0, -5], [1000, 0, -3, 999], [0.1, 0.2, 0.3, 0.4], [2, 2, 2, 2], [-800, 0, 0, 0]]
)


def test_margins_are_log_odds_also_where_the_probability_rounds_to_one():
    margins = log_odds.margins(LOGITS)
    for row, logits in zip(margins, LOGITS, strict=True):
        p, distance = probabilities(logits.numpy())
        some = (p > 0) & (distance > 0)
        expected = np.log(p[some]) - np.log(distance[some])
        np.testing.assert_allclose(row.numpy()[some], expected, rtol=1e-12)
    assert margins[0, 0] == pytest.approx(60 - np.log(2 + np.exp(-5.0)))
    assert margins[4, 0] == pytest.approx(-800 - np.log(3))
    assert margins.isfinite().all()


def test_the_margin_of_a_class_is_that_among_all_margins():
    for target in range(4):
        one = log_odds.margin(LOGITS, torch.full((len(LOGITS),), target))
        np.testing.assert_allclose(one, log_odds.margins(LOGITS)[:, target], rtol=1e-12)
        alone = log_odds.margin(LOGITS, torch.full((len(LOGITS),), target), independent=True)
        assert (alone == LOGITS[:, target]).all()


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("independent", [False, True])
def test_an_image_with_a_logit_that_is_not_finite_has_no_margin(broken, independent):
    logits = torch.tensor([[1.0, broken, 0.0], [1.0, 2.0, 0.0]])
    margins = log_odds.margins(logits, independent=independent)
    assert torch.isneginf(margins[0]).all()
    assert margins[1].isfinite().all()


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_the_margin_is_the_log_odds_of_the_probability(kind):
    logits = torch.randn(5, 4, dtype=torch.float64)
    targets = torch.tensor([0, 3, 1, 1, 2])
    margins = log_odds.margin(logits, targets, independent=kind == "sigmoid")
    every = logits.softmax(1) if kind == "softmax" else logits.sigmoid()
    assert torch.allclose(margins.sigmoid(), every.gather(1, targets[:, None])[:, 0])
