"""What the formulas of several OOD scores share; all of it may be shipped with a guard."""

from __future__ import annotations

import torch
from torch import Tensor


def sorted_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities, the largest first, and one minus each, exact also next to one."""
    ordered = logits.double().topk(logits.shape[1], dim=1).values
    weights = (ordered - ordered[:, :1]).exp()
    total = weights.sum(1, keepdim=True)
    first = weights[:, 1:].sum(1, keepdim=True)
    return weights / total, torch.cat([first, total - weights[:, 1:]], 1) / total


def free_energy(logits: Tensor) -> Tensor:
    """Return minus the log of the summed exponentials, shape (n,)."""
    return -logits.double().logsumexp(1)


def squared_distances(points: Tensor, means: Tensor, whitening: Tensor) -> Tensor:
    """Return squared distances, shape (n, means), in the space that whitening makes round."""
    points, means = points.double() @ whitening, means @ whitening
    squares = (points**2).sum(1, keepdim=True) + (means**2).sum(1)
    return (squares - 2 * points @ means.T).clamp_min(0)
