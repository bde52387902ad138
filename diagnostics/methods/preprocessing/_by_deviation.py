"""Without labels: how far do images lie from what BatchNorm remembers of the training?"""

from __future__ import annotations

import numpy as np

from diagnostics.methods.context import Context
from diagnostics.methods.preprocessing._causes import is_untrained
from diagnostics.methods.preprocessing._race import Race, Trial
from diagnostics.methods.preprocessing._reading import Reading, among_ties, listed, plainest
from diagnostics.text import counted

# Chosen and measured on two networks with 3, 8 and 32 images: 0 of 24 healthy draws accused, 30 of
# 30 wrong scalings named, 2 of 6 ruined memories told.
FEW = 8  # images, below which only gross errors can be told
RESAMPLES = 200
TIED = 0.02  # of resamples in which another candidate comes first
NEAR, NEAR_OF_FEW = 1.10, 1.5  # times the best deviation, within which others tie
WRONG, WRONG_OF_FEW = 0.7, 0.4  # times the deviation now, which a better way must fall below
SUSPICIOUS = 1.5  # a deviation from which on other ways are worth trying
NONE_FITS = 2.5  # a deviation of the best way, from which on none fits


def read(race: Race, _context: Context) -> Reading:
    """Return which way brings the images nearest to what BatchNorm remembers."""
    best = next(trial for trial in race.ranked() if not trial.candidate.mistake)
    tied = _tied(race, best)
    suggested = plainest(race, tied)
    now, then = race.deviation(race.current), race.deviation(best)
    count = counted(race.images, "image")
    if is_untrained(race.running):
        sentence = (
            "What BatchNorm remembers are means of 0 and variances of 1, as before any training: "
            "these weights were never trained, or the file does not hold what was measured."
        )
        return Reading("something else", sentence, tied, race.current, "batchnorm")
    if race.deviation(suggested) > NONE_FITS:
        sentence = (
            f"None of the {len(race.trials)} ways of preparing fits: {count} lie {then:.1f} from "
            f"what BatchNorm remembers at best (“{best.candidate.names[0]}”), {now:.1f} as it "
            "is set now. The images are of another kind, or the file's statistics are not those of "
            "its weights; labels would decide."
        )
        return Reading("something else", sentence, tied, race.current, "none fits")
    least = WRONG_OF_FEW if race.images < FEW else WRONG
    clearly = all(trial is not race.current for trial in tied)
    if clearly and race.deviation(suggested) < least * now:
        ties = [trial for trial in tied if trial is not suggested]
        also = f" These cannot tell that from: {listed(ties)}." if ties else ""
        sentence = (
            f"The preprocessing looks wrong: deviation {now:.2f} as it is set now, "
            f"{race.deviation(suggested):.2f} with “{suggested.candidate.names[0]}”, on "
            f"{count}.{also}"
        )
        return Reading("wrong", sentence, tied, suggested)
    near = [*tied, *([race.current] if clearly else [])]
    return among_ties(race, near, f"deviation {now:.2f} from what BatchNorm remembers")


def unsuspicious(race: Race) -> Reading:
    """Say that the settings in force fit well enough for others not to be tried."""
    sentence = (
        f"Deviation {race.deviation(race.current):.2f} from what BatchNorm remembers; no other way "
        "was tried."
    )
    return Reading("fine", sentence, [race.current], race.current)


def _tied(race: Race, best: Trial) -> list[Trial]:
    """Return what lies near the best, or before it in some resamples of the images."""
    count = race.images
    limit = race.deviation(best) * (NEAR_OF_FEW if count < FEW else NEAR)
    random = np.random.default_rng(0)
    resamples = [random.integers(0, count, count) for _ in range(RESAMPLES)]
    of_best = np.array([race.deviation(best, rows) for rows in resamples])

    def comes_first(trial: Trial) -> float:
        deviations = np.array([race.deviation(trial, rows) for rows in resamples])
        return float((deviations <= of_best).mean())

    return [
        trial
        for trial in race.ranked()
        if race.deviation(trial) <= limit or comes_first(trial) > TIED
    ]
