"""Answers of the methods that corrupt images step by step."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from diagnostics.schema.results import Count, Interval

Conclusion: TypeAlias = Literal["relies on grey transitions", "no sign of it", "can't tell"]
Group: TypeAlias = Literal["none", "edges", "range"]

NOT_FINITE = -1  # stands for the predicted class where a logit is not finite


class RankedClass(TypedDict):
    """A class of a ranking; probability and 1 − probability are 0 to 1, each exact."""

    index: int
    probability: float
    one_minus_p: float


class AxisEntry(TypedDict):
    """A corruption and the numbers at which it was applied, one for each step.

    `phrase` is a number in a sentence, "{}" standing for it. `identity_step` is the step that
    leaves images as they are; None where none does. `out_of_range` says that values may leave
    [0, 1], so that no picture file can hold them.
    """

    name: str
    title: str
    unit: str
    phrase: str
    summary: str
    values: list[float]
    identity_step: int | None
    out_of_range: bool


class Curve(TypedDict):
    """A class's probability, and 1 − probability, at every point; None where there is none."""

    probability: list[float | None]
    one_minus_p: list[float | None]


class LabelChange(TypedDict):
    """Where the predicted class changes, on the way outwards from the image as it is.

    `previous_step` is None where the change is from the image as it is. Classes are indices, or
    `NOT_FINITE`; `title` says it in words.
    """

    step: int
    previous_step: int | None
    old: int
    new: int
    title: str


class SweptImage(TypedDict):
    """One image at every point: at every step of one axis, or at every pair of steps of two.

    Points of two axes are in the order of the first, then of the second. `clean` ranks the classes
    of the image as it is, and `top` those at each point: empty where a logit is not finite, None
    where the network was not asked yet. `predicted` is the first class of each ranking. `target`
    is the class whose confidence is followed; `curves` holds it and every class that is ever
    predicted, by index. `thumbnails` are the points with a picture; `label` is the true class.
    """

    file: str
    label: int | None
    clean: list[RankedClass]
    target: int
    predicted: list[int | None]
    top: list[list[RankedClass] | None]
    curves: dict[str, Curve]
    thumbnails: list[int]
    label_changes: NotRequired[list[LabelChange]]  # along one axis only


class QuantileBand(TypedDict):
    """All images together at one step.

    `n` images with a finite answer when clean were asked, and `not_finite` of them have no finite
    answer here. The 5th, 50th and 95th percentile of the probability of each image's target, and
    1 − them; None where no answer is finite. `unchanged` counts predictions equal to the clean
    ones, `correct` those equal to the label, of the images with one.
    """

    n: int
    not_finite: int
    probability_quantiles: list[float] | None
    one_minus_p_quantiles: list[float] | None
    unchanged: Count
    correct: Count


class SweepAnswer(TypedDict):
    """The answer of `corruption/sweep`.

    `images` is empty where a folder's images are described together, `quantile_bands` for two
    axes. `size` is height and width in px of what the network receives. `classes` names every
    class that occurs, by index. `n` of `requested` images were asked, `labelled` of them with a
    label. Arrays: "image/0/clean" and "image/0/step/1" (h, w, c), 8 bit.
    """

    axes: list[AxisEntry]
    images: list[SweptImage]
    quantile_bands: list[QuantileBand]
    size: list[int]
    classes: dict[str, str]
    n: int
    labelled: int
    requested: int
    complete: bool
    notes: list[str]


class SweepImagesAnswer(TypedDict):
    """The answer of `corruption/sweep_images`.

    For each picture its corruptions, [name, number] each, and the largest change of a value that
    8 bits made, in `rounding`. Arrays: "step/0" (h, w, c), 8 bit.
    """

    corruptions: list[list[list[str | float]]]
    rounding: list[float]
    notes: list[str]


class Verdict(TypedDict):
    """Whether the model relies on grey transitions, and why.

    `drop` is by how much the hard threshold lowers the rate, 0.1 is ten points, with its 95 %
    interval, each from −1 to 1; None without images. The rate is the accuracy on the `n` images
    with a label, or else the share of unchanged predictions.
    """

    conclusion: Conclusion
    reason: str
    drop: float | None
    interval: Interval
    rate: Literal["accuracy", "same answers"]
    n: int


class ConditionCounts(TypedDict):
    """How many of n images keep their prediction under one condition, and how many are right."""

    name: str
    title: str
    group: Group
    n: int
    unchanged: Count
    correct: Count


class TransitionsAnswer(TypedDict):
    """The answer of `corruption/transitions`.

    It rests on `n` images; `not_finite` more were left out. `grey_share` is the share of their
    values that are neither nearly black nor nearly white.
    """

    verdict: Verdict
    conditions: list[ConditionCounts]
    grey_share: float
    n: int
    not_finite: int
    complete: bool
    notes: list[str]
