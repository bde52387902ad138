"""Whether the preprocessing is right: the answer of `preprocessing/preprocessing`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

# "something else": the images are answered wrongly, and not because of how they are prepared.
Verdict: TypeAlias = Literal["fine", "wrong", "something else", "can't tell"]
Evidence: TypeAlias = Literal["accuracy", "batchnorm", "answers", ""]
Cause: TypeAlias = Literal[
    "", "constant", "names", "offset", "batchnorm", "chance", "contradiction", "none fits"
]
# A `schema.preprocessing.Preprocessing` as JSON, which `schema.spec.preprocessing_from` reads.
Settings: TypeAlias = dict[str, Any]


class PreprocessingCandidate(TypedDict):
    """One preprocessing that was tried.

    `names` are its names, several where different words mean the same values. `measure` is the
    accuracy or the share of the most frequent answer, 0 to 1, or the deviation from BatchNorm, 0 or
    more, as the evidence says. `tied` says that the images cannot tell it from the best one.
    """

    names: list[str]
    preprocessing: Settings
    measure: float
    tied: bool
    suggested: bool
    mistake: bool
    current: bool


class PreprocessingCheck(TypedDict):
    """The verdict in a sentence, on `n` images, and the candidates, the best first.

    `cause` says what else is wrong. `passes` counts the images that went through the network.
    """

    verdict: Verdict
    sentence: str
    evidence: Evidence
    cause: Cause
    n: int
    passes: int
    candidates: list[PreprocessingCandidate]


class PreprocessingAnswer(TypedDict):
    """Answer of `preprocessing/preprocessing`."""

    preprocessing: PreprocessingCheck
    notes: list[str]
