"""Set a guard's threshold, and count what it gains and costs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.guard._splits import LabelledOutputs, Splits
from diagnostics.metrics.intervals import flagged_ranks, rate
from diagnostics.metrics.predictions import probabilities
from diagnostics.models.guard import Guard
from diagnostics.schema.results import Rate
from diagnostics.schema.results.guard import FittedOn, GainsAndCosts, KindRates

CONFIDENT = 0.9
NEVER = 1e9  # by how much a threshold that rejects nothing lies above every value


def calibrate(guard: Guard, calibration: LabelledOutputs, alpha: float) -> None:
    """Set a guard's threshold so that it rejects at most a share of in-distribution images.

    Args:
        guard: The guard.
        calibration: In-distribution images that it was not fitted on.
        alpha: The share.
    """
    with torch.no_grad():
        values = guard.values(calibration.outputs).sort().values
    rejected = flagged_ranks(len(values), alpha)
    never = values[-1] + NEVER * guard.get_buffer("guard_scale")
    guard.get_buffer("guard_threshold").copy_(values[-rejected] if rejected else never)


def rejection_margin(guard: Guard, images: LabelledOutputs) -> NDArray[np.float64]:
    """Return by how much "none of the above" is ahead of the best class, shape (n,)."""
    with torch.no_grad():
        logits = guard(*images.outputs)
    margins: NDArray[np.float64] = (logits[:, -1] - logits[:, :-1].amax(1)).numpy()
    return margins


def gains_and_costs(
    guard: Guard, splits: Splits, alpha: float, name: str, score: str = ""
) -> GainsAndCosts:
    """Return what a guard gains and costs beside the bare model, on the test images."""
    test = splits.test
    rejected = rejection_margin(guard, test) > 0
    labelled = (test.labels != UNKNOWN).numpy()
    right = (test.outputs.logits.argmax(1) == test.labels).numpy()
    unconfident = _confidence(test) < CONFIDENT

    def accuracy(hits: NDArray[np.bool_]) -> Rate | None:
        return _rate(hits[labelled]) if labelled.any() else None

    return GainsAndCosts(
        guard=name,
        score=score,
        alpha=alpha,
        rejected=_rate(rejected),
        accuracy=accuracy(right & ~rejected),
        bare_accuracy=accuracy(right),
        unconfident_rejected=_rate(unconfident),
        unconfident_accuracy=accuracy(right & ~unconfident),
        kinds=[
            KindRates(
                kind=kind,
                learned=kind in splits.ood_train,
                rejected=_rate(rejection_margin(guard, images) > 0),
                bare_confident=_rate(_confidence(images) >= CONFIDENT),
            )
            for kind, images in splits.ood_test.items()
        ],
        fitted_on=FittedOn(
            in_distribution=len(splits.train.labels),
            calibration=len(splits.calibration.labels),
            out_of_distribution={
                kind: len(images.labels) for kind, images in splits.ood_train.items()
            },
        ),
        notes=list(splits.notes),
    )


def _confidence(images: LabelledOutputs) -> NDArray[np.float64]:
    logits = images.outputs.logits.double().numpy()
    return np.array([probabilities(row)[0].max() for row in logits])


def _rate(hits: NDArray[np.bool_]) -> Rate:
    return rate(int(hits.sum()), len(hits))
