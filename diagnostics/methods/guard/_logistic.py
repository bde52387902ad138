"""Logistic regression, both sides weighing the same."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def logistic(
    features: Tensor, offsets: Tensor, strange: Tensor, penalty: float
) -> tuple[Tensor, Tensor]:
    """Fit weights and bias so that features @ weights + bias + offsets tells strange from known.

    Both sides weigh the same. The loss is convex, so where the search begins does not matter.

    Args:
        features: Shape (n, d), float64.
        offsets: Shape (n,).
        strange: 1 for strange, 0 for known, shape (n,).
        penalty: Of the squared weights.
    """
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    share = strange.mean()
    balance = torch.where(strange > 0, 0.5 / share, 0.5 / (1 - share))
    search = torch.optim.LBFGS(
        [weights, bias],
        max_iter=200,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
    )

    def loss() -> Tensor:
        search.zero_grad()
        odds = features @ weights + bias + offsets
        found = functional.binary_cross_entropy_with_logits(odds, strange, balance)
        whole: Tensor = found + penalty * (weights**2).sum()
        whole.backward()  # type: ignore[no-untyped-call]
        return whole

    with torch.enable_grad():
        search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()
