"""Entropy of the probabilities."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import Fitted, Outputs, Score


@Score(
    "Entropy",
    source="Shannon 1948; as a score of strangeness see Hendrycks & Gimpel 2017",
    blind="An image that the network is sure of for a bad reason, and a known image between two "
    "classes.",
    compares_classes=True,
)
def entropy(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How evenly the probabilities are spread over the classes, in nats.

    Args:
        outputs: What the network gave.
        fitted: Nothing.

    Returns:
        0 (one class has it all) to the log of the number of classes.
    """
    log = outputs.logits.double().log_softmax(1)
    return -(log.exp() * log).sum(1)
