"""How sure a model is of a class, as log(p / (1 − p)): exact also where p rounds to one."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def margins(logits: Float[Tensor, "n k"], *, independent: bool = False) -> Float[Tensor, "n k"]:
    """Return log(p / (1 − p)) of every class, in float64, exact also where p rounds to one.

    Args:
        logits: Of n pictures.
        independent: Whether each class is a yes or no of its own.

    Returns:
        Minus infinity for a picture whose logits are not all finite.
    """
    z = logits.double()
    if independent:
        found = z
    else:
        top, place = z.max(1, keepdim=True)
        odds = (z - top).exp()
        others = (odds.sum(1, keepdim=True) - odds).clamp_min(1)  # all but the top have it in there
        of_top = top - _without(z, place[:, 0]).logsumexp(1, keepdim=True)
        found = (z - top - others.log()).scatter(1, place, of_top)
    fine = z.isfinite().all(1, keepdim=True)
    return torch.where(fine, found, -torch.inf)


def margin(
    logits: Float[Tensor, "n k"], target: Int[Tensor, " n"], *, independent: bool = False
) -> Float[Tensor, " n"]:
    """Return log(p / (1 − p)) of one class of each picture, in float64; differentiable."""
    z = logits.double()
    own = z.gather(1, target[:, None])[:, 0]
    return own if independent else own - _without(z, target).logsumexp(1)


def sureness(margin: float) -> tuple[float, float]:
    """Return the probability of a margin, and its distance from one."""
    return float(np.exp(-np.logaddexp(0, -margin))), float(np.exp(-np.logaddexp(0, margin)))


def _without(z: Tensor, place: Tensor) -> Tensor:
    return z.scatter(1, place[:, None], -torch.inf)
