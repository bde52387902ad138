"""Findings become a verdict: which causes explain an answer, in which order, and what remains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnostics.schema.results.diagnosis import Finding, Tried, Verdict
from diagnostics.text import counted, probability
from diagnostics.verdict.causes import BY_ID, ORDER

DECIDED = tuple(cause for cause in ORDER if cause.startswith(("shortcut.", "reliance.")))
CLOSE = 0.2  # of the strongest effect, within which causes stand in their order
AGREEING, OF_TEN = 6, 10  # of the nearest good images, that must share the class
MIN_NEAREST = 3  # good images of the class, below which their agreement says nothing
UNSURE = 0.8  # probability below which an answer is unsure
STRANGE = 0.05  # p-value below which nothing is called justified
SINK = 0.5  # share of noise images, from which on the class is what the model says of nothing
ENOUGH = 20  # good images, without which nothing is called justified


@dataclass(frozen=True)
class Situation:
    """What else a verdict depends on.

    Args:
        said: The class that was said.
        p: Its probability.
        one_minus_p: The exact complement.
        good: How many good images there are.
        labelled: How many of them have labels.
        competent: Whether the model answers them clearly better than chance.
        nearest: How many of the nearest good images there are, ten at most.
        agreeing: How many of them are of the class.
        strangest: The smallest p-value of the image among good images; None without them.
        noise: Which share of images of noise is said to be the class too.
        closer: Whether every region was looked at.
    """

    said: str
    p: float
    one_minus_p: float
    good: int
    labelled: int
    competent: bool
    nearest: int
    agreeing: int
    strangest: float | None
    noise: float = 0.0
    closer: bool = False


@dataclass(frozen=True)
class Decision:
    """A verdict.

    Args:
        verdict: Trust, distrust, or that it cannot be told.
        sentence: Why.
        causes: What explains the answer, the most certain first.
        tried: What does not.
        needs: What would let it tell.
    """

    verdict: Verdict
    sentence: str
    causes: list[Finding]
    tried: list[Tried]
    needs: str


def decide(findings: Sequence[Finding], situation: Situation) -> Decision:
    """Return what findings together say of one answer.

    A cause that ends the search stands alone. Else a cause of the head comes first, then what
    decides in the image, the strongest first, then the rest in the order of the table.
    """
    holding = ranked([one for one in findings if one["holds"]])
    without = [tried(one) for one in findings if not one["holds"]]
    if holding:
        return Decision("distrust", _sentence(situation, holding[0]), holding, without, "")
    return _without_cause(situation, without)


def ranked(holding: Sequence[Finding]) -> list[Finding]:
    """Return causes that hold in the order in which they are named."""
    in_order = sorted(holding, key=lambda one: ORDER[one["id"]])
    ending = [one for one in in_order if BY_ID[one["id"]].ends]
    if ending:
        return ending[:1]
    deciding = [one for one in in_order if one["id"] in DECIDED]
    strongest = max((strength(one) for one in deciding), default=0.0)
    first = [one for one in deciding if strength(one) >= (1 - CLOSE) * strongest]
    rest = sorted((one for one in deciding if one not in first), key=lambda one: -strength(one))
    deciding = [*first, *rest]
    start = ORDER[DECIDED[0]]
    before = [one for one in in_order if ORDER[one["id"]] < start]
    after = [one for one in in_order if ORDER[one["id"]] > start and one not in deciding]
    grown = [one for one in after if one["id"] == "image.fooling"]
    if any(one["id"] == "image.ambiguous" for one in after):  # in doubt, and therefore strange
        after = sorted(after, key=lambda one: one["id"] == "image.out_of_distribution")
    return [*before, *grown, *deciding, *(one for one in after if one not in grown)]


def strength(found: Finding) -> float:
    """Return the lesser of how far the answer falls without it and how many turn with it."""
    fall = 0.0
    if found["p_before"] and found["p_after"] is not None:
        fall = (found["p_before"] - found["p_after"]) / found["p_before"]
    turned = found["turned"]
    share = turned["hits"] / turned["n"] if turned and turned["n"] else 0.0
    return min(fall, share)


def tried(found: Finding) -> Tried:
    """Return a finding that does not hold as what was tried."""
    return Tried(
        id=found["id"],
        title=BY_ID[found["id"]].title,
        p_after=found["p_after"],
        why_not=found["why_not"],
    )


def _sentence(situation: Situation, first: Finding) -> str:
    """Say what is said, what was done, what became of it, and how many others turned."""
    parts = [_says(situation)]
    done = first["done"]
    if first["p_after"] is not None and first["p_before"] is not None:
        after = probability(first["p_after"], 1 - first["p_after"])
        moves = "falls" if first["p_after"] < first["p_before"] else "rises"
        effect = f"p of “{situation.said}” {moves} to {after}"
        joined = f"{done} {effect}." if done.endswith(",") else f"{done.rstrip(':')}; {effect}."
        parts.append(joined)
        turned = first["turned"]
        if turned and first["id"] in DECIDED:
            parts.append(
                f"{turned['hits']} of {turned['n']} other good images become “{situation.said}” "
                "with it."
            )
    sentence = first["sentence"]
    if first["p_after"] is None and done:
        sentence = f"{done} {sentence}"
    parts.append(f"{sentence[:1].upper()}{sentence[1:]}.")
    return " ".join(parts)


def _says(situation: Situation) -> str:
    p = probability(situation.p, situation.one_minus_p)
    return f"The model says “{situation.said}” with {p}."


def _without_cause(situation: Situation, without: list[Tried]) -> Decision:
    """Trust an answer that good images like it share, and that nothing explains away."""
    agreeing = f"{situation.agreeing} of {situation.nearest} nearest good images"
    enough = situation.nearest >= MIN_NEAREST
    share = situation.agreeing / situation.nearest if enough else 0.0
    if situation.good < ENOUGH or situation.labelled < ENOUGH:
        missing = (
            f"Add at least {ENOUGH} known-good images with labels (a folder for each class, or "
            "labels.csv): they show what the same change does to other images."
        )
        why = "Too few known-good images with labels are at hand to tell why."
        if situation.noise >= SINK:
            why += f" It says the same of {100 * situation.noise:.0f} % of images of noise."
        return Decision("cannot_tell", f"{_says(situation)} {why}", [], without, missing)
    if not situation.competent:
        why = "It answers the good images hardly better than by chance, so its answer says little."
        return Decision("cannot_tell", f"{_says(situation)} {why}", [], without, "")
    strange = situation.strangest is not None and situation.strangest < STRANGE
    if situation.p < UNSURE:
        found = _none("none.unsure", situation, "the model is unsure, and says so")
        verdict: Verdict = "trust" if share >= AGREEING / OF_TEN and not strange else "cannot_tell"
        sentence = f"{_says(situation)} It is unsure, and {agreeing} are “{situation.said}”."
        return Decision(verdict, sentence, [found], without, "")
    if share >= AGREEING / OF_TEN and not strange:
        found = _none("none.justified", situation, "nothing that was tried explains it away")
        sentence = (
            f"{_says(situation)} Nothing that was tried explains it away; {agreeing} are "
            f"“{situation.said}”."
        )
        return Decision("trust", sentence, [found], without, "")
    why = (
        f"No cause was found, but only {counted(situation.nearest, 'good image')} of "
        f"“{situation.said}” can be near."
        if not enough
        else f"No cause was found, but only {agreeing} are “{situation.said}”."
        if share < AGREEING / OF_TEN
        else "No cause was found, but the image is somewhat unlike the good ones "
        f"(p-value {situation.strangest:.2g})."
    )
    add = "dd more known-good images like this one."
    needs = f"A{add}" if situation.closer else f"Look closer, or a{add}"
    return Decision("cannot_tell", f"{_says(situation)} {why}", [], without, needs)


def _none(cause: str, situation: Situation, sentence: str) -> Finding:
    share = situation.agreeing / situation.nearest if situation.nearest else 0.0
    return Finding(
        id=cause,
        holds=True,
        confidence=share,
        p_before=situation.p,
        p_after=None,
        turned=None,
        placebo=None,
        done="",
        sentence=sentence,
        fix="",
        why_not="",
        box=None,
        effects=[],
        evidence=[],
    )
