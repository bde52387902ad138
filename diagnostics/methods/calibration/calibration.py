"""Can the percentages be believed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import InputError, NotOfferedError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.metrics import calibration as metrics
from diagnostics.metrics.calibration import Floats
from diagnostics.metrics.calibration_intervals import (
    Consistency,
    consistency,
    debiased_classwise_ece,
    debiased_ece,
)
from diagnostics.metrics.classification import (
    confident_errors,
    confusion,
    labelled,
    most_confused,
    per_class,
)
from diagnostics.metrics.intervals import bootstrap, rate
from diagnostics.metrics.temperature import temperature
from diagnostics.schema.options import Range
from diagnostics.schema.results import Estimate
from diagnostics.schema.results.calibration import (
    CalibrationAnswer,
    CalibrationError,
    FittedTemperature,
    GapRange,
    Measurement,
    ReliabilityBin,
    Verdict,
    WrongFile,
    WrongPrediction,
)
from diagnostics.text import signed

MIN_IMAGES = 100  # for a verdict
MIN_IN_BIN = 10  # images, below which a bin's accuracy says little
MAX_CLASSES_IN_TABLE = 100
MAX_CONFIDENT_ERRORS = 24
FOLDS = 5  # of images, each judged by a temperature that the others gave
# Calibrated answers lie beyond the gap's ends in 2.5 % of draws, and above the error's in 2.5 %.
GAP_LEVEL = 0.975
ROUNDING = 1e-9  # the same answers, summed in another order, are no difference


@method("Calibration", source="Guo et al. 2017, arXiv:1706.04599; Nixon et al. 2019")
def calibration(
    context: Context, *, bins: Annotated[int, Range(5, 50)] = 15
) -> Outcome[CalibrationAnswer]:
    """Whether the model is right as often as its percentages say.

    Args:
        context: Gives a folder with labels.
        bins: Of equal width, in which confidence and accuracy are compared.

    Returns:
        Accuracy, calibration errors, likelihood and temperature with their bands, the reliability
        bins, each class by itself, confusions, and the most confidently wrong images.

    Raises:
        InputError: When no image has a label.
        NotOfferedError: When the classes are independent of each other.
    """
    spec = context.classifier.spec
    if spec.output.independent:
        raise NotOfferedError(
            "The classes of this model are independent yes or no answers; this page compares "
            "classes that exclude each other."
        )
    samples = context.in_distribution()
    with_label = [sample for sample in samples if sample.label != UNKNOWN]
    if not with_label:
        raise InputError(
            "No image of this folder has a label that fits the model's classes. "
            + " ".join(context.notes)
        )
    files, labels, features = context.features(with_label, "Asking about the labelled images")
    measurement = measure(
        features.logits.numpy(), labels.numpy(), files, bins=bins, seed=context.seed
    )
    return Outcome(
        CalibrationAnswer(
            **measurement,
            class_names=list(spec.class_names),
            unlabelled=len(samples) - len(with_label),
            notes=context.remarks(),
        )
    )


def measure(
    logits: ArrayLike,
    labels: ArrayLike,
    files: Sequence[str],
    *,
    bins: int = 15,
    seed: int = 0,
    resamples: int = 200,
) -> Measurement:
    """Return how far a classifier's percentages can be believed, measured on labelled images.

    Rows with NaN or infinite logits are left out and counted. Calibration errors are debiased, see
    `calibration_intervals`; bands of means are plain bootstrap quantiles.

    Args:
        logits: Shape (n, k), for a softmax over the k classes.
        labels: Shape (n,), the true classes.
        files: The images' names.
        bins: Of equal width over the confidence; as many of equal mass for adaptive_ece.
        seed: Seed of all draws.
        resamples: Draws of the images for each band.

    Raises:
        InputError: Shapes that do not fit, no images, or none with finite logits.
    """
    z, y = labelled(logits, labels)
    finite = np.flatnonzero(np.isfinite(z).all(axis=1))
    if len(finite) == 0:
        raise InputError(
            f"All {len(z)} rows of logits hold NaN or infinity: nothing can be measured on them."
        )
    not_finite = len(z) - len(finite)
    z, y = z[finite], y[finite]
    n, k = z.shape
    predicted = z.argmax(axis=1)
    correct = predicted == y
    before, after = _PerImage.of(z, y), _PerImage.of(_cross_scaled(z, y, seed), y)
    mean = partial(_mean, resamples=resamples, seed=seed)
    chance = consistency(before.confidence, bins, gap_level=GAP_LEVEL, seed=seed)
    gap = mean(before.confidence - correct)
    ece = debiased_ece(before.confidence, correct, bins, seed=seed)
    verdict, reason = _verdict(n, gap["value"], chance.gap, ece)
    return Measurement(
        n=n,
        classes=k,
        not_finite=not_finite,
        bins=bins,
        folds=FOLDS,
        resamples=resamples,
        seed=seed,
        verdict=verdict,
        reason=reason,
        accuracy=rate(int(correct.sum()), n),
        mean_confidence=float(before.confidence.mean()),
        gap=gap,
        gap_if_calibrated=GapRange(low=chance.gap[0], high=chance.gap[1]),
        ece=ece,
        adaptive_ece=debiased_ece(before.confidence, correct, bins, adaptive=True, seed=seed),
        classwise_ece=debiased_classwise_ece(np.exp(metrics.log_softmax(z)), y, bins, seed=seed),
        brier=mean(before.brier),
        nll=mean(before.nll),
        ece_after=debiased_ece(after.confidence, correct, bins, seed=seed),
        brier_after=mean(after.brier),
        nll_after=mean(after.nll),
        temperature=_fitted(z, y),
        reliability=_bins(metrics.reliability(before.confidence, correct, bins), chance),
        per_class=per_class(predicted, y, k),
        confusion=confusion(predicted, y, k).tolist() if k <= MAX_CLASSES_IN_TABLE else None,
        most_confused=[list(pair) for pair in most_confused(predicted, y)],
        confident_errors=[
            _with_file(error, int(finite[error["index"]]), files)
            for error in confident_errors(z, y)[:MAX_CONFIDENT_ERRORS]
        ],
    )


def _fitted(z: Floats, y: NDArray[np.intp]) -> FittedTemperature:
    fitted = temperature(z, y)
    return FittedTemperature(
        value=fitted.value,
        low=fitted.low,
        high=fitted.high,
        at_bound=fitted.at_bound,
        fitted_on=len(y),
    )


def _mean(values: Floats, *, resamples: int, seed: int) -> Estimate:
    """Return the mean of the images' values with its band."""
    low, high = bootstrap(
        lambda drawn: values[drawn].mean(), len(values), resamples=resamples, seed=seed
    )
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))


def _cross_scaled(z: Floats, y: NDArray[np.intp], seed: int) -> Floats:
    """Return logits divided by the temperature that the other folds of images gave."""
    n = len(y)
    fold = np.random.default_rng(seed).permutation(n) % min(FOLDS, n)
    scaled = z.copy()
    for index in range(fold.max() + 1):
        others = fold != index
        if others.any():
            scaled[~others] /= temperature(z[others], y[others]).applied
    return scaled


@dataclass(frozen=True)
class _PerImage:
    """Each image's confidence, Brier score and negative log-likelihood, shape (n,)."""

    confidence: Floats
    brier: Floats
    nll: Floats

    @classmethod
    def of(cls, z: Floats, y: NDArray[np.intp]) -> _PerImage:
        logs = metrics.log_softmax(z)
        p = np.exp(logs)
        return cls(p.max(axis=1), metrics.square_errors(p, y), -logs[np.arange(len(y)), y])


def _bins(table: metrics.Reliability, chance: Consistency) -> list[ReliabilityBin]:
    return [
        ReliabilityBin(
            confidence_from=float(table.edges[index]),
            confidence_to=float(table.edges[index + 1]),
            n=n,
            few=n < MIN_IN_BIN,
            confidence=_number_or_none(table.confidence[index]),
            accuracy=_number_or_none(table.accuracy[index]),
            low=_number_or_none(chance.accuracy_low[index]),
            high=_number_or_none(chance.accuracy_high[index]),
        )
        for index, n in enumerate(table.counts.tolist())
    ]


def _with_file(error: WrongPrediction, index: int, files: Sequence[str]) -> WrongFile:
    return {**error, "index": index, "file": files[index]}


def _number_or_none(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _verdict(
    n: int, gap: float, chance: tuple[float, float], error: CalibrationError
) -> tuple[Verdict, str]:
    """Return whether the percentages fit, and the sentence that says why."""
    if n < MIN_IMAGES:
        return "can't tell", (
            f"Only {n} labelled images: give at least {MIN_IMAGES}, because few images make the "
            "calibration error look larger than it is."
        )
    low, high = chance[0] - ROUNDING, chance[1] + ROUNDING
    expected = (
        f"calibrated answers would stay between {signed(low, 3)} and {signed(high, 3)} (n = {n})"
    )
    if gap > high:
        return "too sure", f"Mean confidence minus accuracy is {signed(gap, 3)}; {expected}."
    if gap < low:
        return "not sure enough", f"Mean confidence minus accuracy is {signed(gap, 3)}; {expected}."
    counted = (
        f"counted in bins the error is {error['counted']:.3f}; calibrated answers would count "
        f"{error['chance_low']:.3f} to {error['chance_high']:.3f} (n = {n})"
    )
    if error["counted"] > error["chance_high"] + ROUNDING:
        return "uneven", f"Confidence fits accuracy on average but not in every bin: {counted}."
    return "fits", f"No difference was found that {n} calibrated answers would not show: {counted}."
