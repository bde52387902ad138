"""OOD scores: answers of `ood/detect`, `ood/evaluate` and `ood/fit_reference`.

A higher score is further out of distribution. Shares and p-values are 0 to 1, percentiles 0 to 100.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from diagnostics.schema.results import Count
from diagnostics.schema.results.preprocessing import PreprocessingCheck, Settings

HIGHER = "higher is stranger"  # direction of every score
ShiftVerdict: TypeAlias = Literal["alike", "unlike", "can't tell"]


class FolderSource(TypedDict):
    """Name and hash of a folder's file."""

    name: str
    sha256: str


class ReferenceSource(TypedDict, total=False):
    """Which images a reference was measured on, and the seed of their order."""

    seed: int
    folder: FolderSource | None


class ReferenceImages(TypedDict):
    """How many images fit scores, and how many others judge them."""

    fit: int
    calibration: int


class ReferenceInfo(ReferenceSource):
    """What a reference was measured with; `model` is the hash of the weights."""

    format: str
    model: str
    model_name: str
    preprocessing: Settings
    images: ReferenceImages
    left_out: int


class ScoreInfo(TypedDict):
    """A score that the model offers.

    `method` is its id, `measure` says what its number is, `blind` what it cannot see, `fitted`
    whether it is fitted on a reference; from `threshold` on an image is flagged, never where that
    is None.
    """

    method: str
    title: str
    summary: str
    measure: str
    blind: str
    source: str
    fitted: bool
    threshold: float | None


class LeftOutScore(TypedDict):
    """A score that the model or the reference does not offer, and why."""

    method: str
    title: str
    reason: str


class ScoreOverview(TypedDict):
    """All scores; `default` is the id of the one that decides, empty where there is none."""

    default: str
    available: list[ScoreInfo]
    left_out: list[LeftOutScore]


class Placement(TypedDict):
    """A score of one image, and its place among the `n` calibration images.

    `value` is None where the network's numbers are not finite; `percentile`, how many percent of
    the calibration images score lower, `p_value` and `flagged` also where there is no reference.
    """

    value: float | None
    percentile: float | None
    p_value: float | None
    n: int
    direction: str
    flagged: bool | None


# One of the classes ranked first; "class" is its name.
RankedClass = TypedDict(
    "RankedClass",
    {"class": str, "index": int, "probability": float, "one_minus_p": float, "logit": float},
)


class ScoredImage(TypedDict):
    """One image; `scores` are by id, `flagged` is by the default score."""

    file: str
    top: list[RankedClass]
    scores: dict[str, Placement]
    flagged: bool | None


class FalseAlarms(TypedDict):
    """Which share of in-distribution images is flagged by the score that decides.

    At most `promised`; with `n` calibration images it lies between `low` and `high` (95 %). Of
    these, `by_any` are flagged by one at least of all `scores`; None without a reference.
    """

    promised: float
    low: float
    high: float
    n: int
    scores: int
    by_any: Count | None
    note: str


class Discoveries(TypedDict):
    """Which of `n` images with a p-value are strange by Benjamini and Hochberg's procedure.

    On average at most the share `rate` of `files` are images like the known-good ones. With the
    calibration images there are, `least` images must be stranger than all of these for any to be
    named.
    """

    rate: float
    n: int
    least: int
    files: list[str]


class Shift(TypedDict):
    """How far an image's channel statistics lie from the usual ones; None where not finite.

    `shift` is the largest of a channel's mean, in standard deviations, `spread` the median
    |log(variance / usual variance)|.
    """

    shift: float | None
    spread: float | None


class ShiftedImage(TypedDict):
    """How far one image lies, in its pixels and behind the first layer where that has channels."""

    file: str
    unlike: bool
    pixels: Shift
    layer: NotRequired[Shift]


class DistributionShift(TypedDict):
    """Whether images reach the network as the reference's did, `n` of which were held out."""

    verdict: ShiftVerdict
    sentence: str
    n: int
    images: list[ShiftedImage]


class DetectionAnswer(ScoreOverview):
    """Answer of `ood/detect`; its parts are None where they were not asked for or lack a reference.

    The arrays "in_distribution/NAME" are the calibration images' scores, sorted, and
    "smallest_p_values" each one's smallest p-value among the others by any score, sorted.
    """

    preprocessing: PreprocessingCheck | None
    reference: ReferenceInfo | None
    distribution_shift: DistributionShift | None
    false_alarms: FalseAlarms
    discoveries: Discoveries | None
    images: list[ScoredImage]
    notes: list[str]


class Counts(TypedDict):
    """How many images of both sides a score could be computed for."""

    in_distribution: int
    out_of_distribution: int


class Separation(TypedDict):
    """How well a score tells both sides apart.

    `low` and `high` are the 95 % band of `auroc`. Both FPR@95: the share of in-distribution images
    flagged where 95 % of the others are, and of the others missed where 95 % of them pass.
    """

    auroc: float
    low: float
    high: float
    false_alarms_at_95_caught: float
    missed_at_95_accepted: float
    direction: str
    n: Counts


class EvaluationAnswer(ScoreOverview):
    """Answer of `ood/evaluate`; `scores` are by id.

    The arrays "in_distribution/NAME" and "out_of_distribution/NAME" are both sides' scores, sorted.
    """

    scores: dict[str, Separation]
    notes: list[str]


class ReferenceAnswer(TypedDict):
    """Answer of `ood/fit_reference`; the arrays "file/0", "file/1", … are its file."""

    reference: ReferenceInfo
    notes: list[str]
