"""Is this image strange: every score's place among known-good images, never an average of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.ood._score import SCORES, check, why_not
from diagnostics.methods.registry import find, methods
from diagnostics.metrics.intervals import false_alarm_interval, flagged_ranks
from diagnostics.models.features import Features
from diagnostics.reference.statistics import ADVISED_IMAGES, Reference
from diagnostics.schema.spec import ModelSpec

HIGHER = "higher is stranger"
PREFERRED = ("combined", "msp")


class OODDetector:
    """Scores images, and says how strange that is among the calibration images.

    Args:
        spec: Of the model.
        reference: What was measured on known-good images; None leaves scores without a place.
    """

    def __init__(self, spec: ModelSpec, reference: Reference | None) -> None:
        self._spec, self.reference = spec, reference
        known = [one.info.id.partition("/")[2] for one in methods("score")]
        self.left_out = {name: why for name in known if (why := why_not(name, spec, reference))}
        self.names = tuple(name for name in known if name not in self.left_out)
        self._fitted: dict[str, Mapping[str, Tensor]] = {}

    @property
    def exportable(self) -> tuple[str, ...]:
        """Names of the scores that a guard can ship: logits and features are all they read."""
        return tuple(name for name in self.names if SCORES[name].exportable)

    @property
    def default(self) -> str:
        """Name of the score that decides where a person chose none; empty when there is none."""
        return next((name for name in PREFERRED if name in self.names), "")

    def fitted(self, name: str) -> Mapping[str, Tensor]:
        """Return a score's statistics, fitted once."""
        fit = SCORES[name].fit
        if name not in self._fitted:
            fitted = fit(self.reference) if fit is not None and self.reference is not None else {}
            self._fitted[name] = fitted
        return self._fitted[name]

    def score(self, name: str, seen: Features) -> NDArray[np.float64]:
        """Return a score of images, shape (n,); NaN where the network's numbers are not finite."""
        values = find(f"ood/{name}").function(seen, self.fitted(name))
        check(values, seen)
        found: NDArray[np.float64] = values.double().numpy()
        return np.where(seen.finite().numpy(), found, np.nan)

    @cached_property
    def calibrated(self) -> dict[str, NDArray[np.float64]]:
        """Each score of the calibration images, sorted; empty without a reference."""
        if self.reference is None:
            return {}
        seen, found = self.reference.calibration.outputs, {}
        for name in self.names:
            fitted = self.fitted(name).get("calibrated")
            found[name] = np.sort(self.score(name, seen) if fitted is None else fitted.numpy())
        return found

    def threshold(self, name: str, alpha: float) -> float | None:
        """Return the score from which on an image is flagged; None where nothing ever is."""
        known = self.calibrated.get(name)
        if known is None:
            return None
        flagged = flagged_ranks(len(known), alpha)
        return float(np.nextafter(known[len(known) - flagged], np.inf)) if flagged else None

    def placed(self, name: str, value: float, alpha: float) -> dict[str, Any]:
        """Return a score with its place among the calibration images, as JSON.

        Args:
            name: The score.
            value: Its value.
            alpha: Share of known-good images that may be flagged.
        """
        known = self.calibrated.get(name)
        finite = bool(np.isfinite(value))
        entry = {
            "value": value if finite else None,
            "percentile": None,
            "p_value": None,
            "n": 0 if known is None else len(known),
            "direction": HIGHER,
            "flagged": None,
        }
        if known is None or not finite:
            return entry
        below = int(np.searchsorted(known, value, "left"))
        p_value = (1 + len(known) - below) / (len(known) + 1)
        percentile = 100 * below / len(known)
        return entry | {
            "percentile": percentile,
            "p_value": p_value,
            "flagged": len(known) - below < flagged_ranks(len(known), alpha),
        }

    def promise(self, alpha: float) -> dict[str, Any]:
        """Return which share of known-good images is flagged, and how sure that is, as JSON."""
        count = len(self.reference.calibration.labels) if self.reference else 0
        low, high = false_alarm_interval(count, alpha) if count else (0.0, 1.0)
        return {
            "promised": alpha,
            "low": low,
            "high": high,
            "n": count,
            "note": _note(count, alpha),
        }

    def described(self, alpha: float) -> dict[str, Any]:
        """Return what is said of all scores at once, as JSON."""
        given = []
        for name in self.names:
            info = find(f"ood/{name}").info
            given.append(
                {
                    "method": info.id,
                    "title": info.title,
                    "summary": info.summary,
                    "blind": SCORES[name].blind,
                    "source": info.source,
                    "fitted": SCORES[name].fit is not None,
                    "threshold": self.threshold(name, alpha),
                }
            )
        left_out = [
            {"method": f"ood/{name}", "title": find(f"ood/{name}").info.title, "reason": why}
            for name, why in self.left_out.items()
        ]
        chosen = self.default and f"ood/{self.default}"
        return {"default": chosen, "given": given, "left_out": left_out}


def _note(count: int, alpha: float) -> str:
    """Say what a promise cannot hold."""
    if not count:
        return "No known-good images were given, so no score can be called strange or usual."
    if flagged_ranks(count, alpha) == 0:
        return f"{count} images cannot promise {alpha:.0%}: nothing is ever flagged; add more."
    if 2 * count < ADVISED_IMAGES:
        return f"With only {count} images to judge by, the rate is hardly known; add more."
    return ""
