"""Is the preprocessing right? Ranks the plausible ways of preparing images, never by confidence.

Evidence, the strongest there is: with labels, accuracy; with BatchNorm, how far the images lie from
the statistics that the network remembers of its training; else only whether the answers collapse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import Decoded
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.models.batchnorm import capture_moments, running_statistics
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.candidates import Candidate, fitted, merged, scalings, turned
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.results.preprocessing import (
    Evidence,
    PreprocessingAnswer,
    PreprocessingCandidate,
    PreprocessingCheck,
    Verdict,
)
from diagnostics.schema.spec import Need
from diagnostics.text import counted

MAX_NAMES = 4  # of ties in a sentence
MAX_IMAGES = 16
MIN_LABELLED, MIN_IMAGES_FOR_COLLAPSE = 8, 8
RESAMPLES = 200
TIED = 0.02  # of resamples in which another candidate comes first
SINGLE = 1.5  # times the best deviation that one image alone can tell
NEAR = 1.10
SIGNIFICANCE = 0.05
COLLAPSED = 0.9  # of the images get the same answer
TURNED = 3  # best scalings whose channel order and polarity are tried


@method(
    "Preprocessing",
    source="BatchNorm statistics: Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1",
)
def preprocessing(context: Context) -> Outcome[PreprocessingAnswer]:
    """Which of the plausible ways of preparing images fits this network best.

    Args:
        context: Gives the folder's images with their labels, or those in hand.

    Returns:
        A verdict in a sentence, the evidence it rests on, how many images, and every way tried.
    """
    check = check_preprocessing(context)
    return Outcome(PreprocessingAnswer(preprocessing=check, notes=context.remarks()))


def check_preprocessing(context: Context) -> PreprocessingCheck:
    """Rank the ways of preparing images.

    Args:
        context: Gives the folder's images, or those in hand where there is none.

    Returns:
        A verdict, and the candidates, the best first; suggested is of those that tie the plainest.
    """
    samples = (
        context.shuffled(context.in_distribution())
        if context.has_in_distribution
        else context.samples()
    )
    decoded = list(context.decoded(samples[:MAX_IMAGES]))
    if not decoded:
        return PreprocessingCheck(
            verdict="can't tell",
            sentence="No image could be read.",
            evidence="",
            n=0,
            candidates=[],
        )
    images = [image for _, image in decoded]
    labels = np.array([sample.label for sample, _ in decoded])
    return _Check(context, images, labels).result()


@dataclass
class Trial:
    """What a network made of images prepared in one way.

    Args:
        candidate: The way.
        predicted: Index of each image's first class, shape (n,).
        moments: Mean and mean square of each image's BatchNorm inputs, shape (n, 2, channels);
            no channels without BatchNorm.
    """

    candidate: Candidate
    predicted: NDArray[np.intp]
    moments: NDArray[np.float64]


class _Check:
    """One check: tries the candidates on the images, and ranks them by the evidence there is."""

    def __init__(self, context: Context, images: list[Decoded], labels: NDArray[np.intp]) -> None:
        self._context, self._images, self._labels = context, images, labels
        classifier = context.classifier
        self._labelled = labels != UNKNOWN
        self._running = running_statistics(classifier.network)
        self._evidence: Evidence = "answers"
        if self._labelled.sum() >= MIN_LABELLED:
            self._evidence = "accuracy"
        elif Need.BATCHNORM in classifier.spec.offers:
            self._evidence = "batchnorm"
        current, published = context.preprocessing, classifier.spec.preprocessing
        self._current = current
        trials = self._try_all(scalings(current, published), "scaling")
        best = [trial.candidate for trial in self._ranked(trials)[:TURNED]]
        first = trials[0].candidate
        turns = [turn for base in merged([first, *best]) for turn in turned(base)]
        trials += self._try_all(_untried(turns, trials), "channel order and polarity")
        plausible = [
            trial.candidate for trial in self._ranked(trials) if not trial.candidate.mistake
        ]
        trials += self._try_all(_untried(fitted(plausible[0]), trials), "size")
        self._plainest_first = [trial.candidate for trial in trials]
        self._trials = self._ranked(trials)

    def result(self) -> PreprocessingCheck:
        """Return the verdict and the candidates."""
        tied = self._tied()
        likely = [one for one in self._plainest_first if one in tied and not one.mistake]
        suggested = (likely or [self._trials[0].candidate])[0]
        if self._evidence == "answers":
            suggested = self._trials[0].candidate
        candidates = [
            PreprocessingCandidate(
                names=list(trial.candidate.names),
                preprocessing=asdict(trial.candidate.preprocessing),
                measure=float(self._measure(trial)),
                tied=trial.candidate in tied,
                suggested=trial.candidate == suggested,
                mistake=trial.candidate.mistake,
                current=trial.candidate.preprocessing == self._current,
            )
            for trial in self._trials
        ]
        verdict, sentence = self._verdict(candidates)
        return PreprocessingCheck(
            verdict=verdict,
            sentence=sentence,
            evidence=self._evidence,
            n=len(self._images),
            candidates=candidates,
        )

    def _verdict(self, candidates: list[PreprocessingCandidate]) -> tuple[Verdict, str]:
        count = counted(len(self._images), "image")
        current = next(one for one in candidates if one["current"])
        best = next(one for one in candidates if one["suggested"])
        if self._evidence == "answers":
            return self._verdict_by_collapse(current, best, count)
        ties = [one["names"][0] for one in candidates if one["tied"] and not one["current"]]
        if current["tied"]:
            also = f" These cannot tell it from: {_listed(ties)}." if ties else ""
            fit = self._fit_in_words(current["measure"])
            return "fine", f"Nothing better was found on {count} ({fit}).{also}"
        name, now, then = best["names"][0], current["measure"], best["measure"]
        if self._evidence == "accuracy":
            figures = f"{100 * now:.0f} % right as it is set now, {100 * then:.0f} % with “{name}”"
        else:
            figures = f"deviation {now:.2f} as it is set now, {then:.2f} with “{name}”"
        ties = [tie for tie in ties if tie != name]
        also = f" These cannot tell that from: {_listed(ties)}." if ties else ""
        return "wrong", f"The preprocessing looks wrong: {figures}, on {count}.{also}"

    def _fit_in_words(self, measure: float) -> str:
        if self._evidence == "accuracy":
            return f"{100 * measure:.0f} % right"
        return f"deviation {measure:.2f} from what BatchNorm remembers"

    def _verdict_by_collapse(
        self, current: PreprocessingCandidate, best: PreprocessingCandidate, count: str
    ) -> tuple[Verdict, str]:
        if len(self._images) < MIN_IMAGES_FOR_COLLAPSE:
            return "can't tell", (
                "This network has no BatchNorm, so only labels, or a folder of "
                f"{MIN_IMAGES_FOR_COLLAPSE} images or more, can say whether the preprocessing is "
                "right."
            )
        if current["measure"] >= COLLAPSED > best["measure"]:
            now, then = (f"{100 * one['measure']:.0f} %" for one in (current, best))
            return "wrong", (
                f"The preprocessing looks wrong: {now} of {count} get the same answer as it is set "
                f"now, {then} with “{best['names'][0]}”. This is weak evidence, "
                "unless the images are all of one class; labels would decide."
            )
        return "can't tell", (
            f"The answers do not collapse on {count}, and this network has no BatchNorm; only "
            "labels can say whether the preprocessing is right."
        )

    def _try_all(self, candidates: Sequence[Candidate], what: str) -> list[Trial]:
        trials = []
        for index, candidate in enumerate(candidates):
            self._context.progress(f"Trying the preprocessing: {what}", index / len(candidates))
            trials.append(self._try(candidate))
        return trials

    @torch.no_grad()
    def _try(self, candidate: Candidate) -> Trial:
        bare, pipeline = self._context.classifier, Pipeline(candidate.preprocessing)
        classifier = TorchClassifier(bare.network, bare.spec, candidate.preprocessing)
        predicted, moments = [], []
        step = batch_size(classifier)
        for start in range(0, len(self._images), step):
            images = self._images[start : start + step]
            pixels = torch.from_numpy(np.stack([pipeline.run(image) for image in images]))
            with capture_moments(bare.network, len(images)) as captured:
                logits = classifier.logits(pixels.to(bare.device))
            predicted.append(logits.nan_to_num(-torch.inf).argmax(1).cpu())
            moments.append(captured())
        return Trial(candidate, torch.cat(predicted).numpy(), torch.cat(moments).double().numpy())

    def _ranked(self, trials: list[Trial]) -> list[Trial]:
        sign = -1 if self._evidence == "accuracy" else 1
        return sorted(trials, key=lambda trial: sign * self._measure(trial))

    def _measure(self, trial: Trial) -> float:
        """Return accuracy, deviation, or the share of the most frequent answer."""
        if self._evidence == "accuracy":
            return float(self._correct(trial).mean())
        if self._evidence == "batchnorm":
            return self._deviation(trial, np.arange(len(self._images)))
        return max(Counter(trial.predicted.tolist()).values()) / len(trial.predicted)

    def _correct(self, trial: Trial) -> NDArray[np.bool_]:
        """Return whether each labelled image is predicted right."""
        correct: NDArray[np.bool_] = (trial.predicted == self._labels)[self._labelled]
        return correct

    def _deviation(self, trial: Trial, rows: NDArray[np.intp]) -> float:
        """Return how far images together lie from what BatchNorm remembers."""
        mean, square = trial.moments[rows].mean(0)
        running = self._running
        variance = np.maximum(square - mean**2, 0)
        shift = np.abs(mean - running.mean) / np.sqrt(running.variance)
        spread = np.abs(np.log((variance + 1e-5) / running.variance))
        return float(((shift + spread) * running.share).sum())

    def _tied(self) -> set[Candidate]:
        """Return the candidates that the images cannot tell from the best one."""
        trials = self._trials
        best = next(trial for trial in trials if not trial.candidate.mistake)
        if self._evidence == "accuracy":
            correct = self._correct(best)
            tied = [one for one in trials if not _clearly_better(correct, self._correct(one))]
        elif self._evidence == "batchnorm":
            tied = self._tied_by_deviation(best)
        else:
            tied = [trial for trial in trials if self._measure(trial) < COLLAPSED]
        return {trial.candidate for trial in tied}

    def _tied_by_deviation(self, best: Trial) -> list[Trial]:
        """Return what lies near the best, or before it in some resamples of the images."""
        count = len(self._images)
        limit = self._measure(best) * (SINGLE if count < MIN_IMAGES_FOR_COLLAPSE else NEAR)
        random = np.random.default_rng(self._context.seed)
        resamples = [random.integers(0, count, count) for _ in range(RESAMPLES)]
        best_deviations = np.array([self._deviation(best, rows) for rows in resamples])

        def comes_first(trial: Trial) -> float:
            deviations = np.array([self._deviation(trial, rows) for rows in resamples])
            return float((deviations <= best_deviations).mean())

        return [
            trial
            for trial in self._trials
            if self._measure(trial) <= limit or comes_first(trial) > TIED
        ]


def _clearly_better(better: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Say whether one is right more often than chance explains: a one-sided sign test."""
    wins, losses = int((better & ~other).sum()), int((other & ~better).sum())
    draws = wins + losses
    chances = sum(comb(draws, hits) for hits in range(wins, draws + 1))
    return draws > 0 and chances / 2**draws < SIGNIFICANCE


def _listed(names: Sequence[str]) -> str:
    shown = "; ".join(names[:MAX_NAMES])
    more = len(names) - MAX_NAMES
    return f"{shown}; and {more} more" if more > 0 else shown


def _untried(candidates: list[Candidate], trials: list[Trial]) -> list[Candidate]:
    settings = {trial.candidate.preprocessing for trial in trials}
    return [one for one in merged(candidates) if one.preprocessing not in settings]
