"""Whether the preprocessing is right: the answer of `preprocessing/preprocessing`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

Verdict: TypeAlias = Literal["fine", "wrong", "can't tell"]
Evidence: TypeAlias = Literal["accuracy", "batchnorm", "answers", ""]
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
    """The verdict in a sentence, on `n` images, and the candidates, the best first."""

    verdict: Verdict
    sentence: str
    evidence: Evidence
    n: int
    candidates: list[PreprocessingCandidate]


class PreprocessingAnswer(TypedDict):
    """Answer of `preprocessing/preprocessing`."""

    preprocessing: PreprocessingCheck
    notes: list[str]
