"""Without labels and BatchNorm: do all images get the same answer? Weak evidence."""

from __future__ import annotations

from diagnostics.methods.context import Context
from diagnostics.methods.preprocessing._race import Race
from diagnostics.methods.preprocessing._reading import Reading, percent
from diagnostics.schema.spec import NO_BATCHNORM
from diagnostics.text import counted

MIN_IMAGES = 8
COLLAPSED = 0.9  # of the images get the same answer


def read(race: Race, _context: Context) -> Reading:
    """Return whether the answers collapse as it is set now, and not otherwise."""
    best = race.ranked()[0]
    tied = [trial for trial in race.trials if race.measure(trial) < COLLAPSED]
    now, then, count = race.measure(race.current), race.measure(best), counted(race.images, "image")
    if race.images < MIN_IMAGES:
        sentence = (
            f"{NO_BATCHNORM} So only labels, or a folder of {MIN_IMAGES} images or more, can say "
            "whether the preprocessing is right."
        )
        return Reading("can't tell", sentence, tied, best)
    if now >= COLLAPSED > then:
        sentence = (
            f"The preprocessing looks wrong: {percent(now)} of {count} get the same answer as it "
            f"is set now, {percent(then)} with “{best.candidate.names[0]}”. This is weak "
            "evidence, unless the images are all of one class; labels would decide."
        )
        return Reading("wrong", sentence, tied, best)
    if then >= COLLAPSED:
        sentence = (
            f"{percent(now)} of {count} get the same answer, and hardly fewer in any other way of "
            "preparing: something else is wrong, unless the images are all of one class."
        )
        return Reading("can't tell", sentence, tied, best)
    sentence = (
        f"The answers do not collapse on {count}. {NO_BATCHNORM} So only labels can say whether "
        "the preprocessing is right."
    )
    return Reading("can't tell", sentence, tied, best)
