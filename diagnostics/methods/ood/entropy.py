"""Entropy of the probabilities."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import Fitted, score
from diagnostics.models import guard
from diagnostics.models.features import Features


@score(
    "Entropy",
    source="Shannon 1948; as a score of strangeness see Hendrycks & Gimpel 2017",
    blind="An image that the network is sure of for a bad reason, and a known image between two "
    "classes.",
    compares=True,
)
def entropy(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How evenly the probabilities are spread over the classes, in nats.

    Args:
        seen: What the network gave.
        fitted: Nothing.

    Returns:
        0 (one class has it all) to the log of the number of classes.
    """
    return guard.entropy(seen.logits)
