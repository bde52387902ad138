"""What each guard catches and what it costs, beside the bare model: sentences and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diagnostics.data.noise import FAMILIES
from diagnostics.metrics.intervals import false_alarm_interval, flagged_ranks
from diagnostics.report.formatting import interval
from diagnostics.report.table import Table

Scores = Mapping[str, Any]
Answers = Mapping[str, Scores]  # of the guards that could be fitted, by their kind

GUARDS = {
    "threshold": "Threshold",
    "extra_class": "Extra class",
    "discriminator": "Discriminator",
}
BARE, UNSURE = "bare", "unsure"
LANES = {BARE: "Bare model", UNSURE: "Below 90 % sure", **GUARDS}
STRANGERS, FOOLING = "strangers", "fooling"
KINDS = {
    STRANGERS: "Your strangers",
    FOOLING: "Fooling images",
    **{name: family.title for name, family in FAMILIES.items()},
}


@dataclass(frozen=True)
class Lane:
    """One line of a chart: who answers, of how many images something holds, and what it learned.

    Args:
        name: A key of `LANES`.
        rate: Hits, n, value and interval.
        learned: Whether the guard learned on images of the same kind.
    """

    name: str
    rate: Scores
    learned: bool = False

    @property
    def text(self) -> str:
        """The rate in words."""
        rate = self.rate
        said = f"{rate['hits']} of {rate['n']} ({interval(rate['low'], rate['high'])})"
        return f"{said}, learned" if self.learned else said


def headline(answers: Answers) -> str:
    """Say in a sentence what the guards catch of the first kind of image."""
    first = kinds(answers)[0]
    unsure, *guards = caught(answers, first)
    sure = _others(unsure.rate)
    said = _listed([f"the {_name(one.name)} catches {one.rate['hits']}" for one in guards])
    return (
        f"{KINDS[first]}: the bare model is 90 % sure or surer of {sure['hits']} of {sure['n']}; "
        f"{said}."
    )


def warning(answers: Answers) -> str:
    """Say which guards learned on strangers, whose figures flatter them; empty where none did."""
    learned = [guard for guard, one in answers.items() if STRANGERS in one["fitted_on"]]
    if not learned:
        return ""
    first = answers[learned[0]]
    count = first["fitted_on"][STRANGERS]
    judged = _entry(first, STRANGERS).get("caught", {"n": 0})["n"]
    names = _listed([f"the {_name(guard)}" for guard in learned])
    verb = "are" if len(learned) > 1 else "is"
    return (
        f"{names[0].upper()}{names[1:]} learned on {count} of your strangers and {verb} judged on "
        f"{judged} others of the same folder. That flatters: strangers of another sort will be "
        "caught less often. The kinds that were never learned on tell more of those."
    )


def fitted_on(answers: Answers) -> str:
    """Say how many known-good images served for what."""
    one = next(iter(answers.values()))
    counts, alpha = one["fitted_on"], one["alpha"]
    said = (
        f"{counts['known']} known-good images fitted each guard, {counts['threshold']} others set "
        f"its threshold, and {one['good_rejected']['n']} others judge it."
    )
    if not flagged_ranks(counts["threshold"], alpha):
        return said
    ends = interval(*false_alarm_interval(counts["threshold"], alpha))
    return (
        f"{said} So many to set a threshold promise {100 * alpha:g} % on average; the rate of one "
        f"guard lies within {ends} (95 %)."
    )


def promises(answers: Answers) -> list[str]:
    """Say of each guard whether it keeps what it promised, on the images held out."""
    return [_promise(guard, answer) for guard, answer in answers.items()]


def kinds(answers: Answers) -> list[str]:
    """Return the kinds of image that were judged: what no guard learned on before the rest."""
    learned: dict[str, bool] = {}
    for answer in answers.values():
        for one in answer["kinds"]:
            if one["caught"]["n"]:
                learned[one["kind"]] = learned.get(one["kind"], False) or one["learned"]
    order, first = list(KINDS), (STRANGERS, FOOLING)
    return sorted(learned, key=lambda kind: (kind not in first, learned[kind], order.index(kind)))


def caught(answers: Answers, kind: str) -> list[Lane]:
    """Return who catches how much of one kind of image; to doubt it counts for the bare model."""
    found = [(guard, _entry(answer, kind)) for guard, answer in answers.items()]
    judged = [(guard, one) for guard, one in found if one]
    unsure = Lane(UNSURE, _others(judged[0][1]["bare_sure"]))
    return [unsure, *(Lane(guard, one["caught"], one["learned"]) for guard, one in judged)]


def rejected(answers: Answers) -> list[Lane]:
    """Return who rejects how many of the known-good images."""
    unsure = next(iter(answers.values()))["unsure_rejected"]
    guards = [Lane(guard, one["good_rejected"]) for guard, one in answers.items()]
    return [Lane(UNSURE, unsure), *guards]


def right(answers: Answers) -> list[Lane]:
    """Return who is right about how many known-good images; empty where none has a label."""
    first = next(iter(answers.values()))
    if not first["accuracy"]:
        return []
    bare = [Lane(BARE, first["bare_accuracy"]), Lane(UNSURE, first["unsure_accuracy"])]
    return [*bare, *(Lane(guard, one["accuracy"]) for guard, one in answers.items())]


def caught_numbers(answers: Answers) -> Table:
    """Return what is caught as a table, a row for each kind of image."""
    rows = tuple(
        {
            "kind of image": KINDS[kind],
            **{LANES[lane.name]: lane.text for lane in caught(answers, kind)},
        }
        for kind in kinds(answers)
    )
    said = (
        "Brackets and thin lines are 95 % intervals. The bare model always names a class; were "
        "its answers below 90 % rejected, it would catch what the grey crosses show. Filled marks "
        "are the honest figures, of images unlike any that the guard learned on; open marks and "
        "“learned”: it learned on others of the same kind."
    )
    return Table(rows, title="What each guard catches, of images held out", said=said)


def cost_numbers(answers: Answers) -> Table:
    """Return what the guards cost as a table, a row for each and one for the bare model."""
    first = next(iter(answers.values()))
    nothing = {BARE: f"none of {first['good_rejected']['n']}"}
    lost = nothing | {lane.name: lane.text for lane in rejected(answers)}
    kept = {lane.name: lane.text for lane in right(answers)}
    rows = tuple(
        {
            "who answers": LANES[name],
            "known-good images rejected": text,
            "right and not rejected": kept.get(name, "no labels"),
        }
        for name, text in lost.items()
    )
    said = (
        "Brackets and thin lines are 95 % intervals. A guard never changes which class comes "
        "first, it only withholds answers: what is right can only become less."
    )
    return Table(rows, title="What each guard costs, on images held out", said=said)


def _promise(guard: str, answer: Scores) -> str:
    alpha, count = answer["alpha"], answer["fitted_on"]["threshold"]
    if not flagged_ranks(count, alpha):
        return (
            f"The {_name(guard)} rejects nothing at all: {count} images cannot set a threshold for "
            f"{100 * alpha:g} %. Add images, or allow more to be rejected."
        )
    found = answer["good_rejected"]
    said = f"The {_name(guard)} rejects {Lane(guard, found).text} of the good images held out"
    if found["low"] > alpha:
        return f"{said}: more than the {100 * alpha:g} % promised."
    return f"{said}; that agrees with the {100 * alpha:g} % promised."


def _entry(answer: Scores, kind: str) -> Scores:
    """Return what a guard does with one kind of image; empty where it was not judged by it."""
    found = (one for one in answer["kinds"] if one["kind"] == kind and one["caught"]["n"])
    return next(found, {})


def _others(rate: Scores) -> Scores:
    """Return the rate of all the other images."""
    return {
        "hits": rate["n"] - rate["hits"],
        "n": rate["n"],
        "value": 1 - rate["value"],
        "low": 1 - rate["high"],
        "high": 1 - rate["low"],
    }


def _name(guard: str) -> str:
    return GUARDS[guard].lower()


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else "".join(parts)
