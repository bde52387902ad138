"""Log-odds: how confident a model is of a class, as log(p / (1 − p)), exact where p rounds to 1."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def margins(logits: Float[Tensor, "n k"], *, independent: bool = False) -> Float[Tensor, "n k"]:
    """Return log(p / (1 − p)) of every class, in float64, exact also where p rounds to one.

    Args:
        logits: Of n images.
        independent: Whether each class is a yes or no of its own.

    Returns:
        Minus infinity for an image whose logits are not all finite.
    """
    z = logits.double()
    if independent:
        odds = z
    else:
        top, index = z.max(1, keepdim=True)
        weights = (z - top).exp()
        # The top class has weight 1 and counts among the others of every class but itself.
        others = (weights.sum(1, keepdim=True) - weights).clamp_min(1)
        of_top = top - _without(z, index[:, 0]).logsumexp(1, keepdim=True)
        odds = (z - top - others.log()).scatter(1, index, of_top)
    finite = z.isfinite().all(1, keepdim=True)
    return torch.where(finite, odds, -torch.inf)


def margin(
    logits: Float[Tensor, "n k"], target: Int[Tensor, " n"], *, independent: bool = False
) -> Float[Tensor, " n"]:
    """Return log(p / (1 − p)) of one class of each image, in float64; differentiable."""
    z = logits.double()
    of_target = z.gather(1, target[:, None])[:, 0]
    return of_target if independent else of_target - _without(z, target).logsumexp(1)


def _without(z: Tensor, index: Tensor) -> Tensor:
    return z.scatter(1, index[:, None], -torch.inf)
