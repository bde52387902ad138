"""Rejects what a score finds too strange."""

from __future__ import annotations

from typing import Annotated, Any

import torch

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard import outcome
from diagnostics.methods.guard._fitting import Collector, limited
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.methods.registry import method
from diagnostics.metrics.temperature import temperature
from diagnostics.models.features import early_layer
from diagnostics.models.guard import Guard
from diagnostics.schema.options import Range


@method(
    "Threshold",
    kind="guard",
    source="Hendrycks & Gimpel 2017; threshold by Papadopoulos et al. 2002",
)
def threshold(
    context: Context, *, score: str = "", alpha: Annotated[float, Range(0.001, 0.5)] = 0.05
) -> Outcome[Any]:
    """Reject an image when its score of strangeness exceeds what known-good images reach.

    Args:
        context: Gives known-good images, and strangers if there are some, to judge by.
        score: Name of the score; empty takes the usual one.
        alpha: Share of known-good images that may be rejected.

    Returns:
        Gains and costs beside the bare model, and the guard's file.

    Raises:
        InputError: When there are too few images, or this model has no such score.
    """
    early = early_layer(context.classifier.network, context.classifier.spec)
    layers = (early,) if early else ()
    material = Collector(context, layers).collect()
    judge = OODDetector(context.classifier.spec, material.reference)
    chosen = score.removeprefix("ood/") or judge.default
    if chosen not in judge.exportable:
        raise InputError(
            f"This model has no score {chosen!r} for a guard; it has {', '.join(judge.exportable)}."
        )
    fitted = dict(judge.fitted(chosen))
    fitted.pop("calibration_scores", None)
    spread = float(judge.calibration_scores[chosen].std()) or 1.0
    known = material.known.of(material.known.labels >= 0)
    warmth = 1.0
    if len(known.labels):
        found = temperature(known.logits.double().numpy(), known.labels.numpy())
        warmth = 1.0 if found.at_bound else found.value  # where all is right, none is too low
    tensors = fitted | {
        "guard_temperature": torch.tensor(warmth, dtype=torch.float64),
        "guard_threshold": torch.tensor(0.0, dtype=torch.float64),
        "guard_scale": torch.tensor(spread, dtype=torch.float64),
    }
    guard = Guard("threshold", chosen, tensors)
    guard = limited(guard, material.limits, alpha, "guard_threshold", spread)
    return outcome(context, guard, layers, material, alpha)
