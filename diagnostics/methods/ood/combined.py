"""Several scores' places among known-good images, as one piece of evidence."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import DETAILS, Fitted, score, why_lacking
from diagnostics.models import guard
from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need

NARROW, TAIL, TINY = 0.01, 0.9, 1e-9


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return each part's statistics, and how it scores the calibration images.

    "calibrated" is the score of each calibration image among the others.
    """
    seen, fitted = reference.calibration.seen, dict[str, Tensor]()
    total = torch.zeros(len(seen.logits), dtype=torch.float64)
    labelled = not why_lacking("mahalanobis", reference)
    left_out = "knn" if labelled else "mahalanobis"
    for name in guard.COMBINED:
        if name == left_out or why_lacking(name, reference):
            continue
        fit_part = DETAILS[name].fit
        own = fit_part(reference) if fit_part else {}
        scores = guard.strangeness(name, (seen.logits, seen.features, seen.layers), own)
        known = scores.sort().values
        above = known[int(TAIL * len(known)) :] - known[int(TAIL * len(known))]
        width = known.std().clamp_min(TINY) * NARROW
        tail = above.mean().clamp_min(float(width))
        fitted |= {f"{name}__{key}": value for key, value in own.items()}
        fitted |= {f"{name}__known": known, f"{name}__width": width, f"{name}__tail": tail}
        total += _among_others(scores, known, width, tail)
    return fitted | {"calibrated": total}


def _among_others(scores: Tensor, known: Tensor, width: Tensor, tail: Tensor) -> Tensor:
    """Return minus the logarithm of each known score's p-value among the other ones."""
    as_strange = ((known - scores[:, None]) / width).sigmoid().sum(1) - 0.5  # without itself
    beyond = torch.where(scores >= known[-1], (known[-1] - known[-2]) / tail, 0.0)
    return beyond - ((1 + as_strange) / len(known)).log()


@score(
    "Combined evidence",
    source="Fisher 1925, Statistical Methods for Research Workers, section 21.1",
    blind="A stranger that looks usual to every one of its parts.",
    needs={Need.FEATURES},
    fit=fit,
    compares=True,
)
def combined(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How rare the image's places by several scores are together among known-good images.

    The parts are generalised entropy, layer statistics, and Mahalanobis distance; without labels
    nearest neighbours stand for the last one. Their values are never added up, only the
    logarithms of their p-values.

    Args:
        seen: What the network gave.
        fitted: Each part's statistics, and its scores of the calibration images.

    Returns:
        Minus the summed logarithms of the parts' p-values, 0 or more.
    """
    return guard.combined((seen.logits, seen.features, seen.layers), fitted)
