"""Covariances that few images still measure steadily, and what makes them round."""

from __future__ import annotations

import torch
from torch import Tensor


def shrunk(covariances: Tensor, centred: Tensor) -> Tensor:
    """Shrink a covariance towards a multiple of the identity.

    Args:
        covariances: Shape (d, d).
        centred: Rows that it was measured on, shape (n, d), their mean taken away.

    Source:
        Ledoit & Wolf 2004, section 3.2.
    """
    count, size = centred.shape
    level = covariances.trace() / size
    identity = torch.eye(size, dtype=covariances.dtype)
    spread = ((covariances - level * identity) ** 2).sum()
    fourth = (centred**2).sum(1).pow(2).sum() / count**2
    noise = (fourth - (covariances**2).sum() / count).clamp_min(0).minimum(spread)
    share = noise / spread.clamp_min(1e-300)
    steady: Tensor = share * level * identity + (1 - share) * covariances
    return steady


def whitening(covariances: Tensor) -> Tensor:
    """Return what makes a covariance the identity; directions without variance are dropped."""
    values, vectors = torch.linalg.eigh(covariances)
    fine = values > values.max() * 1e-10
    scale = torch.where(fine, values.clamp_min(1e-300).rsqrt(), torch.zeros(()).double())
    made: Tensor = vectors * scale
    return made
