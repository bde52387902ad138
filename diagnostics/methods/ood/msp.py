"""One minus the largest probability."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import sorted_probabilities
from diagnostics.methods.ood._score import Fitted, Outputs, Score


@Score(
    "Doubt (MSP)",
    source="Hendrycks & Gimpel 2017, arXiv:1610.02136",
    blind="An image that the network is sure of for a bad reason: noise at 100 % looks perfect.",
    compares_classes=True,
)
def msp(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How far the largest probability is from one.

    Args:
        outputs: What the network gave.
        fitted: Nothing.

    Returns:
        One minus the largest probability, 0 to 1; the paper's score plus one.
    """
    _, complements = sorted_probabilities(outputs.logits)
    return complements[:, 0]
