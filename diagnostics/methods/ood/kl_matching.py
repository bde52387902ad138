"""Divergence from the mean probabilities of the nearest class."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import LABELS_PER_CLASS, Fitted, Outputs, Score
from diagnostics.reference.statistics import Reference

TINY = 1e-300


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the log of the mean probabilities of the images that each class is predicted for."""
    counts = reference.sums["predicted_count"]
    predicted = counts > 0
    templates = reference.sums["predicted_sum"][predicted] / counts[predicted, None]
    return {"log_templates": templates.clamp_min(TINY).log()}


@Score(
    "KL matching",
    source="Hendrycks et al. 2022, arXiv:1911.11132, section 4.2",
    blind="A stranger whose percentages are spread as those of a known class usually are.",
    fit=fit,
    labels_per_class=LABELS_PER_CLASS,
    compares_classes=True,
    needs_class_probabilities=True,
)
def kl_matching(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How unlike any class's usual percentages these are, in nats.

    Args:
        outputs: What the network gave.
        fitted: "log_templates", shape (predicted classes, k).

    Returns:
        Smallest Kullback-Leibler divergence from a class's mean probabilities, 0 or more.
    """
    log = outputs.logits.double().log_softmax(1)
    negative_entropy = (log.exp() * log).sum(1, keepdim=True)
    divergences: Tensor = negative_entropy - log.exp() @ fitted["log_templates"].T
    return divergences.amin(1)
