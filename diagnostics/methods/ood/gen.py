"""Generalised entropy."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import sorted_probabilities
from diagnostics.methods.ood._score import Fitted, Outputs, Score

GAMMA, MAX_CLASSES = 0.1, 100


@Score(
    "Generalised entropy (GEN)",
    source="Liu et al. 2023, CVPR, equation 2",
    blind="An image that the network is sure of for a bad reason; like doubt, but it also reads "
    "how the small probabilities are spread.",
    compares_classes=True,
)
def gen(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How spread the probabilities are, small ones counted almost as much as large ones.

    Args:
        outputs: What the network gave.
        fitted: Nothing.

    Returns:
        Sum of (p (1 − p))^0.1 over the 100 most probable classes, 0 or more.
    """
    probabilities, complements = sorted_probabilities(outputs.logits)
    most = min(MAX_CLASSES, outputs.logits.shape[1])
    return (probabilities * complements)[:, :most].pow(GAMMA).sum(1)
