"""Whether heatmaps can be trusted, and what it costs to say so."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

Verdict: TypeAlias = Literal["trust", "doubt", "can't tell"]
Status: TypeAlias = Literal["for", "against", "open"]
Fill: TypeAlias = Literal["mean", "blur"]  # of the image, in the place of its missing cells
Null: TypeAlias = Literal["random networks", "other images", "centre", "edges", "noise"]
CriterionName: TypeAlias = Literal[
    "map", "model", "randomization", "insertion_deletion", "seeds", "completeness"
]


class CriterionEntry(TypedDict):
    """What speaks for a heatmap or against it, and the sentence that says why."""

    name: CriterionName
    status: Status
    reason: str


class LastLayer(TypedDict):
    """How much the logits vary while the image is changed, and if the last layer is shuffled.

    Standard deviations in logits; `shuffled` has one for each shuffle, none where `reason` says why
    that cannot be known.
    """

    spread: float
    shuffled: list[float]
    reason: str


class Correlations(TypedDict):
    """Of a heatmap with those of copies: one for each copy, and one for each pair of copies."""

    copies: list[float]
    floor: list[float]


class Randomization(TypedDict):
    """Rank correlations of a heatmap with those of randomized copies of the network, -1 to 1.

    `head` is of copies whose last layer is random, `upper` of those whose later half is, `all` of
    those that are random throughout; `reason` says why one is missing.
    """

    head: Correlations
    upper: Correlations
    all: Correlations
    reason: str


class InsertionDeletion(TypedDict):
    """Areas under the curves of a heatmap and of maps that know nothing of the model, on one fill.

    All are in logits. `nulls` has for each kind of such maps their gains: how far the area under
    insertion lies above that under deletion. `flat` tells that the logit does not depend on which
    cells are covered.
    """

    deletion: float
    insertion: float
    nulls: dict[Null, list[float]]
    flat: bool


class Evaluation(TypedDict):
    """What was measured of one heatmap.

    `last_layer` is what says whether the model was trained; `seed_correlations` are rank
    correlations with heatmaps of other seeds, none where nothing is drawn; `insertion_deletion` is
    by the fill. `sum` and `rise` are in logits, and None where the heatmap does not promise to sum
    to the rise of the logit over its baseline; `rounding` is how far they may lie apart in any
    case.
    """

    cells: int
    last_layer: LastLayer
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

    Arrays are named after the image's index: "0/map", "0/head", "0/upper" and "0/all" (h, w) are
    its heatmap and those of the first randomized copies; "0/mean/deletion", "0/mean/insertion"
    (steps,), and "0/mean/null_deletion" and "0/mean/null_insertion" (maps, steps) of the maps that
    know nothing of the model, are logits, and the same on "blur".
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
