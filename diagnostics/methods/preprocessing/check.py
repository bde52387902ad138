"""Is the preprocessing right? Ranks the plausible ways of preparing images, never by confidence.

Evidence, the strongest there is: with labels, accuracy; with BatchNorm, how far the images lie from
the statistics that the network remembers of its training; else only whether the answers collapse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import Decoded
from diagnostics.methods.context import Context
from diagnostics.models.batchnorm import capture_moments, running_statistics
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.candidates import Candidate, fitted, merged, scalings, turned
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.spec import Need

SHOWN = 4
MOST = 16  # images that are looked at
LEAST_LABELLED, LEAST_COLLAPSE = 8, 8
RESAMPLES = 200
TIED = 0.02  # of resamples in which another candidate comes first
SINGLE = 1.5  # times the best deviation that one image alone can tell
NEAR = 1.10
CHANCE = 0.05
COLLAPSED = 0.9  # of the images get the same answer
TURNED = 3  # best scalings whose channel order and polarity are tried


@dataclass
class Tried:
    """What a network made of images prepared in one way.

    Args:
        candidate: The way.
        said: Index of each image's first class, shape (n,).
        moments: Mean and mean square of each image's BatchNorm inputs, shape (n, 2, channels);
            no channels without BatchNorm.
    """

    candidate: Candidate
    said: NDArray[np.intp]
    moments: NDArray[np.float64]


def examine(context: Context) -> dict[str, Any]:
    """Rank the ways of preparing images, as JSON.

    Args:
        context: Gives the folder's images, or those in hand where there is none.

    Returns:
        "verdict": "fine", "wrong" or "can't tell"; a "sentence"; the kind of "evidence"; "n";
        "candidates", the best first, each with its settings, its measure, whether it ties with the
        best one, and whether it is the one suggested: of those that tie, the plainest.
    """
    pictures = (
        context.shuffled(context.in_distribution())[:MOST]
        if context.has_in_distribution
        else context.samples()[:MOST]
    )
    decoded = list(context.decoded(pictures))
    if not decoded:
        return _unsaid("No image could be read.")
    images = [image for _, image in decoded]
    labels = np.array([picture.label for picture, _ in decoded])
    return _Examined(context, images, labels).outcome()


class _Examined:
    """One examination."""

    def __init__(self, context: Context, images: list[Decoded], labels: NDArray[np.intp]) -> None:
        self._study, self._images, self._labels = context, images, labels
        classifier = context.classifier
        self._known = labels != UNKNOWN
        self._remembered = running_statistics(classifier.network)
        if self._known.sum() >= LEAST_LABELLED:
            self.evidence = "accuracy"
        elif Need.BATCHNORM in classifier.spec.offers:
            self.evidence = "batchnorm"
        else:
            self.evidence = "answers"
        current, published = context.preprocessing, classifier.spec.preprocessing
        self._current = current
        tried = self._try(scalings(current, published), "scaling")
        best = [one.candidate for one in self._ranked(tried)[:TURNED]]
        first = tried[0].candidate
        more = [turn for base in merged([first, *best]) for turn in turned(base)]
        tried += self._try(_fresh(more, tried), "channel order and polarity")
        plausible = [one.candidate for one in self._ranked(tried) if not one.candidate.mistake]
        tried += self._try(_fresh(fitted(plausible[0]), tried), "size")
        self._order = [one.candidate for one in tried]  # the plainest ways come first
        self._tried = self._ranked(tried)

    def outcome(self) -> dict[str, Any]:
        """Return the examination as JSON."""
        tied = self._tied()
        likely = [one for one in self._order if one in tied and not one.mistake]
        suggested = (likely or [self._tried[0].candidate])[0]
        if self.evidence == "answers":
            suggested = self._tried[0].candidate
        rows = [
            {
                "names": list(one.candidate.names),
                "preprocessing": asdict(one.candidate.preprocessing),
                "measure": float(self._measure(one)),
                "tied": one.candidate in tied,
                "suggested": one.candidate == suggested,
                "mistake": one.candidate.mistake,
                "current": one.candidate.preprocessing == self._current,
            }
            for one in self._tried
        ]
        current = next(row for row in rows if row["current"])
        verdict, sentence = self._verdict(rows, current)
        return {
            "verdict": verdict,
            "sentence": sentence,
            "evidence": self.evidence,
            "n": len(self._images),
            "candidates": rows,
        }

    def _verdict(self, rows: list[dict[str, Any]], current: dict[str, Any]) -> tuple[str, str]:
        count = f"{len(self._images)} image{'' if len(self._images) == 1 else 's'}"
        best = next(row for row in rows if row["suggested"])
        ties = [row["names"][0] for row in rows if row["tied"] and not row["current"]]
        also = f" These cannot tell it from: {_listed(ties)}." if ties else ""
        name, own, other = best["names"][0], current["measure"], best["measure"]
        if self.evidence == "answers":
            return self._by_answers(current, best, count)
        if self.evidence == "accuracy":
            figures = f"{100 * own:.0f} % right as it is set now, {100 * other:.0f} % with “{name}”"
        else:
            figures = f"deviation {own:.2f} as it is set now, {other:.2f} with “{name}”"
        if current["tied"]:
            said = f"Nothing better was found on {count} ({self._own(own)}).{also}"
            return "fine", said
        ties = [name for name in ties if name != best["names"][0]]
        also = f" These cannot tell that from: {_listed(ties)}." if ties else ""
        return "wrong", f"The preprocessing looks wrong: {figures}, on {count}.{also}"

    def _own(self, value: float) -> str:
        if self.evidence == "accuracy":
            return f"{100 * value:.0f} % right"
        return f"deviation {value:.2f} from what BatchNorm remembers"

    def _by_answers(
        self, current: dict[str, Any], best: dict[str, Any], count: str
    ) -> tuple[str, str]:
        if len(self._images) < LEAST_COLLAPSE:
            return "can't tell", (
                "This network has no BatchNorm, so only labels, or a folder of "
                f"{LEAST_COLLAPSE} images or more, can say whether the preprocessing is right."
            )
        if current["measure"] >= COLLAPSED > best["measure"]:
            now, other = (f"{100 * one['measure']:.0f} %" for one in (current, best))
            return "wrong", (
                f"The preprocessing looks wrong: {now} of {count} get the same answer as it is set "
                f"now, {other} with “{best['names'][0]}”. This is weak evidence, "
                "unless the images are all of one class; labels would decide."
            )
        return "can't tell", (
            f"The answers do not collapse on {count}, and this network has no BatchNorm; only "
            "labels can say whether the preprocessing is right."
        )

    def _try(self, candidates: Sequence[Candidate], what: str) -> list[Tried]:
        found = []
        for place, candidate in enumerate(candidates):
            self._study.progress(f"Trying the preprocessing: {what}", place / len(candidates))
            found.append(self._asked(candidate))
        return found

    @torch.no_grad()
    def _asked(self, candidate: Candidate) -> Tried:
        own, pipeline = self._study.classifier, Pipeline(candidate.preprocessing)
        classifier = TorchClassifier(own.network, own.spec, candidate.preprocessing)
        said, moments = [], []
        step = batch_size(own)
        for start in range(0, len(self._images), step):
            made = np.stack([pipeline.run(one) for one in self._images[start : start + step]])
            with capture_moments(own.network, len(made)) as noted:
                logits = classifier.logits(torch.from_numpy(made).to(own.device))
            said.append(logits.nan_to_num(-torch.inf).argmax(1).cpu())
            moments.append(noted())
        return Tried(candidate, torch.cat(said).numpy(), torch.cat(moments).double().numpy())

    def _ranked(self, tried: list[Tried]) -> list[Tried]:
        sign = -1 if self.evidence == "accuracy" else 1
        return sorted(tried, key=lambda one: sign * self._measure(one))

    def _measure(self, one: Tried) -> float:
        """Return accuracy, deviation, or the share of the most frequent answer."""
        if self.evidence == "accuracy":
            return float((one.said == self._labels)[self._known].mean())
        if self.evidence == "batchnorm":
            return self._deviation(one, np.arange(len(self._images)))
        return max(Counter(one.said.tolist()).values()) / len(one.said)

    def _deviation(self, one: Tried, rows: NDArray[np.intp]) -> float:
        """Return how far images together lie from what BatchNorm remembers."""
        mean, square = one.moments[rows].mean(0)
        running_mean, running_var, share = self._remembered
        variance = np.maximum(square - mean**2, 0)
        shift = np.abs(mean - running_mean) / np.sqrt(running_var)
        spread = np.abs(np.log((variance + 1e-5) / running_var))
        return float(((shift + spread) * share).sum())

    def _tied(self) -> set[Candidate]:
        """Return the candidates that the images cannot tell from the best one."""
        plausible = [one for one in self._tried if not one.candidate.mistake]
        best, count = plausible[0], len(self._images)
        if self.evidence == "accuracy":
            right = [(one.said == self._labels)[self._known] for one in self._tried]
            mine = (best.said == self._labels)[self._known]
            return {
                one.candidate
                for one, own in zip(self._tried, right, strict=True)
                if not _clearly(mine, own)
            }
        if self.evidence == "answers":
            return {one.candidate for one in self._tried if self._measure(one) < COLLAPSED}
        limit = self._measure(best) * (SINGLE if count < LEAST_COLLAPSE else NEAR)
        random = np.random.default_rng(self._study.seed)
        draws = [random.integers(0, count, count) for _ in range(RESAMPLES)]
        lowest = np.array([self._deviation(best, rows) for rows in draws])
        tied = set()
        for one in self._tried:
            own = np.array([self._deviation(one, rows) for rows in draws])
            if self._measure(one) <= limit or (own <= lowest).mean() > TIED:
                tied.add(one.candidate)
        return tied


def _clearly(better: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Say whether one is right more often than chance explains: a one-sided sign test."""
    wins, losses = int((better & ~other).sum()), int((other & ~better).sum())
    draws = wins + losses
    chances = sum(comb(draws, hits) for hits in range(wins, draws + 1))
    return draws > 0 and chances / 2**draws < CHANCE


def _listed(names: Sequence[str]) -> str:
    shown = "; ".join(names[:SHOWN])
    return f"{shown}; and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _fresh(candidates: list[Candidate], tried: list[Tried]) -> list[Candidate]:
    known = {one.candidate.preprocessing for one in tried}
    return [one for one in merged(candidates) if one.preprocessing not in known]


def _unsaid(sentence: str) -> dict[str, Any]:
    nothing: list[dict[str, Any]] = []
    return {
        "verdict": "can't tell",
        "sentence": sentence,
        "evidence": "",
        "n": 0,
        "candidates": nothing,
    }
