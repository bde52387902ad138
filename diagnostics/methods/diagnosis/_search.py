"""Find the region that carries an answer: without it the answer falls, with it others turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from diagnostics.methods.diagnosis._case import Floats, Network, probabilities
from diagnostics.methods.diagnosis._regions import Region, integrate, regions, rings, unit
from diagnostics.models.infill import gaussian_blur
from diagnostics.schema.spec import ModelSpec

MIN_FALL = 0.25  # of the probability, without the region
SCREENED = 6  # good images into which a region that falls is pasted first
INSERTED = 40  # regions that are pasted at all, smallest first
TRIMMED = 2  # best regions whose sides are cut
JUDGED = 24  # good images that judge the best
USUALLY_ASKED = 300  # passes beyond removing every region: pasted, trimmed, judged, and the rest
AT_ONCE = 256  # changed images that are held together
GUESSED = 10  # regions that a gradient proposes where not all are removed


def expected_passes(spec: ModelSpec) -> int:
    """Return how many passes looking at every region of an image usually takes."""
    count = len(regions(spec.height, spec.width)) + len(rings(spec.height, spec.width))
    return count + USUALLY_ASKED


class Removed(NamedTuple):
    """What the network says without regions, shapes (m,): p, and that of another class it says.

    `rival` is 0 where the class stays.
    """

    after: Floats
    rival: Floats


@dataclass(frozen=True)
class Effects:
    """What a region did.

    Args:
        region: The region.
        after: The probability without it.
        rival: The probability of another class that is said without it; 0 where none is.
        turned: Which of the good images became the class with it.
    """

    region: Region
    after: float
    rival: float
    turned: tuple[bool, ...]

    @property
    def share(self) -> float:
        """Which share of the good images turned."""
        return float(np.mean(self.turned)) if self.turned else 0.0


class Search:
    """Asks what regions of an image do.

    Args:
        network: Is asked.
        pixels: The image, shape (c, h, w).
        index: The class that was said of it.
        p: Its probability.
        others: Good images of other classes, shape (m, c, h, w), none said to be the class.
    """

    def __init__(
        self, network: Network, pixels: Tensor, index: int, p: float, others: Tensor
    ) -> None:
        self.smooth = False  # whether the surroundings fill a region, which leaves no edge
        self.network, self.pixels, self.index, self.p = network, pixels, index, p
        self.others = others[:JUDGED]
        self.fill = self.others.median(0).values
        self.height, self.width = pixels.shape[1:]

    def filling(self, region: Region) -> str:
        """Return what stands in place of a region."""
        return (
            "its surroundings"
            if self.smooth and not region.ring
            else "the median of other good images"
        )

    def without(self, region: Region) -> Tensor:
        """Return the image without a region."""
        if not self.smooth or region.ring:
            return region.paste(self.fill, self.pixels)
        around = torch.ones(1, self.height, self.width)
        around[:, region.top : region.bottom, region.left : region.right] = 0
        sigma = max(region.right - region.left, region.bottom - region.top) / 2
        stacked = torch.cat([self.pixels * around, around])[None]
        spread = gaussian_blur(stacked, sigma, max(1, round(3 * sigma)))[0]
        filled = spread[:-1] / spread[-1:].clamp_min(1e-6)
        return torch.where(around.bool(), self.pixels, filled)

    def remove(self, candidates: Sequence[Region]) -> Removed:
        """Return the probability without each region, and that of another class that is said."""
        after, rival = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(candidates), AT_ONCE):
            part = candidates[start : start + AT_ONCE]
            images = [self.without(one) for one in part]
            logits, shares = said(self.network, torch.stack(images))
            after.append(shares[:, self.index])
            rival.append(np.where(logits.argmax(1) != self.index, shares.max(1), 0.0))
        return Removed(np.concatenate(after), np.concatenate(rival))

    def insert(self, candidates: Sequence[Region], count: int) -> list[tuple[bool, ...]]:
        """Return which of the first good images become the class with each region."""
        into = self.others[:count]
        source, found = self.pixels.expand_as(into), []
        step = max(1, AT_ONCE // max(len(into), 1))
        for start in range(0, len(candidates), step):
            part = candidates[start : start + step]
            images = torch.cat([one.paste(source, into) for one in part])
            became = self.network.logits(images).argmax(1) == self.index
            found += [tuple(row) for row in became.reshape(len(part), -1).tolist()]
        return found

    def effects(self, candidates: Sequence[Region], removed: Removed, count: int) -> list[Effects]:
        """Return what regions do."""
        turned = self.insert(candidates, count)
        return [
            Effects(one, float(p), float(rival), became)
            for one, p, rival, became in zip(candidates, *removed, turned, strict=True)
        ]

    def screen(self, candidates: Sequence[Region]) -> list[Effects]:
        """Return those without which the answer falls, the most sufficient first."""
        after, rival = self.remove(candidates)
        falling = np.flatnonzero((rival > 0) & (self.p - after >= MIN_FALL)).tolist()
        falling.sort(key=lambda place: (candidates[place].pixels, after[place]))
        chosen = falling[:INSERTED]
        removed = Removed(after[chosen], rival[chosen])
        found = self.effects([candidates[place] for place in chosen], removed, SCREENED)
        return sorted(found, key=lambda one: (-one.share, one.region.pixels))

    def trim(self, found: Effects) -> Effects:
        """Cut rows and columns off a region as long as it does the same."""
        best, step = found, max(found.region.right - found.region.left, 2) // 2
        smallest = max(1, unit(self.height, self.width) // 2)
        while step >= smallest:
            changed = False
            for side in ("left", "top", "right", "bottom"):
                smaller = best.region.trimmed(side, step)
                if smaller is None:
                    continue
                removed = self.remove([smaller])
                fall = self.p - float(removed.after[0])
                if not removed.rival[0] or fall < max(MIN_FALL, 0.9 * (self.p - best.after)):
                    continue
                tried = self.effects([smaller], removed, SCREENED)[0]
                if tried.share >= best.share:
                    best, changed = tried, True
            step = step if changed else step // 2
        return best

    def judge(self, found: Effects) -> Effects:
        """Return what a region does to all the good images there are."""
        removed = Removed(np.array([found.after]), np.array([found.rival]))
        return self.effects([found.region], removed, JUDGED)[0]

    def proposed(self, count: int = GUESSED) -> list[Region]:
        """Return the regions whose removal lowers the answer most to first order."""
        gains = self._gains()
        candidates = regions(self.height, self.width)
        scored = sorted(candidates, key=lambda one: one.total(gains) / np.sqrt(one.pixels))
        kept: list[Region] = []
        for one in scored[::-1]:
            if all(_overlap(one, other) < 0.5 for other in kept):
                kept.append(one)
            if len(kept) == count:
                break
        return kept

    def _gains(self) -> Tensor:
        """Return what each pixel contributes to the margin to first order, summed to be read."""
        pixels = self.pixels[None].clone().requires_grad_()
        with torch.enable_grad():
            logits = self.network.classifier.torch_logits(pixels)[0]
            others = torch.cat([logits[: self.index], logits[self.index + 1 :]])
            margin = logits[self.index] - (others.max() if len(others) else 0)
            gradient = torch.autograd.grad(margin, pixels)[0][0]
        self.network.passes += 3  # forward, and a backward pass costs two
        return integrate(((self.pixels - self.fill) * gradient).sum(0).nan_to_num().cpu())


def _overlap(one: Region, other: Region) -> float:
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0, width) * max(0, height)
    return shared / min(one.pixels, other.pixels) if not (one.ring or other.ring) else 0.0


def said(network: Network, pixels: Tensor) -> tuple[Floats, Floats]:
    """Return logits and probabilities of images."""
    logits = network.logits(pixels)
    return logits, probabilities(logits, network.spec)
