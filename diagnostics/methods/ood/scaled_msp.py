"""One minus the largest probability at the temperature that fits labelled images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.ood._formulas import sorted_probabilities
from diagnostics.methods.ood._score import LABELS_PER_CLASS, Fitted, Outputs, Score
from diagnostics.metrics.temperature import temperature
from diagnostics.reference.statistics import Reference


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the temperature at which the labels are most likely."""
    fit_half = reference.fit
    labelled = fit_half.labels != UNKNOWN
    logits, labels = fit_half.outputs.logits[labelled], fit_half.labels[labelled]
    fitted = temperature(logits.double().numpy(), labels.numpy())
    return {"temperature": torch.tensor(fitted.value, dtype=torch.float64)}


@Score(
    "Doubt at the fitted temperature",
    source="Guo et al. 2017, arXiv:1706.04599; Liang et al. 2018, arXiv:1706.02690",
    blind="What doubt cannot see: a temperature makes percentages believable on known images, it "
    "does not make noise look uncertain.",
    fit=fit,
    labels_per_class=LABELS_PER_CLASS,
    compares_classes=True,
)
def scaled_msp(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How far the largest probability is from one once the percentages are calibrated.

    Args:
        outputs: What the network gave.
        fitted: "temperature".

    Returns:
        0 to 1.
    """
    _, complements = sorted_probabilities(outputs.logits.double() / fitted["temperature"])
    return complements[:, 0]
