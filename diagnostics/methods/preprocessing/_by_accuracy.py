"""With labels: which way answers most images right, and whether something else is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diagnostics.methods.context import Context
from diagnostics.methods.preprocessing import _causes
from diagnostics.methods.preprocessing._race import Race, Trial
from diagnostics.methods.preprocessing._reading import (
    Reading,
    among_ties,
    listed,
    percent,
    plainest,
)
from diagnostics.metrics.accuracy import chance
from diagnostics.schema.results.preprocessing import Cause
from diagnostics.text import counted

# Chosen on two networks; on five others 0 of 60 healthy draws are accused, 31 of 35 wrong ways and
# 31 of 31 other causes named: docs/decisions/0027.
TIED = 0.05  # of a sign test, from which on two ways tie
MAX_COMPLETED = 6  # ties that dropped out, and are tried on all images for their figures
CLOSE = 0.03  # of accuracy, within which another cause explains as much as a preprocessing
FARTHER, FAR_ENOUGH = 1.5, 0.5  # times the deviation now, or in all, that a better way may have
MISFIT, NEARER = 2.5, 1 / 3  # a deviation, and to what share of it a way must bring it alone
LOSS = 0.02  # of accuracy, that such a way may cost
NONE_FITS = 2.5  # a deviation of every way, from which on none fits
HALF = 0.5  # of the images right, below which nobody can call the preprocessing fine


def read(race: Race, context: Context) -> Reading:
    """Return which way answers clearly more images right, or what else is wrong."""
    return _Reader(race, context).reading()


class _Reader:
    def __init__(self, race: Race, context: Context) -> None:
        self._race, self._context = race, context
        self._current = race.current
        self._has_batchnorm = bool(len(race.running.mean))
        self._now = race.deviation(self._current)
        self._plausible = [trial for trial in race.ranked() if not trial.candidate.mistake]
        self._allowed = [trial for trial in self._plausible if self._is_allowed(trial)]
        self._best = race.leader(self._allowed)
        self._names = context.classifier.spec.class_names
        self._chance = chance(len(self._names))
        self._tied = [trial for trial in race.trials if race.ties(trial, self._best, TIED)]

    def reading(self) -> Reading:
        """Return the first that holds of: another cause, a better way, no way, nothing better."""
        return (
            self._another_cause() or self._better_way() or self._no_way() or self._nothing_better()
        )

    def _another_cause(self) -> Reading | None:
        race, current = self._race, self._current
        logits, labels = np.concatenate(current.logits), race.labels
        if _causes.is_constant(logits) and all(
            (trial.predicted == trial.predicted[0]).all() for trial in race.trials
        ):
            sentence = (
                f"The network gives the same answer to each of {counted(race.images, 'image')}, "
                "however they are prepared"
            )
            return self._elsewhere("constant", sentence)
        names = _causes.names(current.predicted, labels, self._names)
        if names and names.after > self._best_winner() + CLOSE:
            return self._elsewhere("names", names.sentence)
        best = race.accuracy(self._best)
        if self._has_batchnorm and best <= 1 - _causes.MIN_GAIN_STATISTICS:
            first = race.first
            statistics = _causes.statistics(
                self._context.classifier, first, labels[: len(first)], best
            )
            if statistics:
                return self._elsewhere("batchnorm", statistics.sentence)
        offset = _causes.offset(logits, labels, self._names)
        if offset and not self._is_misfit() and offset.after >= self._best_winner() - CLOSE:
            return self._elsewhere("offset", offset.sentence)
        highest = max(race.accuracy(trial) for trial in self._plausible)
        if highest <= self._chance:
            sentence = (
                f"{percent(race.accuracy(current))} right, and at best {percent(highest)} in any "
                f"of {len(race.trials)} ways of preparing, which is hardly more than guessing "
                f"among {len(self._names)} classes: look at the weights and at the order of the "
                "classes"
            )
            return self._elsewhere("chance", sentence)
        return None

    def _better_way(self) -> Reading | None:
        race, current = self._race, self._current
        winners = [trial for trial in self._allowed if self._is_winner(trial)]
        if winners:
            ties = self._as_good(winners)
            suggested = plainest(race, ties)
            return self._switch(suggested, ties) if self._mends(suggested) else self._partly(ties)
        nearer = [trial for trial in self._allowed if self._is_only_nearer(trial)]
        if nearer:
            best = min(race.deviation(trial) for trial in nearer)
            ties = [trial for trial in nearer if race.deviation(trial) <= 1.1 * best]
            return self._switch(plainest(race, ties), ties)
        forbidden = [trial for trial in self._plausible if self._is_winner(trial)]
        if forbidden:
            first = forbidden[0]
            sentence = (
                f"“{first.candidate.names[0]}” answers {percent(race.accuracy(first))} right "
                f"instead of {percent(race.accuracy(current))}, but takes the images from "
                f"{self._now:.1f} to {race.deviation(first):.1f} of what BatchNorm remembers, so "
                "it is not how the network was trained"
            )
            return self._elsewhere("contradiction", sentence)
        return None

    def _no_way(self) -> Reading | None:
        race = self._race
        if self._has_batchnorm:
            nearest = min(race.deviation(trial) for trial in self._plausible)
            if nearest > NONE_FITS:
                sentence = (
                    f"None of {len(race.trials)} ways of preparing fits: the images lie "
                    f"{nearest:.1f} from what BatchNorm remembers at best, {self._now:.1f} as it "
                    f"is set now ({percent(race.accuracy(self._current))} right)"
                )
                return self._elsewhere("none fits", sentence)
        if race.accuracy(self._current) < HALF:
            sentence = (
                f"None of {len(race.trials)} ways of preparing answers more than "
                f"{percent(race.accuracy(self._best))} of {counted(race.images, 'image')} right "
                f"({percent(race.accuracy(self._current))} as it is set now): either none of them "
                "is right, or the network knows no better."
            )
            return Reading("can't tell", sentence, self._tied, self._current)
        return None

    def _nothing_better(self) -> Reading:
        current = self._current
        tied = self._tied if any(one is current for one in self._tied) else [*self._tied, current]
        return among_ties(self._race, tied, f"{percent(self._race.accuracy(current))} right")

    def _is_allowed(self, trial: Trial) -> bool:
        """Say whether BatchNorm does not forbid a way: it leads not far from what it remembers."""
        if not self._has_batchnorm or trial is self._current:
            return True
        return self._race.deviation(trial) <= max(FARTHER * self._now, FAR_ENOUGH)

    def _is_winner(self, trial: Trial) -> bool:
        race = self._race
        return race.accuracy(trial) > self._chance and race.wins(trial, self._current)

    def _as_good(self, winners: Sequence[Trial]) -> list[Trial]:
        """Return those that are as good as the best on all images, also where they dropped out."""
        race = self._race
        best = race.leader(winners)
        ties = [one for one in winners if race.ties(one, best, TIED)]
        for one in sorted(ties, key=race.accuracy)[-MAX_COMPLETED:]:
            race.complete(one)
        highest = race.accuracy(best)
        return [
            one
            for one in ties
            if len(one.predicted) == race.images and highest - race.accuracy(one) <= CLOSE
        ] or [best]

    def _mends(self, trial: Trial) -> bool:
        """Say whether a way mends so many of the errors that it may be how the network was trained.

        Blurred files, for one, are answered somewhat better when they are given more contrast.
        """
        now = self._race.accuracy(self._current)
        return self._race.accuracy(trial) - now >= _causes.MENDED * (1 - now)

    def _partly(self, ties: Sequence[Trial]) -> Reading:
        race, trial = self._race, plainest(self._race, ties)
        sentence = (
            f"“{trial.candidate.names[0]}” answers {percent(race.accuracy(trial))} of "
            f"{counted(race.images, 'image')} right, {percent(race.accuracy(self._current))} as it "
            "is set now. That mends too few of the errors to be how the network was trained: "
            "these images may differ from those it knows in a way that no preprocessing undoes."
        )
        return Reading("can't tell", sentence, self._tied, self._current)

    def _is_only_nearer(self, trial: Trial) -> bool:
        """Say whether a way answers no more images right, but fits BatchNorm far better."""
        race, current = self._race, self._current
        if not self._has_batchnorm or self._now <= MISFIT:
            return False
        loses_nothing = race.accuracy(trial) >= race.accuracy(current) - LOSS
        return loses_nothing and race.deviation(trial) < NEARER * self._now

    def _best_winner(self) -> float:
        """Return the accuracy of the best of the ways that are clearly better; 0 without one."""
        winners = [trial for trial in self._allowed if self._is_winner(trial)]
        return max((self._race.accuracy(trial) for trial in winners), default=0.0)

    def _is_misfit(self) -> bool:
        """Say whether BatchNorm is far from the images as it is set now, and near otherwise."""
        if not self._has_batchnorm or self._now <= MISFIT:
            return False
        return any(self._race.deviation(one) < NEARER * self._now for one in self._allowed)

    def _elsewhere(self, cause: Cause, sentence: str) -> Reading:
        whole = f"Something else than the preprocessing is wrong. {sentence}."
        return Reading("something else", whole, self._tied, self._current, cause)

    def _switch(self, suggested: Trial, ties: Sequence[Trial]) -> Reading:
        race, current = self._race, self._current
        others = [trial for trial in ties if trial is not suggested]
        also = f" These cannot tell that from: {listed(others)}." if others else ""
        deviations = ""
        if self._has_batchnorm:
            deviations = (
                f"; deviation from what BatchNorm remembers {self._now:.2f}, then "
                f"{race.deviation(suggested):.2f}"
            )
        sentence = (
            f"The preprocessing looks wrong: {percent(race.accuracy(current))} right as it is set "
            f"now, {percent(race.accuracy(suggested))} with “{suggested.candidate.names[0]}”, "
            f"on {counted(race.images, 'image')}{deviations}.{also}"
        )
        return Reading("wrong", sentence, list(ties), suggested)
