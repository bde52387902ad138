"""Several scores' places among in-distribution images, as one piece of evidence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import SCORES, Fitted, Outputs, Score, why_lacking
from diagnostics.methods.ood.gen import gen
from diagnostics.methods.ood.knn import knn
from diagnostics.methods.ood.layer_statistics import layer_statistics
from diagnostics.methods.ood.mahalanobis import mahalanobis
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need

NARROW, TAIL, TINY = 0.01, 0.9, 1e-9


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return each part's statistics, and how it scores the calibration images.

    "calibration_scores" is the score of each calibration image among the others.
    """
    outputs, fitted = reference.calibration.outputs, dict[str, Tensor]()
    total = torch.zeros(len(outputs.logits), dtype=torch.float64)
    labelled = not why_lacking("mahalanobis", reference)
    left_out = "knn" if labelled else "mahalanobis"
    for name, part in _parts().items():
        if name == left_out or why_lacking(name, reference):
            continue
        fit_part = SCORES[name].fit
        statistics = fit_part(reference) if fit_part else {}
        scores = part(outputs, statistics)
        calibration = scores.sort().values
        highest = calibration[int(TAIL * len(calibration)) :]
        width = calibration.std().clamp_min(TINY) * NARROW
        tail = (highest - highest[0]).mean().clamp_min(float(width))
        fitted |= {f"{name}__{key}": value for key, value in statistics.items()}
        fitted |= {
            f"{name}__calibration": calibration,
            f"{name}__width": width,
            f"{name}__tail": tail,
        }
        total += _among_others(scores, calibration, width, tail)
    return fitted | {"calibration_scores": total}


def _parts() -> dict[str, Callable[[Outputs, Fitted], Tensor]]:
    return {
        "gen": gen,
        "knn": knn,
        "mahalanobis": mahalanobis,
        "layer_statistics": layer_statistics,
    }


def _among_others(scores: Tensor, calibration: Tensor, width: Tensor, tail: Tensor) -> Tensor:
    """Return minus the logarithm of each calibration score's p-value among the other ones."""
    at_least = ((calibration - scores[:, None]) / width).sigmoid().sum(1) - 0.5  # without itself
    beyond = torch.where(scores >= calibration[-1], (calibration[-1] - calibration[-2]) / tail, 0.0)
    return beyond - ((1 + at_least) / len(calibration)).log()


@Score(
    "Combined evidence",
    source="Fisher 1925, Statistical Methods for Research Workers, section 21.1",
    blind="A stranger that looks usual to every one of its parts.",
    needs={Need.FEATURES},
    fit=fit,
    compares_classes=True,
)
def combined(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How rare the image's places by several scores are together among known-good images.

    The parts are generalised entropy, layer statistics, and Mahalanobis distance; without labels
    nearest neighbours stand for the last one. Their values are never added up, only the
    logarithms of their p-values. So that a rounding cannot make a step, every calibration score
    counts through a narrow sigmoid. Beyond the highest of them the p-value falls exponentially, as
    fast as it did before.

    Args:
        outputs: What the network gave.
        fitted: Each part's statistics, and its scores of the calibration images.

    Returns:
        Minus the summed logarithms of the parts' p-values, 0 or more.
    """
    total = torch.zeros(outputs.logits.shape[0], dtype=torch.float64, device=outputs.logits.device)
    for name, part in _parts().items():
        calibration = fitted.get(f"{name}__calibration")
        if calibration is not None:
            statistics = {key.removeprefix(f"{name}__"): one for key, one in fitted.items()}
            scores = part(outputs, statistics)
            at_least = ((calibration - scores[:, None]) / fitted[f"{name}__width"]).sigmoid().sum(1)
            beyond = (scores - calibration[-1]).clamp_min(0) / fitted[f"{name}__tail"]
            total = total + beyond - ((1 + at_least) / (calibration.shape[0] + 1)).log()
    return total
