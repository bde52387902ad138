"""How well does each score tell out-of-distribution images from in-distribution ones?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.methods.ood.fit_reference import require_reference
from diagnostics.methods.registry import method
from diagnostics.metrics.intervals import bootstrap
from diagnostics.metrics.roc import auroc, false_alarms_at_95, missed_at_95
from diagnostics.schema.results.ood import HIGHER, Counts, EvaluationAnswer, Separation

RESAMPLES = 200
ALPHA = 0.05  # of the thresholds in the answer


@method("Strangers told apart", source="Hendrycks & Gimpel 2017, arXiv:1610.02136, section 2")
def evaluate(context: Context) -> Outcome[EvaluationAnswer]:
    """How often each score finds a stranger stranger than a known-good image.

    Args:
        context: Gives the reference or the folder to measure it on, whose second half stands for
            the in-distribution images, and the out-of-distribution images.

    Returns:
        For each score AUROC with a 95 % band, FPR@95 in both conventions, and n; all scores of
        both sides, sorted, in the arrays "in_distribution/NAME" and "out_of_distribution/NAME".
    """
    detector = OODDetector(context.classifier.spec, require_reference(context))
    _, _, outputs = context.features(context.out_of_distribution(), "Scoring the strangers")
    separations: dict[str, Separation] = {}
    arrays: dict[str, NDArray[np.float64]] = {}
    for name in detector.names:
        id_scores = _finite(detector.calibration_scores[name])
        ood_scores = np.sort(_finite(detector.score(name, outputs)))
        separations[f"ood/{name}"] = _separation(id_scores, ood_scores, context.seed)
        arrays[f"in_distribution/{name}"] = id_scores
        arrays[f"out_of_distribution/{name}"] = ood_scores
    answer = EvaluationAnswer(
        **detector.overview(ALPHA), scores=separations, notes=context.remarks()
    )
    return Outcome(answer, arrays)


def _finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return scores[np.isfinite(scores)]


def _separation(
    id_scores: NDArray[np.float64], ood_scores: NDArray[np.float64], seed: int
) -> Separation:
    random = np.random.default_rng(seed)

    def resampled(rows: NDArray[np.intp]) -> float:
        """Return AUROC of both sides drawn anew."""
        return auroc(id_scores[rows], random.choice(ood_scores, len(ood_scores)))

    low, high = bootstrap(resampled, len(id_scores), resamples=RESAMPLES, seed=seed)
    return Separation(
        auroc=auroc(id_scores, ood_scores),
        low=float(low),
        high=float(high),
        false_alarms_at_95_caught=false_alarms_at_95(id_scores, ood_scores),
        missed_at_95_accepted=missed_at_95(id_scores, ood_scores),
        direction=HIGHER,
        n=Counts(in_distribution=len(id_scores), out_of_distribution=len(ood_scores)),
    )
