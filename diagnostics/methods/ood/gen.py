"""Generalised entropy."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import Fitted, score
from diagnostics.models import guard
from diagnostics.models.features import Features


@score(
    "Generalised entropy (GEN)",
    source="Liu et al. 2023, CVPR, equation 2",
    blind="An image that the network is sure of for a bad reason; like doubt, but it also reads "
    "how the small probabilities are spread.",
    compares=True,
)
def gen(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How spread the probabilities are, small ones counted almost as much as large ones.

    Args:
        seen: What the network gave.
        fitted: Nothing.

    Returns:
        Sum of (p (1 − p))^0.1 over the 100 most probable classes, 0 or more.
    """
    return guard.gen(seen.logits)
