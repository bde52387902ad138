"""How well does each score tell strangers from known images?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.ood.detector import HIGHER, OODDetector
from diagnostics.methods.registry import method
from diagnostics.metrics.intervals import bootstrap
from diagnostics.metrics.roc import auroc, false_alarms_at_95, missed_at_95

RESAMPLES = 200


@method("Strangers told apart", source="Hendrycks & Gimpel 2017, arXiv:1610.02136, section 2")
def evaluate(context: Context) -> Outcome[Any]:
    """How often each score finds a stranger stranger than a known-good image.

    Args:
        context: Gives the reference, whose second half stands for the known images, and strangers.

    Returns:
        For each score AUROC with a 95 % band, FPR@95 in both conventions, and n; all scores of
        both sides, sorted, in the arrays "good/NAME" and "strangers/NAME".
    """
    if context.reference is None:
        raise InputError("This needs a reference; build one from a folder of known-good images.")
    judge = OODDetector(context.classifier.spec, context.reference)
    _, _, seen = context.features(context.out_of_distribution(), "Scoring the strangers")
    found: dict[str, Any] = {}
    arrays: dict[str, NDArray[np.float64]] = {}
    for name in judge.names:
        values = judge.score(name, seen)
        good, others = judge.calibrated[name], np.sort(values[np.isfinite(values)])
        good = good[np.isfinite(good)]
        low, high = _band(good, others, context.seed)
        found[f"ood/{name}"] = {
            "auroc": auroc(good, others),
            "low": low,
            "high": high,
            "false_alarms_at_95_caught": false_alarms_at_95(good, others),
            "missed_at_95_accepted": missed_at_95(good, others),
            "direction": HIGHER,
            "n": {"good": len(good), "strangers": len(others)},
        }
        arrays |= {f"good/{name}": good, f"strangers/{name}": others}
    return Outcome({"scores": found, **judge.described(0.05), "notes": context.remarks()}, arrays)


def _band(good: NDArray[np.float64], others: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95 % band of AUROC, both sides drawn anew."""
    random = np.random.default_rng(seed)

    def drawn(places: NDArray[np.intp]) -> float:
        return auroc(good[places], random.choice(others, len(others)))

    low, high = bootstrap(drawn, len(good), resamples=RESAMPLES, seed=seed)
    return float(low), float(high)
