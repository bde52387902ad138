"""Whether a heatmap can be trusted: a rule over what was measured, and no single score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_high

from diagnostics.schema.results.faithfulness import (
    CriterionEntry,
    Evaluation,
    Fill,
    InsertionDeletion,
    Randomization,
    Status,
    Verdict,
)
from diagnostics.text import counted, signed

ALIKE = 0.5
"""Rank correlation with a randomized network's map from which on a map stays much the same. The
gradient was measured at 0.05 to 0.59, the most on a thin drawing, guided backpropagation at 0.69
and above with a random last layer, integrated gradients and input × gradient at 0.84 and above
(method: Adebayo et al. 2018)."""

MIN_CELLS = 16
"""Below, a rank correlation of two unrelated maps reaches `ALIKE` by chance: its standard deviation
is 1 / √(cells − 1)."""

STEADY = 0.7
"""Rank correlation of the maps of two seeds below which less than half of what a map ranks is the
model's, and the rest is the draw's: 0.7² is about one half."""

MIN_WIN_RATE = 0.9
"""Share of random maps that a map must beat; with a dozen of them it happens by chance to about one
map of ten."""

MIN_WEAKER_WIN_RATE = 0.5
"""Share of random maps that the weaker of a fill's two curves must beat."""

CHANCE = 0.75
"""Share of random maps below which a map is one among them."""

MAX_MISSING = 0.05
"""Share of the rise of the logit that a map which promises to sum to it may miss."""


def criteria(note: str, evaluation: Evaluation | None) -> list[CriterionEntry]:
    """Return what speaks for a heatmap and against it.

    Args:
        note: Why there is nothing to evaluate.
        evaluation: What was measured; None where there is nothing.
    """
    if evaluation is None:
        return [CriterionEntry(name="map", status="open", reason=note)]
    judged = [
        _randomization(evaluation["randomization"], evaluation["cells"]),
        _insertion_deletion(evaluation["insertion_deletion"]),
    ]
    if evaluation["seed_correlations"]:
        judged.append(_seeds(evaluation["seed_correlations"]))
    if evaluation["sum"] is not None and evaluation["rise"] is not None:
        judged.append(_completeness(evaluation["sum"], evaluation["rise"], evaluation["rounding"]))
    return judged


def verdict(judged: Sequence[CriterionEntry]) -> Verdict:
    """Return doubt where anything speaks against a heatmap, trust where everything speaks for it.

    Otherwise it can't be told.
    """
    statuses = {criterion["status"] for criterion in judged}
    if "against" in statuses:
        return "doubt"
    return "can't tell" if "open" in statuses else "trust"


def _randomization(randomization: Randomization, cells: int) -> CriterionEntry:
    """Whether the map changes with the weights that it is meant to tell of."""

    def criterion(status: Status, reason: str) -> CriterionEntry:
        return CriterionEntry(name="randomization", status=status, reason=reason)

    correlations = {"last layer": randomization["head"], "all weights": randomization["all"]}
    medians = {part: median_high(values) for part, values in correlations.items() if values}
    if not medians:
        return criterion("open", randomization["reason"])
    figures = ", ".join(f"{signed(value)} with {part} random" for part, value in medians.items())
    figures = f"rank correlation {figures}"
    if max(medians.values()) >= ALIKE:
        return criterion("against", f"Stays much the same whatever the weights: {figures}.")
    if cells < MIN_CELLS:
        few = f"Only {counted(cells, 'cell')} to rank, too few to compare"
        return criterion("open", f"{few}: {figures}.")
    missing = "" if len(medians) == len(correlations) else f" {randomization['reason']}"
    return criterion("for", f"Changes with the weights: {figures}.{missing}")


def _insertion_deletion(fills: Mapping[Fill, InsertionDeletion]) -> CriterionEntry:
    """Whether the places it ranks first matter more than places drawn at random."""

    def criterion(status: Status, reason: str) -> CriterionEntry:
        return CriterionEntry(name="insertion_deletion", status=status, reason=reason)

    if all(areas["flat"] for areas in fills.values()):
        return criterion("open", "The logit does not depend on which cells are covered.")
    rates = [(areas["insertion_win_rate"], areas["deletion_win_rate"]) for areas in fills.values()]
    figures = ", ".join(_wins(areas, fill) for fill, areas in fills.items())
    figures = f"insertion and deletion beat those of random maps {figures}."
    if max(map(max, rates)) < CHANCE:
        return criterion("against", f"Ranks places no better than chance: {figures}")
    if min(map(max, rates)) >= MIN_WIN_RATE and min(map(min, rates)) >= MIN_WEAKER_WIN_RATE:
        return criterion("for", f"Ranks places better than chance: {figures}")
    return criterion("open", f"Better than chance in part: {figures}")


def _wins(areas: InsertionDeletion, fill: Fill) -> str:
    n = areas["random_maps"]
    inserted, deleted = (
        round(areas["insertion_win_rate"] * n),
        round(areas["deletion_win_rate"] * n),
    )
    return f"{inserted} and {deleted} of {n} on {fill} fill"


def _seeds(correlations: Sequence[float]) -> CriterionEntry:
    """Whether another draw of its noise gives the same map."""
    correlation = median_high(correlations)
    figures = f"rank correlation {signed(correlation)} between seeds."
    if correlation < STEADY:
        return CriterionEntry(
            name="seeds", status="against", reason=f"Changes with the seed: {figures}"
        )
    return CriterionEntry(name="seeds", status="for", reason=f"Stays with another seed: {figures}")


def _completeness(total: float, rise: float, rounding: float) -> CriterionEntry:
    """Whether it adds up to what it promises."""
    figures = f"{signed(total)} of {signed(rise)} logits."
    if abs(total - rise) <= max(MAX_MISSING * abs(rise), rounding):
        return CriterionEntry(
            name="completeness", status="for", reason=f"Adds up to the rise of the logit: {figures}"
        )
    return CriterionEntry(
        name="completeness",
        status="against",
        reason=f"Does not add up to the rise of the logit: {figures}",
    )
