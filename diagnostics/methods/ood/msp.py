"""One minus the largest probability."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import Fitted, score
from diagnostics.models import guard
from diagnostics.models.features import Features


@score(
    "Doubt (MSP)",
    source="Hendrycks & Gimpel 2017, arXiv:1610.02136",
    blind="An image that the network is sure of for a bad reason: noise at 100 % looks perfect.",
    compares=True,
)
def msp(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How far the largest probability is from one.

    Args:
        seen: What the network gave.
        fitted: Nothing.

    Returns:
        One minus the largest probability, 0 to 1; the paper's score plus one.
    """
    return guard.msp(seen.logits)
