"""Every score's place among in-distribution images, and which scores there are."""

from __future__ import annotations

from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from diagnostics.methods.ood._score import SCORES, Fitted, check, measure, why_not
from diagnostics.methods.registry import find, methods
from diagnostics.metrics.intervals import (
    conformal_threshold,
    counted,
    false_alarm_interval,
    flagged_ranks,
)
from diagnostics.models.features import Features
from diagnostics.reference.statistics import ADVISED_IMAGES, Reference
from diagnostics.schema.results.ood import (
    HIGHER,
    FalseAlarms,
    LeftOutScore,
    Placement,
    ScoreInfo,
    ScoreOverview,
)
from diagnostics.schema.spec import ModelSpec

PREFERRED = ("combined", "msp")


class OODDetector:
    """Scores images, and places the scores among those of the calibration images.

    Args:
        spec: Of the model.
        reference: What the model gives for in-distribution images; None leaves scores without a
            place.
    """

    def __init__(self, spec: ModelSpec, reference: Reference | None) -> None:
        self._spec, self.reference = spec, reference
        names = [method.info.id.partition("/")[2] for method in methods("score")]
        self.left_out = {name: why for name in names if (why := why_not(name, spec, reference))}
        self.names = tuple(name for name in names if name not in self.left_out)
        self._fitted = {} if reference is None else reference.fitted

    @property
    def exportable(self) -> tuple[str, ...]:
        """Names of the scores that a guard can ship: logits and features are all they read."""
        return tuple(name for name in self.names if SCORES[name].exportable)

    @property
    def default(self) -> str:
        """Name of the score that decides where a person chose none; empty when there is none."""
        return next((name for name in PREFERRED if name in self.names), "")

    def fitted(self, name: str) -> Fitted:
        """Return a score's statistics, fitted once."""
        fit = SCORES[name].fit
        if name not in self._fitted:
            fitted = fit(self.reference) if fit is not None and self.reference is not None else {}
            self._fitted[name] = fitted
        return self._fitted[name]

    def score(self, name: str, outputs: Features) -> NDArray[np.float64]:
        """Return a score of images, shape (n,); NaN where the network's numbers are not finite."""
        values = find(f"ood/{name}").function(outputs, self.fitted(name))
        check(values, outputs)
        scores: NDArray[np.float64] = values.double().numpy()
        return np.where(outputs.finite().numpy(), scores, np.nan)

    @cached_property
    def _calibration(self) -> dict[str, NDArray[np.float64]]:
        """Each score of the calibration images, in their order; empty without a reference."""
        if self.reference is None:
            return {}
        outputs = self.reference.calibration.outputs
        return {name: self.score(name, outputs) for name in self.names}

    @cached_property
    def calibration_scores(self) -> dict[str, NDArray[np.float64]]:
        """The same, sorted."""
        return {name: np.sort(scores) for name, scores in self._calibration.items()}

    @cached_property
    def smallest_p_values(self) -> NDArray[np.float64]:
        """Each calibration image's smallest p-value among the others by any score, sorted."""
        p_values = []
        for name, scores in self._calibration.items():
            below = np.searchsorted(self.calibration_scores[name], scores, "left")
            p_values.append((len(scores) - below) / len(scores))
        return np.sort(np.min(p_values, axis=0)) if p_values else np.empty(0)

    def threshold(self, name: str, alpha: float) -> float | None:
        """Return the score from which on an image is flagged; None where nothing ever is."""
        calibration = self.calibration_scores.get(name)
        if calibration is None:
            return None
        threshold = conformal_threshold(calibration, alpha)
        return threshold if np.isfinite(threshold) else None

    def place(self, name: str, value: float, alpha: float) -> Placement:
        """Return a score with its place among the calibration images.

        Args:
            name: The score.
            value: Its value.
            alpha: Share of in-distribution images that may be flagged.
        """
        calibration = self.calibration_scores.get(name)
        finite = bool(np.isfinite(value))
        count = 0 if calibration is None else len(calibration)
        placement = Placement(
            value=value if finite else None,
            percentile=None,
            p_value=None,
            n=count,
            direction=HIGHER,
            flagged=None,
        )
        if calibration is not None and finite:
            below = int(np.searchsorted(calibration, value, "left"))
            placement["percentile"] = 100 * below / count
            placement["p_value"] = (1 + count - below) / (count + 1)
            placement["flagged"] = count - below < flagged_ranks(count, alpha)
        return placement

    def false_alarms(self, alpha: float) -> FalseAlarms:
        """Return which share of in-distribution images is flagged, and how sure that is."""
        count = len(self.reference.calibration.labels) if self.reference else 0
        low, high = false_alarm_interval(count, alpha) if count else (0.0, 1.0)
        smallest = self.smallest_p_values
        return FalseAlarms(
            promised=alpha,
            low=low,
            high=high,
            n=count,
            scores=len(self.names),
            by_any=counted(int((smallest <= alpha).sum()), count) if len(smallest) else None,
            note=_note(count, alpha),
        )

    def overview(self, alpha: float) -> ScoreOverview:
        """Return what is to be known of all scores, also of those left out."""
        available = []
        for name in self.names:
            method = find(f"ood/{name}")
            info = method.info
            available.append(
                ScoreInfo(
                    method=info.id,
                    title=info.title,
                    summary=info.summary,
                    measure=measure(method.function),
                    blind=SCORES[name].blind,
                    source=info.source,
                    fitted=SCORES[name].fit is not None,
                    threshold=self.threshold(name, alpha),
                )
            )
        left_out = [
            LeftOutScore(method=f"ood/{name}", title=SCORES[name].title, reason=why)
            for name, why in self.left_out.items()
        ]
        default = self.default and f"ood/{self.default}"
        return ScoreOverview(default=default, available=available, left_out=left_out)


def _note(count: int, alpha: float) -> str:
    """Say what a promise cannot hold."""
    if not count:
        return "No known-good images were given, so no score can be called strange or usual."
    if flagged_ranks(count, alpha) == 0:
        needed = ceil(1 / alpha - 1e-9) - 1
        return (
            f"{count} images cannot promise {alpha:.3g}: no threshold flags so few, so nothing is "
            f"ever flagged; {needed} images to judge by, a folder of {2 * needed}, can."
        )
    if 2 * count < ADVISED_IMAGES:
        return f"With only {count} images to judge by, the rate is hardly known; add more."
    return ""
