"""What `calibration/calibration` answers."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from diagnostics.schema.results import Estimate, Rate

Verdict: TypeAlias = Literal["too sure", "not sure enough", "uneven", "fits", "can't tell"]


class ReliabilityBin(TypedDict):
    """The images whose confidence lies between two edges, 0 to 1; None where there are none.

    `confidence` is their mean confidence, `low` and `high` the 95 % band of their accuracy, None
    also where too few resamples had such an image; `few` says that the accuracy tells little.
    """

    confidence_from: float
    confidence_to: float
    n: int
    few: bool
    confidence: float | None
    accuracy: float | None
    low: float | None
    high: float | None


class ClassAccuracy(Rate):
    """How many of a class's images were predicted right."""

    class_index: int


class WrongPrediction(TypedDict):
    """The true and the predicted class's index, and the confidence in the predicted one."""

    index: int
    true: int
    predicted: int
    confidence: float
    one_minus_p: float


class WrongFile(WrongPrediction):
    """A wrong prediction and the name of its image's file."""

    file: str


class FittedTemperature(TypedDict):
    """What the logits are divided by, and on how many images that was fitted.

    `at_bound` says that the search ended at its least or greatest temperature.
    """

    value: float
    at_bound: bool
    fitted_on: int


class GapRange(TypedDict):
    """The middle 95 % of mean confidence − accuracy."""

    low: float
    high: float


class ErrorRange(TypedDict):
    """The mean of the calibration error and its 97.5 % quantile."""

    mean: float
    high: float


class IfCalibrated(TypedDict):
    """What a calibrated model with the same confidences would show by chance."""

    gap: GapRange
    ece: ErrorRange


class Measurement(TypedDict):
    """How far a classifier's percentages can be believed, on n labelled images of k classes.

    `not_finite` images were left out. `gap` is mean confidence − accuracy: above 0 is too sure.
    `ece`, `adaptive_ece` and `classwise_ece` are calibration errors, 0 to 1; `brier` goes from 0 to
    2, `nll` is in nats; with `_after` the logits were divided by the temperature. `confusion` has a
    row for each true class, None for many classes; `most_confused` holds [true class, predicted
    class, images], the most frequent first; `confident_errors` the surest first.
    """

    n: int
    classes: int
    not_finite: int
    bins: int
    resamples: int
    seed: int
    verdict: Verdict
    reason: str
    accuracy: Rate
    mean_confidence: float
    gap: Estimate
    ece: Estimate
    adaptive_ece: Estimate
    classwise_ece: Estimate
    brier: Estimate
    nll: Estimate
    ece_after: Estimate
    brier_after: Estimate
    nll_after: Estimate
    if_calibrated: IfCalibrated
    temperature: FittedTemperature
    reliability: list[ReliabilityBin]
    per_class: list[ClassAccuracy]
    confusion: list[list[int]] | None
    most_confused: list[list[int]]
    confident_errors: list[WrongFile]


class CalibrationAnswer(Measurement):
    """The measurement of a folder; `unlabelled` images have no label that fits the classes."""

    class_names: list[str]
    unlabelled: int
    notes: list[str]
