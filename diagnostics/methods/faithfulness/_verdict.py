"""Whether a map can be trusted: a rule over what was measured, and no single score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from diagnostics.text import counted, signed

Found: TypeAlias = Mapping[str, Any]
Status: TypeAlias = Literal["for", "against", "open"]

TRUST, DOUBT, OPEN = "trust", "doubt", "can't tell"

ALIKE = 0.5
"""Rank correlation with a randomised network's map from which on a map stays much the same. The
gradient was measured at 0.05 to 0.59, the most on a thin drawing, guided backpropagation at 0.69
and above with a random last layer, integrated gradients and input × gradient at 0.84 and above
(method: Adebayo et al. 2018)."""

LEAST_CELLS = 16
"""Below, a rank correlation of two unrelated maps reaches `ALIKE` by chance: its standard deviation
is 1 / √(cells − 1)."""

STEADY = 0.7
"""Rank correlation of the maps of two seeds below which less than half of what a map ranks is the
model's, and the rest is the draw's: 0.7² is about one half."""

BEATS = 0.9
"""Share of random maps that a map must beat; with a dozen of them it happens by chance to about one
map of ten."""

HALF = 0.5
"""Share of random maps that the weaker of a fill's two curves must beat."""

CHANCE = 0.75
"""Share of random maps below which a map is one among them."""

MISSING = 0.05
"""Share of the rise of the logit that a map which promises to sum to it may miss."""


def verdict(found: Found) -> dict[str, Any]:
    """Return "verdict" and "criteria" for what was measured of one image's map.

    Doubt where anything speaks against the map, trust where everything that was asked speaks for
    it, can't tell otherwise.
    """
    if found["note"]:
        return {"verdict": OPEN, "criteria": [_said("map", "open", found["note"])]}
    criteria = [_of_weights(found), _of_removal(found)]
    criteria += [_of_seeds(found["seeds"])] if found["seeds"] else []
    criteria += [_of_sum(found)] if found["rise"] is not None else []
    told = {one["status"] for one in criteria}
    said = DOUBT if "against" in told else OPEN if "open" in told else TRUST
    return {"verdict": said, "criteria": criteria}


def middle(values: Sequence[float]) -> float:
    """Return the median, of an even number the larger of the two in the middle."""
    return sorted(values)[len(values) // 2]


def _said(name: str, status: Status, said: str) -> dict[str, str]:
    return {"name": name, "status": status, "said": said}


def _of_weights(found: Found) -> dict[str, str]:
    """Whether the map changes with the weights that it is meant to tell of."""
    weights, cells = found["weights"], found["cells"]
    figures, alike = [], False
    for part, named in (("head", "last layer"), ("all", "all weights")):
        if weights[part]:
            figures.append(f"{signed(middle(weights[part]))} with {named} random")
            alike |= middle(weights[part]) >= ALIKE
    listed = f"rank correlation {', '.join(figures)}" if figures else ""
    if alike:
        return _said("weights", "against", f"Stays much the same whatever the weights: {listed}.")
    if not listed:
        return _said("weights", "open", weights["why"])
    if cells < LEAST_CELLS:
        few = f"Only {counted(cells, 'cell')} to rank, too few to compare"
        return _said("weights", "open", f"{few}: {listed}.")
    why = "" if weights["head"] and weights["all"] else f" {weights['why']}"
    return _said("weights", "for", f"Changes with the weights: {listed}.{why}")


def _of_removal(found: Found) -> dict[str, str]:
    """Whether the places it ranks first matter more than places drawn at random."""
    fills = found["removal"]
    shares, lines = [], []
    for fill, one in fills.items():
        both = [one["beats_insertion"], one["beats_deletion"]]
        shares.append(both)
        n = one["random"]
        won = [round(share * n) for share in both]
        lines.append(f"{won[0]} and {won[1]} of {n} on {fill} fill")
    listed = f"insertion and deletion beat those of random maps {', '.join(lines)}."
    if all(one["flat"] for one in fills.values()):
        return _said("removal", "open", "The logit does not depend on which cells are covered.")
    beaten = [max(both) >= BEATS for both in shares]
    if all(share < CHANCE for both in shares for share in both):
        return _said("removal", "against", f"Ranks places no better than chance: {listed}")
    if all(beaten) and all(share >= HALF for both in shares for share in both):
        return _said("removal", "for", f"Ranks places better than chance: {listed}")
    return _said("removal", "open", f"Better than chance in part: {listed}")


def _of_seeds(seeds: Sequence[float]) -> dict[str, str]:
    """Whether another draw of its noise gives the same map."""
    value = middle(seeds)
    said = f"rank correlation {signed(value)} between seeds."
    if value < STEADY:
        return _said("seeds", "against", f"Changes with the seed: {said}")
    return _said("seeds", "for", f"Stays with another seed: {said}")


def _of_sum(found: Found) -> dict[str, str]:
    """Whether it adds up to what it promises."""
    total, rise = found["sum"], found["rise"]
    missed = abs(total - rise)
    said = f"{signed(total)} of {signed(rise)} logits."
    if missed <= max(MISSING * abs(rise), found["rounding"]):
        return _said("sum", "for", f"Adds up to the rise of the logit: {said}")
    return _said("sum", "against", f"Does not add up to the rise of the logit: {said}")
