"""Asking in bfloat16 first, where the processor has units for it, and in float32 where it matters.

A change is believed to leave the answer alone when its bfloat16 margin is farther from zero than
bfloat16 was ever seen to be wrong; every other one, and every changed answer, is asked in float32.
Some of those believed are asked in float32 as well, which is counted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diagnostics.methods.perturbation._label_change import Flips
from diagnostics.models.classifier import TorchClassifier

TIMES = 4.0  # the largest error seen, so far from zero a margin must be
ONE_IN = 16  # of those believed is asked in float32 as well
SMALL = 32 * 32  # up to so many pixels a network is too quick to gain


def has_matrix_units() -> bool:
    """Whether this processor multiplies bfloat16 matrices in units of their own (AMX)."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def pays(classifier: TorchClassifier) -> bool:
    """Whether asking in bfloat16 first saves time here."""
    spec = classifier.spec
    on_processor = classifier.device.type == "cpu" and classifier.dtype == torch.float32
    return on_processor and spec.height * spec.width > SMALL and has_matrix_units()


class Screen:
    """Asks whether changes of an image change its answer, in bfloat16 first.

    Args:
        flips: Asks in float32.
        sample: Changed images, shape (n, c, h, w), on which bfloat16 is compared with float32.
        seed: Decides which ones are asked twice.
    """

    def __init__(self, flips: Flips, sample: Tensor, seed: int) -> None:
        self._flips = flips
        self._generator = torch.Generator().manual_seed(seed)
        self.screened = self.believed = self.checked = self.agreed = 0
        self._shift = self._tolerance = 0.0
        self._tolerance = self._calibrated(sample)

    @property
    def holds(self) -> bool:
        """Whether bfloat16 can be believed: every answer that was asked twice was the same."""
        return self._tolerance < torch.inf and self.agreed == self.checked

    @property
    def close(self) -> bool:
        """Whether the image itself lies so near a change that bfloat16 can tell nothing."""
        return self._flips.whole <= self._tolerance < torch.inf

    def ask(self, pixels: Tensor) -> Tensor:
        """Return whether each of some images changes the answer, shape (n,)."""
        if self.close or not self.holds:
            return self._flips.ask(pixels)
        believed = self._margins(pixels) > self._tolerance  # NaN is not
        drawn = torch.rand(len(pixels), generator=self._generator) * ONE_IN < 1
        twice = believed & drawn.to(believed.device)
        again = ~believed | twice
        changed = torch.zeros_like(believed)
        if again.any():
            changed[again] = self._flips.ask(pixels[again])
        self.screened += len(pixels)
        self.believed += int((believed & ~twice).sum())
        self.checked += int(twice.sum())
        self.agreed += int((twice & ~changed).sum())
        return changed

    def said(self) -> dict[str, Any]:
        """Return what was screened, as JSON.

        Returns:
            How many images were asked in bfloat16 ("screened"); how many of these were "believed"
            to leave the answer alone; how many more would have been and were "checked" in float32,
            and for how many of those float32 "agreed"; the "tolerance" of the margin; whether the
            image's own margin is smaller ("close").
        """
        counts = {name: getattr(self, name) for name in ("screened", "believed")}
        counts |= {name: getattr(self, name) for name in ("checked", "agreed")}
        tolerance = self._tolerance if self._tolerance < torch.inf else None
        return {**counts, "tolerance": tolerance, "holds": self.holds, "close": self.close}

    def _calibrated(self, sample: Tensor) -> float:
        """Return from which margin on bfloat16 is believed; infinite where it cannot be used."""
        flips = self._flips
        try:
            own = float(self._margins(flips.pixels)[0])
            self._shift = flips.whole - own
            half = self._margins(sample)
        except RuntimeError:  # a network may mix types in a way that has no bfloat16
            return torch.inf
        whole = flips.margin(flips.logits(sample))
        errors = (half - whole).abs()
        return TIMES * float(errors.max()) if errors.isfinite().all() else torch.inf

    def _margins(self, pixels: Tensor) -> Tensor:
        """Return the margins in bfloat16, corrected by its error of the unchanged image."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self._flips.logits(pixels)
        return self._flips.margin(logits.float()) + self._shift
