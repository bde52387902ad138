"""Whether a heatmap can be trusted: a rule over what was measured, and no single score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median_high, variance
from typing import Literal

import torch

from diagnostics.schema.results.faithfulness import (
    Correlations,
    CriterionEntry,
    Evaluation,
    Fill,
    InsertionDeletion,
    LastLayer,
    Null,
    Randomization,
    Status,
    Verdict,
)
from diagnostics.text import counted, signed

MAX_UNTRAINED = 1e-6
"""Probability of an untrained last layer from which on a network may be one. The distribution's far
tail is only roughly known: the least of some hundred layers that were drawn was 6e-5."""

TINY = 1e-300  # where all shuffles vary alike

ALIKE = 0.8
"""Median rank correlation with the maps of random networks from which on a map stays much the same.
The largest of any part on 10 images each of three convolutional networks of digits and a
transformer: gradient 0.60, SmoothGrad 0.53, occlusion 0.78; the layers below keep their gates when
the last one is shuffled, so that 0.6 to 0.75 is normal there. Medians of integrated gradients and
input × gradient, of a drawing on black, were 0.88 to 0.94, of guided backpropagation with a random
last layer 0.73 to 0.84 (method: Adebayo et al. 2018)."""

NEAR_FLOOR = 0.1
"""How far below the rank correlation of random networks' maps with one another that of the model's
with theirs may lie, and still be one among them."""

MIN_CELLS = 16
"""Below, a rank correlation of two unrelated maps may reach `ALIKE` by chance: its standard
deviation is 1 / √(cells − 1)."""

STEADY = 0.7
"""Rank correlation of the maps of two seeds below which less than half of what a map ranks is the
model's, and the rest is the draw's: 0.7² is about one half."""

CHANCE = 0.5
"""Share of the maps of noise below which a map ranks places no better than they do. Of the same
networks 9 of 160 maps fell below (gradient, SmoothGrad, Grad-CAM and occlusion)."""

MAX_MISSING = 0.05
"""Share of the rise of the logit that a map which promises to sum to it may miss."""


PARTS: dict[Literal["head", "upper", "all"], str] = {
    "head": "last layer",
    "upper": "later half",
    "all": "all weights",
}
NULLS: dict[Null, str] = {
    "random networks": "maps of random networks",
    "other images": "maps of other images",
    "centre": "blob in the middle",
    "edges": "map of the image's edges",
    "noise": "maps of noise",
}


def criteria(note: str, evaluation: Evaluation | None) -> list[CriterionEntry]:
    """Return what speaks for a heatmap and against it.

    Args:
        note: Why there is nothing to evaluate.
        evaluation: What was measured; None where there is nothing.
    """
    if evaluation is None:
        return [CriterionEntry(name="map", status="open", reason=note)]
    judged = [
        _model(evaluation["last_layer"]),
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


def _model(layer: LastLayer) -> CriterionEntry:
    """Whether the model was trained at all, as far as its last layer shows on this image."""
    if layer["reason"]:
        return CriterionEntry(
            name="model", status="open", reason=f"Whether it was trained: {layer['reason']}"
        )
    shuffled = layer["shuffled"]
    usual = median_high(shuffled)
    least, most = min(shuffled) / usual, max(shuffled) / usual
    figures = (
        f"while the image is changed, its logits vary {layer['spread'] / usual:.2g} × as much as "
        f"with its last layer shuffled, where {len(shuffled)} shuffles vary {least:.2g} to "
        f"{most:.2g} ×."
    )
    if untrained_probability(layer) > MAX_UNTRAINED:
        reason = f"May be of a network that nobody trained: {figures}"
        return CriterionEntry(name="model", status="open", reason=reason)
    return CriterionEntry(name="model", status="for", reason=f"Is of a trained model: {figures}")


def untrained_probability(layer: LastLayer) -> float:
    """Return the probability that logits vary as much if nobody trained the last layer.

    Their variance is then a sum of squares of weights that were drawn independently, of which the
    shuffles tell mean and variance.

    Source:
        Satterthwaite 1946: a chi-squared distribution of the same mean and variance.
    """
    squares = [spread**2 for spread in layer["shuffled"]]
    freedom = 2 * mean(squares) ** 2 / max(variance(squares), TINY)
    value = freedom * layer["spread"] ** 2 / mean(squares)
    halves = torch.tensor([freedom, value], dtype=torch.float64) / 2
    return float(torch.special.gammaincc(halves[0], halves[1]))


def _randomization(randomization: Randomization, cells: int) -> CriterionEntry:
    """Whether the map changes with the weights that it is meant to tell of."""

    def criterion(status: Status, reason: str) -> CriterionEntry:
        return CriterionEntry(name="randomization", status=status, reason=reason)

    parts = {name: randomization[part] for part, name in PARTS.items()}
    figures = ", ".join(
        f"{signed(median_high(each['copies']))} with {name} random"
        for name, each in parts.items()
        if each["copies"]
    )
    if not randomization["all"]["copies"]:
        return criterion("open", randomization["reason"])
    floor = randomization["all"]["floor"]
    if floor:
        figures += f", {signed(median_high(floor))} of random networks with one another"
    figures = f"rank correlation {figures}"
    if any(_is_alike(each) for each in parts.values()):
        return criterion("against", f"Stays much the same whatever the weights: {figures}.")
    if cells < MIN_CELLS:
        few = f"Only {counted(cells, 'cell')} to rank, too few to compare"
        return criterion("open", f"{few}: {figures}.")
    missing = f" {randomization['reason']}" if randomization["reason"] else ""
    return criterion("for", f"Changes with the weights: {figures}.{missing}")


def _is_alike(correlations: Correlations) -> bool:
    """Say whether the map is like those of copies, as much as these are like one another."""
    if not correlations["copies"]:
        return False
    alike = median_high(correlations["copies"])
    floor = median_high(correlations["floor"] or [alike])
    return alike >= max(ALIKE, floor - NEAR_FLOOR)


def _insertion_deletion(fills: Mapping[Fill, InsertionDeletion]) -> CriterionEntry:
    """Whether the places it ranks first matter more than those that null maps rank first."""

    def criterion(status: Status, reason: str) -> CriterionEntry:
        return CriterionEntry(name="insertion_deletion", status=status, reason=reason)

    if all(areas["flat"] for areas in fills.values()):
        return criterion("open", "The logit does not depend on which cells are covered.")
    beaten = null_maps_beaten(fills)
    figures = ", ".join(f"{wins:.3g} of {n} {NULLS[kind]}" for kind, (wins, n) in beaten.items())
    figures = f"covering cells in its order says more than in the order of {figures}."
    wins, n = beaten["noise"]
    if wins < CHANCE * n:
        return criterion("against", f"Ranks places no better than chance: {figures}")
    if all(wins == n for wins, n in beaten.values()):
        return criterion("for", f"Ranks places better than chance: {figures}")
    return criterion("open", f"Better than chance in part: {figures}")


def null_maps_beaten(fills: Mapping[Fill, InsertionDeletion]) -> dict[Null, tuple[float, int]]:
    """Return how many null maps of each kind a map beats, and how many there are.

    One figure is compared: the area under insertion less that under deletion, over all fills. A tie
    is half a win. Noise upside down is noise too, whose figure is the opposite.
    """
    own = sum(areas["insertion"] - areas["deletion"] for areas in fills.values())
    kinds = next(iter(fills.values()))["nulls"]
    beaten: dict[Null, tuple[float, int]] = {}
    for kind in kinds:
        by_fill = (areas["nulls"][kind] for areas in fills.values())
        gains = [sum(gains) for gains in zip(*by_fill, strict=True)]
        if kind == "noise":
            gains += [-gain for gain in gains]
        if gains:
            wins = sum((own > gain) + (own == gain) / 2 for gain in gains)
            beaten[kind] = wins, len(gains)
    return beaten


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
