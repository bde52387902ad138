"""Ways of preparing images race on ever more of them; what cannot win any more drops out.

After Maron and Moore 1994, Hoeffding races, with exact tests of pairs instead of bounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data.image import Decoded
from diagnostics.methods.context import Context, Sample
from diagnostics.metrics.accuracy import sign_test
from diagnostics.models.batchnorm import RunningStatistics, capture_moments, running_statistics
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.candidates import (
    Candidate,
    fitted,
    measured,
    merged,
    scalings,
    turned,
)
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.preprocessing import Evidence
from diagnostics.text import counted

FIRST = 32  # images that every way is tried on
USUAL_WAYS = 30
FINGERPRINTED = 8  # images by whose pixels ways are told apart
TURNED = 3  # best scalings whose channel order and polarity are tried
MIN_GAIN = 0.10  # of accuracy, below which one way is not worth another
SIGNIFICANCE = 0.01  # of a sign test, one-sided
FEW_RIGHT = 0.8  # below which other causes need images of every class
PER_CLASS = 16  # images for that
FAR = 1e6  # stands for a deviation that is no number


@dataclass
class Trial:
    """What a network made of the images so far, prepared in one way.

    Args:
        candidate: The way.
        predicted: Index of each image's first class, shape (n,).
        moments: Mean and mean square of the first images' BatchNorm inputs, shape (m, 2, channels);
            no channels without BatchNorm.
        logits: Of every image, for the way that is set now only.
    """

    candidate: Candidate
    predicted: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    moments: list[NDArray[np.float32]] = field(default_factory=list)
    logits: list[NDArray[np.float32]] = field(default_factory=list)


class Race:
    """Tries ways of preparing on images, and measures them by the evidence there is.

    Args:
        context: Gives the classifier, whose settings are those in force.
        samples: In the order in which they are looked at.
        evidence: What the ways are measured by.
    """

    def __init__(self, context: Context, samples: Sequence[Sample], evidence: Evidence) -> None:
        self._context, self._total = context, len(samples)
        self._images: Iterator[tuple[Sample, Decoded]] = context.decoded(samples)
        self._evidence = evidence
        self._known: set[tuple[str, object]] = set()
        self._seen: list[Sample] = []
        self._first = self._take(FIRST)
        self.labels = np.array([sample.label for sample, _ in self._first], np.intp)
        self.running: RunningStatistics = running_statistics(context.classifier.network)
        self.trials: list[Trial] = []
        self.passes = 0
        self._done = 0.0

    @property
    def current(self) -> Trial:
        """The way that is set now."""
        return self.trials[0]

    @property
    def first(self) -> list[Decoded]:
        """The images that every way was tried on."""
        return [image for _, image in self._first]

    @property
    def images(self) -> int:
        """How many images were looked at."""
        return len(self.labels)

    def try_current(self) -> None:
        """Try the way that is set now on the first images, and no other."""
        self._add(scalings(self._context.preprocessing, self._context.preprocessing)[:1])

    def try_others(self) -> None:
        """Try every plausible way on the first images, and those that may win on all."""
        current = self._context.preprocessing
        published = self._context.classifier.spec.preprocessing
        ways = scalings(current, published)
        if self._evidence == "accuracy":
            ways += self._measured(current)
        self._add(merged(ways))
        best = [trial.candidate for trial in self.ranked()[:TURNED]]
        bases = merged([self.current.candidate, *best])
        self._add(merged([turn for base in bases for turn in turned(base)]))
        plausible = next(trial.candidate for trial in self.ranked() if not trial.candidate.mistake)
        bases = merged([self.current.candidate, plausible])
        self._add(merged([fit for base in bases for fit in fitted(base)]))
        if self._evidence == "accuracy":
            self._go_on()

    def ranked(self) -> list[Trial]:
        """Return the trials, the best measure first and, of equals, the plainest."""
        sign = -1 if self._evidence == "accuracy" else 1
        return sorted(self.trials, key=lambda trial: sign * self.measure(trial))

    def measure(self, trial: Trial) -> float:
        """Return accuracy, deviation, or the share of the most frequent answer."""
        if self._evidence == "accuracy":
            return self.accuracy(trial)
        if self._evidence == "batchnorm":
            return self.deviation(trial)
        return float(np.bincount(trial.predicted).max()) / len(trial.predicted)

    def accuracy(self, trial: Trial) -> float:
        """Return which share of its images is answered right."""
        return float(self.right(trial).mean())

    def right(self, trial: Trial) -> NDArray[np.bool_]:
        """Return which of its images are answered right, shape (n,)."""
        found: NDArray[np.bool_] = trial.predicted == self.labels[: len(trial.predicted)]
        return found

    def deviation(self, trial: Trial, rows: NDArray[np.intp] | None = None) -> float:
        """Return how far the first images together lie from what BatchNorm remembers."""
        moments = np.concatenate(trial.moments).astype(np.float64)
        mean, square = (moments if rows is None else moments[rows]).mean(0)
        running = self.running
        variance = np.maximum(square - mean**2, 0)
        shift = np.abs(mean - running.mean) / np.sqrt(running.variance)
        spread = np.abs(np.log((variance + running.eps) / running.variance))
        distances = np.nan_to_num(shift + spread, nan=FAR, posinf=FAR)
        return float((distances * running.share).sum())

    def wins(self, one: Trial, other: Trial) -> bool:
        """Say whether one is right clearly more often, and by enough to matter."""
        first, second = self._paired(one, other)
        gain = float(first.mean() - second.mean())
        return gain >= MIN_GAIN and sign_test(first, second) < SIGNIFICANCE

    def ties(self, one: Trial, best: Trial, significance: float) -> bool:
        """Say whether the images cannot tell a way from the best one."""
        first, second = self._paired(best, one)
        return sign_test(first, second) >= significance

    def complete(self, trial: Trial) -> None:
        """Try a way that dropped out on the images that it missed, so that figures compare."""
        missed = self._seen[len(trial.predicted) :]
        if missed:
            self._extend(trial, list(self._context.decoded(missed)))

    def leader(self, among: Sequence[Trial]) -> Trial:
        """Return the best of some ways: of those tried on all images, where there is one."""
        all_seen = [trial for trial in among if len(trial.predicted) == self.images]
        return max(all_seen or among, key=self.accuracy)

    def _go_on(self) -> None:
        """Look at ever more images until every way is decided."""
        while block := self._take(self.images if self._undecided() else self._missing()):
            running = [*self._undecided(), self.current, self.leader(self.trials)]
            labels = [sample.label for sample, _ in block]
            self.labels = np.concatenate([self.labels, np.array(labels, np.intp)])
            unique = list({id(trial): trial for trial in running}.values())
            for index, trial in enumerate(unique):
                left = (len(unique) - index) * len(block)
                self._report(len(unique), left + len(unique) * (self._total - self.images))
                self._extend(trial, block)

    def _undecided(self) -> list[Trial]:
        """Return the ways of which it is open how they stand to the best or to the current one."""
        best = self.leader(self.trials)
        return [
            trial
            for trial in self._running()
            if not (self._is_settled(trial, best) and self._is_settled(trial, self.current))
        ]

    def _running(self) -> list[Trial]:
        """Return the ways that were tried on all images so far."""
        return [trial for trial in self.trials if len(trial.predicted) == self.images]

    def _is_settled(self, one: Trial, other: Trial) -> bool:
        """Say whether one is clearly better, or neither can be better by enough to matter."""
        if one is other:
            return True
        first, second = self._paired(one, other)
        if min(sign_test(first, second), sign_test(second, first)) < SIGNIFICANCE:
            return True
        from scipy.special import bdtr

        wins, losses = int((first & ~second).sum()), int((second & ~first).sum())
        return bool(bdtr(max(wins, losses), len(first), MIN_GAIN) < SIGNIFICANCE)

    def _missing(self) -> int:
        """Return how many more images other causes need, where few are answered right."""
        if self.accuracy(self.current) >= FEW_RIGHT:
            return 0
        classes = len(self._context.classifier.spec.class_names)
        return max(0, min(self.images, PER_CLASS * classes - self.images))

    def _paired(self, one: Trial, other: Trial) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        count = min(len(one.predicted), len(other.predicted))
        return self.right(one)[:count], self.right(other)[:count]

    def _measured(self, current: Preprocessing) -> list[Candidate]:
        pipeline = Pipeline(current)
        pixels = np.stack([pipeline.run(image) for _, image in self._first]).astype(np.float64)
        mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
        return measured(current, tuple(map(float, mean)), tuple(map(float, std)))

    def _take(self, count: int) -> list[tuple[Sample, Decoded]]:
        taken = list(islice(self._images, count))
        self._seen += [sample for sample, _ in taken]
        return taken

    def _add(self, candidates: Sequence[Candidate]) -> None:
        """Try candidates on the first images, those left out that feed the network the same."""
        for index, candidate in enumerate(candidates):
            ways = len(self.trials) + len(candidates) - index
            left = max(len(candidates) - index, USUAL_WAYS - len(self.trials))
            self._report(ways, left * len(self._first))
            key = self._fingerprint(candidate.preprocessing)
            if key not in self._known:
                self._known.add(key)
                trial = Trial(candidate)
                self.trials.append(trial)
                self._extend(trial, self._first)

    def _fingerprint(self, settings: Preprocessing) -> tuple[str, object]:
        pipeline = Pipeline(settings)
        digest = hashlib.sha256()
        for _, image in self._first[:FINGERPRINTED]:
            digest.update(pipeline.run(image).tobytes())
        fed = (settings.bgr, settings.value_range, settings.mean, settings.std)
        return digest.hexdigest(), fed

    def _report(self, ways: int, ahead: int) -> None:
        """Report which share is done of the passes so far and of those that may lie ahead."""
        images = counted(max(self.images, 1), "image")
        of_all = f" of {self._total:,}" if self._total > self.images else ""
        activity = f"Trying {counted(ways, 'way', 'ways')} of preparing on {images}{of_all}"
        self._done = max(self._done, self.passes / max(self.passes + ahead, 1))
        self._context.progress(activity, self._done)

    @torch.no_grad()
    def _extend(self, trial: Trial, block: Sequence[tuple[Sample, Decoded]]) -> None:
        """Let the network see more images, prepared in a trial's way."""
        bare, pipeline = self._context.classifier, Pipeline(trial.candidate.preprocessing)
        classifier = TorchClassifier(bare.network, bare.spec, trial.candidate.preprocessing)
        predicted = [trial.predicted]
        step = batch_size(classifier)
        keeps_moments = not len(trial.predicted)
        for start in range(0, len(block), step):
            images = [image for _, image in block[start : start + step]]
            pixels = torch.from_numpy(np.stack([pipeline.run(image) for image in images]))
            with capture_moments(bare.network, len(images)) as captured:
                logits = classifier.logits(pixels.to(bare.device)).float().cpu()
            predicted.append(logits.nan_to_num(-torch.inf).argmax(1).numpy())
            if keeps_moments:
                trial.moments.append(captured().float().numpy())
            if trial is self.current:
                trial.logits.append(logits.numpy())
            self.passes += len(images)
        trial.predicted = np.concatenate(predicted)
