"""What every method under `guard/` answers."""

from __future__ import annotations

from typing import TypedDict

from diagnostics.schema.results import Rate

# Kinds of image that belong to no class, besides the families of noise.
OUT_OF_DISTRIBUTION, FOOLING = "out_of_distribution", "fooling"


class FittedOn(TypedDict):
    """On how many images a guard was fitted, and by how many others its threshold was set.

    `out_of_distribution` has the images that belong to no class, by kind: `OUT_OF_DISTRIBUTION`,
    `FOOLING`, or a family of noise; it is empty where the guard learns from none.
    """

    in_distribution: int
    calibration: int
    out_of_distribution: dict[str, int]


class KindRates(TypedDict):
    """What happens to test images of one kind that belong to no class.

    `learned` says whether the guard learned from others of the kind; `bare_confident` is how often
    the bare model has a confidence of 90 % or more.
    """

    kind: str
    learned: bool
    rejected: Rate
    bare_confident: Rate


class GainsAndCosts(TypedDict):
    """What a guard gains and costs beside the bare model, on images that it was not fitted on.

    `guard` is its name and `score` that of its OOD score, empty where it has none. `alpha` is the
    promised share of in-distribution images that are rejected at most. An accuracy counts what is
    right and not rejected, None without labels. `unconfident_…` is what would happen if the bare
    model's answers below 90 % were rejected instead.
    """

    guard: str
    score: str
    alpha: float
    rejected: Rate
    accuracy: Rate | None
    bare_accuracy: Rate | None
    unconfident_rejected: Rate
    unconfident_accuracy: Rate | None
    kinds: list[KindRates]
    fitted_on: FittedOn
    notes: list[str]


class GuardAnswer(GainsAndCosts):
    """Gains and costs, and which forms of the whole model could not be written, and why."""

    problems: list[str]
