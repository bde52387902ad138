"""Whether heatmaps can be trusted, and what it costs to say so."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

Verdict: TypeAlias = Literal["trust", "doubt", "can't tell"]
Status: TypeAlias = Literal["for", "against", "open"]
Fill: TypeAlias = Literal["mean", "blur"]  # of the image, in the place of its missing cells
CriterionName: TypeAlias = Literal[
    "map", "randomization", "insertion_deletion", "seeds", "completeness"
]


class CriterionEntry(TypedDict):
    """What speaks for a heatmap or against it, and the sentence that says why."""

    name: CriterionName
    status: Status
    reason: str


class Randomization(TypedDict):
    """Rank correlations of a heatmap with those of randomized copies of the network, -1 to 1.

    `head` has one for each copy whose last layer is random, `all` one for each that is random
    throughout; `reason` says why one is missing.
    """

    head: list[float]
    all: list[float]
    reason: str


class InsertionDeletion(TypedDict):
    """Areas under the curves of a heatmap and of random maps, in logits, on one fill.

    A win rate is the share of the random maps that the heatmap beats, 0 to 1; a tie is half a win.
    `flat` tells that the logit does not depend on which cells are covered.
    """

    deletion: float
    insertion: float
    random_deletion: list[float]
    random_insertion: list[float]
    deletion_win_rate: float
    insertion_win_rate: float
    random_maps: int
    flat: bool


class Evaluation(TypedDict):
    """What was measured of one heatmap.

    `seed_correlations` are rank correlations with heatmaps of other seeds, none where nothing is
    drawn; `insertion_deletion` is by the fill. `sum` and `rise` are
    in logits, and None where the heatmap does not promise to sum to the rise of the logit over its
    baseline; `rounding` is how far they may lie apart in any case.
    """

    cells: int
    randomization: Randomization
    seed_correlations: list[float]
    insertion_deletion: dict[Fill, InsertionDeletion]
    sum: float | None
    rise: float | None
    rounding: float


class TrustEntry(TypedDict):
    """The verdict on one image's heatmap, of the class with the index `target`.

    `note` says why there is nothing to evaluate, and `evaluation` is None then.
    """

    file: str
    target: int
    class_name: str
    verdict: Verdict
    criteria: list[CriterionEntry]
    note: str
    signed: bool
    evaluation: Evaluation | None


class TrustAnswer(TypedDict):
    """The answer of `faithfulness/trust`; `title` is that of the `method` that made the heatmaps.

    Arrays are named after the image's index: "0/map", "0/head" and "0/all" (h, w) are its heatmap
    and those of the first randomized copies; "0/mean/deletion", "0/mean/insertion" (steps,) and
    "0/mean/random" (maps, steps) are logits, and the same on "blur".
    """

    method: str
    title: str
    images: list[TrustEntry]
    complete: bool
    notes: list[str]


class TrustCostAnswer(TypedDict):
    """The answer of `faithfulness/trust_cost`: passes for one image, without and with gradients."""

    forward: int
    backward: int
    complete: bool
