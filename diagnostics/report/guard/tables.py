"""What each guard catches and what it costs, beside the bare model: sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnostics.data.noise import FAMILIES
from diagnostics.metrics.intervals import false_alarm_interval, flagged_ranks
from diagnostics.report.formatting import interval
from diagnostics.report.table import Table
from diagnostics.schema.results import Rate
from diagnostics.schema.results.guard import (
    FOOLING,
    OUT_OF_DISTRIBUTION,
    GuardAnswer,
    KindRates,
)

BARE, UNCONFIDENT = "Bare model", "Below 90 % sure"
KINDS = {
    OUT_OF_DISTRIBUTION: "Your strangers",
    FOOLING: "Fooling images",
    **{name: family.title for name, family in FAMILIES.items()},
}


@dataclass(frozen=True)
class FittedGuard:
    """A guard that could be fitted.

    Args:
        title: What people call it.
        position: Its place among all guards there are, which decides its colour and its mark.
        answer: What it gains and costs.
    """

    title: str
    position: int
    answer: GuardAnswer

    @property
    def name(self) -> str:
        """What it is called within a sentence."""
        return self.title.lower()


Guards = Sequence[FittedGuard]


@dataclass(frozen=True)
class Lane:
    """One line of a chart.

    Args:
        title: Who answers: a guard, `BARE` or `UNCONFIDENT`.
        rate: Of how many images something holds.
        position: Of the guard; None for the bare model.
        learned: Whether the guard learned from images of the same kind.
    """

    title: str
    rate: Rate
    position: int | None = None
    learned: bool = False

    @property
    def text(self) -> str:
        """The rate in words."""
        rate = self.rate
        text = f"{rate['hits']} of {rate['n']} ({interval(rate['low'], rate['high'])})"
        return f"{text}, learned" if self.learned else text


def headline(guards: Guards) -> str:
    """Say in a sentence what the guards catch of the first kind of image."""
    first = kinds(guards)[0]
    unconfident, *lanes = caught(guards, first)
    confident = _complement(unconfident.rate)
    catches = _listed([f"the {lane.title.lower()} catches {lane.rate['hits']}" for lane in lanes])
    return (
        f"{KINDS[first]}: the bare model is 90 % sure or surer of {confident['hits']} of "
        f"{confident['n']}; {catches}."
    )


def warning(guards: Guards) -> str:
    """Say which guards learned from strangers, whose figures flatter them; empty for none."""
    learned = [
        guard
        for guard in guards
        if OUT_OF_DISTRIBUTION in guard.answer["fitted_on"]["out_of_distribution"]
    ]
    if not learned:
        return ""
    first = learned[0].answer
    count = first["fitted_on"]["out_of_distribution"][OUT_OF_DISTRIBUTION]
    rates = _rates(first, OUT_OF_DISTRIBUTION)
    tested = rates["rejected"]["n"] if rates else 0
    names = _listed([f"the {guard.name}" for guard in learned])
    verb = "are" if len(learned) > 1 else "is"
    return (
        f"{names[0].upper()}{names[1:]} learned on {count} of your strangers and {verb} judged on "
        f"{tested} others of the same folder. That flatters: strangers of another sort will be "
        "caught less often. The kinds that were never learned on tell more of those."
    )


def fitted_on(guards: Guards) -> str:
    """Say how many known-good images served for what."""
    answer = guards[0].answer
    counts, alpha = answer["fitted_on"], answer["alpha"]
    sentence = (
        f"{counts['in_distribution']} known-good images fitted each guard, "
        f"{counts['calibration']} others set its threshold, and {answer['rejected']['n']} others "
        "judge it."
    )
    if not flagged_ranks(counts["calibration"], alpha):
        return sentence
    ends = interval(*false_alarm_interval(counts["calibration"], alpha))
    return (
        f"{sentence} So many to set a threshold promise {100 * alpha:g} % on average; the rate of "
        f"one guard lies within {ends} (95 %)."
    )


def promises(guards: Guards) -> list[str]:
    """Say of each guard whether it keeps what it promised, on the test images."""
    return [_promise(guard) for guard in guards]


def kinds(guards: Guards) -> list[str]:
    """Return the kinds of image that were tested: what no guard learned from before the rest."""
    learned: dict[str, bool] = {}
    for guard in guards:
        for rates in guard.answer["kinds"]:
            if rates["rejected"]["n"]:
                kind = rates["kind"]
                learned[kind] = learned.get(kind, False) or rates["learned"]
    order, first = list(KINDS), (OUT_OF_DISTRIBUTION, FOOLING)
    return sorted(learned, key=lambda kind: (kind not in first, learned[kind], order.index(kind)))


def caught(guards: Guards, kind: str) -> list[Lane]:
    """Return who rejects how much of one kind; the bare model does where it is not confident."""
    tested = [(guard, rates) for guard in guards if (rates := _rates(guard.answer, kind))]
    unconfident = Lane(UNCONFIDENT, _complement(tested[0][1]["bare_confident"]))
    lanes = [
        Lane(guard.title, rates["rejected"], guard.position, rates["learned"])
        for guard, rates in tested
    ]
    return [unconfident, *lanes]


def rejected(guards: Guards) -> list[Lane]:
    """Return who rejects how many of the known-good images."""
    unconfident = Lane(UNCONFIDENT, guards[0].answer["unconfident_rejected"])
    lanes = [Lane(guard.title, guard.answer["rejected"], guard.position) for guard in guards]
    return [unconfident, *lanes]


def right(guards: Guards) -> list[Lane]:
    """Return who is right about how many known-good images; empty where none has a label."""
    first = guards[0].answer
    rates = [
        (BARE, first["bare_accuracy"], None),
        (UNCONFIDENT, first["unconfident_accuracy"], None),
        *((guard.title, guard.answer["accuracy"], guard.position) for guard in guards),
    ]
    return [Lane(title, rate, position) for title, rate, position in rates if rate]


def caught_numbers(guards: Guards) -> Table:
    """Return what is caught as a table, a row for each kind of image."""
    rows = tuple(
        {
            "kind of image": KINDS[kind],
            **{lane.title: lane.text for lane in caught(guards, kind)},
        }
        for kind in kinds(guards)
    )
    note = (
        "Brackets and thin lines are 95 % intervals. The bare model always names a class; were "
        "its answers below 90 % rejected, it would catch what the grey crosses show. Filled marks "
        "are the honest figures, of images unlike any that the guard learned on; open marks and "
        "“learned”: it learned on others of the same kind."
    )
    return Table(rows, title="What each guard catches, of images held out", caption=note)


def cost_numbers(guards: Guards) -> Table:
    """Return what the guards cost as a table, a row for each and one for the bare model."""
    nothing = {BARE: f"none of {guards[0].answer['rejected']['n']}"}
    rejected_texts = nothing | {lane.title: lane.text for lane in rejected(guards)}
    right_texts = {lane.title: lane.text for lane in right(guards)}
    rows = tuple(
        {
            "who answers": title,
            "known-good images rejected": text,
            "right and not rejected": right_texts.get(title, "no labels"),
        }
        for title, text in rejected_texts.items()
    )
    note = (
        "Brackets and thin lines are 95 % intervals. A guard never changes which class comes "
        "first, it only withholds answers: what is right can only become less."
    )
    return Table(rows, title="What each guard costs, on images held out", caption=note)


def learned_from(answer: GuardAnswer) -> str:
    """Say what a guard's score is, and from which images that belong to no class it learned."""
    counts = answer["fitted_on"]["out_of_distribution"]
    listed = ", ".join(f"{count} {KINDS[kind].lower()}" for kind, count in counts.items())
    learned = f"Learned on images: {listed}." if counts else "Learned on nothing strange."
    return f"Score: {answer['score']}. {learned}" if answer["score"] else learned


def _promise(guard: FittedGuard) -> str:
    alpha, count = guard.answer["alpha"], guard.answer["fitted_on"]["calibration"]
    if not flagged_ranks(count, alpha):
        return (
            f"The {guard.name} rejects nothing at all: {count} images cannot set a threshold for "
            f"{100 * alpha:g} %. Add images, or allow more to be rejected."
        )
    rate = guard.answer["rejected"]
    text = Lane(guard.title, rate).text
    sentence = f"The {guard.name} rejects {text} of the good images held out"
    if rate["low"] > alpha:
        return f"{sentence}: more than the {100 * alpha:g} % promised."
    return f"{sentence}; that agrees with the {100 * alpha:g} % promised."


def _rates(answer: GuardAnswer, kind: str) -> KindRates | None:
    """Return what a guard does with one kind of image; None where it was not tested by it."""
    of_kind = (rates for rates in answer["kinds"] if rates["kind"] == kind)
    return next((rates for rates in of_kind if rates["rejected"]["n"]), None)


def _complement(rate: Rate) -> Rate:
    """Return the rate of all the other images."""
    return Rate(
        hits=rate["n"] - rate["hits"],
        n=rate["n"],
        value=None if rate["value"] is None else 1 - rate["value"],
        low=1 - rate["high"],
        high=1 - rate["low"],
    )


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else "".join(parts)
