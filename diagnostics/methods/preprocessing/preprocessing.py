"""Is the preprocessing right? Ranks the plausible ways of preparing images, never by confidence.

Evidence, the strongest there is: with labels, accuracy; with BatchNorm, how far the images lie from
the statistics that the network remembers of its training; else only whether the answers collapse.
"""

from __future__ import annotations

from dataclasses import asdict

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.context import Context, Outcome, Sample
from diagnostics.methods.preprocessing import _by_accuracy, _by_answers, _by_deviation
from diagnostics.methods.preprocessing._race import Race
from diagnostics.methods.preprocessing._reading import Reading
from diagnostics.methods.registry import method
from diagnostics.schema.results.preprocessing import (
    Evidence,
    PreprocessingAnswer,
    PreprocessingCandidate,
    PreprocessingCheck,
)
from diagnostics.schema.spec import Need

MIN_LABELLED = 8
READERS = {
    "accuracy": _by_accuracy.read,
    "batchnorm": _by_deviation.read,
    "answers": _by_answers.read,
}


@method(
    "Preprocessing",
    source="BatchNorm statistics: Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1; racing: "
    "Maron & Moore 1994, Hoeffding races",
)
def preprocessing(context: Context, *, brief: bool = False) -> Outcome[PreprocessingAnswer]:
    """Which of the plausible ways of preparing images fits this network best.

    Args:
        context: Gives the folder's images with their labels, or those in hand.
        brief: Try other ways only where the settings in force look wrong.

    Returns:
        A verdict in a sentence, the evidence it rests on, how many images, and every way tried.
    """
    check = check_preprocessing(context, brief=brief)
    return Outcome(PreprocessingAnswer(preprocessing=check, notes=context.remarks()))


def check_preprocessing(context: Context, *, brief: bool = False) -> PreprocessingCheck:
    """Rank the ways of preparing images.

    Args:
        context: Gives the folder's images, or those in hand where there is none.
        brief: Try other ways only where what BatchNorm remembers speaks against those in force.

    Returns:
        A verdict, and the candidates, the best first; suggested is of those that tie the plainest.
    """
    samples, evidence = _evidence(context)
    race = Race(context, samples, evidence)
    if not race.images:
        return PreprocessingCheck(
            verdict="can't tell",
            sentence="No image could be read.",
            evidence="",
            cause="",
            n=0,
            passes=0,
            candidates=[],
        )
    if brief and evidence == "batchnorm":
        race.try_current()
        if race.deviation(race.current) <= _by_deviation.SUSPICIOUS:
            return _check(race, evidence, _by_deviation.unsuspicious(race))
    race.try_others()
    return _check(race, evidence, READERS[evidence](race, context))


def _evidence(context: Context) -> tuple[list[Sample], Evidence]:
    """Return the images to look at, in their order, and what tells of them."""
    if context.has_in_distribution:
        samples = context.shuffled(context.in_distribution())
        labelled = [sample for sample in samples if sample.label != UNKNOWN]
        if len(labelled) >= MIN_LABELLED:
            return labelled, "accuracy"
    else:
        samples = context.samples()
    offers = context.classifier.spec.offers
    return samples, "batchnorm" if Need.BATCHNORM in offers else "answers"


def _check(race: Race, evidence: Evidence, reading: Reading) -> PreprocessingCheck:
    """Return what was read off the trials as the answer."""
    candidates = [
        PreprocessingCandidate(
            names=list(trial.candidate.names),
            preprocessing=asdict(trial.candidate.preprocessing),
            measure=race.measure(trial),
            tied=any(trial is tie for tie in reading.tied),
            suggested=trial is reading.suggested,
            mistake=trial.candidate.mistake,
            current=trial is race.current,
        )
        for trial in race.ranked()
    ]
    return PreprocessingCheck(
        verdict=reading.verdict,
        sentence=reading.sentence,
        evidence=evidence,
        cause=reading.cause,
        n=race.images,
        passes=race.passes,
        candidates=candidates,
    )
