"""Rejects what a score finds too strange."""

from __future__ import annotations

import inspect
from typing import Annotated

import torch

from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard import outcome
from diagnostics.methods.guard._splits import LabelledOutputs, SplitBuilder
from diagnostics.methods.ood import OODDetector
from diagnostics.methods.registry import find, method
from diagnostics.metrics.temperature import temperature
from diagnostics.models.features import early_layer
from diagnostics.models.guard import Guard
from diagnostics.schema.options import Range
from diagnostics.schema.results.guard import GuardAnswer


@method(
    "Threshold",
    kind="guard",
    source="Hendrycks & Gimpel 2017; threshold by Papadopoulos et al. 2002",
    order=1,
    explanation="rejects an image when a score of strangeness exceeds what known-good images "
    "reach. It never learns on anything strange.",
)
def threshold(
    context: Context, *, score: str = "", alpha: Annotated[float, Range(0.001, 0.5)] = 0.05
) -> Outcome[GuardAnswer]:
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
    splits = SplitBuilder(context, layers).build()
    detector = OODDetector(context.classifier.spec, splits.reference)
    name = score.removeprefix("ood/") or detector.default
    if name not in detector.exportable:
        raise InputError(
            f"This model has no score {name!r} for a guard; it has "
            f"{', '.join(detector.exportable)}."
        )
    numbers = {
        "guard_temperature": _temperature(splits.train),
        "guard_scale": float(detector.calibration_scores[name].std()) or 1.0,
    }
    tensors = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
    formula = inspect.unwrap(find(f"ood/{name}").function)
    guard = Guard(formula, {**detector.fitted(name), **tensors})
    return outcome(context, "threshold", guard, layers, splits, alpha, name)


def _temperature(images: LabelledOutputs) -> float:
    """Return the temperature that fits the labels; one where all is right, so none is too low."""
    labelled = images.select(images.labels != UNKNOWN)
    if not len(labelled.labels):
        return 1.0
    return temperature(labelled.outputs.logits.double().numpy(), labelled.labels.numpy()).applied
