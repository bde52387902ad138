"""What is read off the ways of preparing that were tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnostics.methods.preprocessing._race import Race, Trial
from diagnostics.schema.results.preprocessing import Cause, Verdict
from diagnostics.text import counted

MAX_NAMES = 4  # of ties in a sentence
MOST = 2 / 3  # of the ways, beyond which ties leave nothing to tell


@dataclass(frozen=True)
class Reading:
    """A verdict on the trials of a race.

    Args:
        verdict: The verdict.
        sentence: What it rests on.
        tied: The trials that the images cannot tell from the best one.
        suggested: The one to use.
        cause: What else is wrong.
    """

    verdict: Verdict
    sentence: str
    tied: Sequence[Trial]
    suggested: Trial
    cause: Cause = ""


def among_ties(race: Race, tied: Sequence[Trial], fit: str) -> Reading:
    """Say that nothing better was found, and whether that tells anything.

    Args:
        race: The race.
        tied: The trials that tie with the best one, the current one among them.
        fit: How well the current way fits, in words.
    """
    others = [trial for trial in tied if trial is not race.current]
    count = counted(race.images, "image")
    also = f" These cannot tell it from: {listed(others)}." if others else ""
    if len(tied) > MOST * len(race.trials):
        sentence = (
            f"{len(tied)} of {len(race.trials)} ways of preparing fit {count} equally well "
            f"({fit}), so these images cannot say which is right."
        )
        return Reading("can't tell", sentence, tied, race.current)
    sentence = f"Nothing better was found on {count} ({fit}).{also}"
    return Reading("fine", sentence, tied, race.current)


def plainest(race: Race, trials: Sequence[Trial]) -> Trial:
    """Return the one that was tried first, no usual mistake where there is another."""
    in_order = [trial for trial in race.trials if any(trial is one for one in trials)]
    likely = [trial for trial in in_order if not trial.candidate.mistake]
    return (likely or in_order)[0]


def listed(trials: Sequence[Trial]) -> str:
    """Return the names of the first of some trials."""
    names = [trial.candidate.names[0] for trial in trials]
    more = len(names) - MAX_NAMES
    shown = "; ".join(names[:MAX_NAMES])
    return f"{shown}; and {more} more" if more > 0 else shown


def percent(share: float) -> str:
    """Return a share in words."""
    return f"{100 * share:.0f} %"
