"""What `calibration/calibration` answers."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from diagnostics.schema.results import Estimate, Rate

Verdict: TypeAlias = Literal["too sure", "not sure enough", "uneven", "fits", "can't tell"]
Bound: TypeAlias = Literal["lowest", "highest"]  # of the temperatures that are searched


class ReliabilityBin(TypedDict):
    """The images whose confidence lies between two edges, 0 to 1; None where there are none.

    `confidence` is their mean confidence. Were it calibrated, chance would leave `accuracy` between
    `low` and `high` in 95 of 100 draws; `few` says that the accuracy tells little.
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


class FittedTemperature(Estimate):
    """What the logits are divided by, with its 95 % interval, and on how many images it was fitted.

    `at_bound` says at which end of the search it lies where no best temperature exists: the
    "lowest" where every answer is right, the "highest" where the answers do not depend on the
    image. The logits then stay as they are.
    """

    at_bound: Bound | None
    fitted_on: int


class CalibrationError(Estimate):
    """A calibration error, 0 to 1, without the bias of few images, and its 95 % interval.

    `counted` is the error as counted in bins, which few images make too high; calibrated answers
    would count from `chance_low` to `chance_high` in 95 of 100 draws.
    """

    counted: float
    chance_low: float
    chance_high: float


class GapRange(TypedDict):
    """Mean confidence − accuracy of calibrated answers, in the middle 97.5 % of draws."""

    low: float
    high: float


class Measurement(TypedDict):
    """How far a classifier's percentages can be believed, on n labelled images of k classes.

    `not_finite` images were left out. `gap` is mean confidence − accuracy: above 0 is too sure.
    `brier` goes from 0 to 2, `nll` is in nats; `_after` each image's logits were divided by a
    temperature fitted on other images, in as many `folds`. `confusion` has a
    row for each true class, None for many classes; `most_confused` holds [true class, predicted
    class, images], the most frequent first; `confident_errors` the surest first.
    """

    n: int
    classes: int
    not_finite: int
    bins: int
    folds: int
    resamples: int
    seed: int
    verdict: Verdict
    reason: str
    accuracy: Rate
    mean_confidence: float
    gap: Estimate
    gap_if_calibrated: GapRange
    ece: CalibrationError
    adaptive_ece: CalibrationError
    classwise_ece: CalibrationError
    brier: Estimate
    nll: Estimate
    ece_after: CalibrationError
    brier_after: Estimate
    nll_after: Estimate
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
