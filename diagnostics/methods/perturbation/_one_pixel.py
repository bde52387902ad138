"""One pixel at a time: which values of it change the answer, and what that says of all together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.context import Context, ReportProgress
from diagnostics.methods.perturbation._bfloat16 import SMALL, Screen, pays
from diagnostics.methods.perturbation._label_change import CACHED, Asks, Flips
from diagnostics.methods.perturbation._rays import parts
from diagnostics.metrics.intervals import bootstrap, wilson
from diagnostics.models.features import batch_size

PASSES = 8  # whose changed images are made together
KEPT = 20  # times that a map which is being filled is told
SAMPLE = 64  # changed images on which bfloat16 is compared with float32
TIMES = 4  # as many pixels are redrawn as in the step before


class OnePixel:
    """Sets single pixels of one image to every level, and asks whether the answer changes.

    Args:
        context: Gives the classifier and the seed.
        flips: Asks about the image.
        levels: How many levels, evenly from 0 to 1.
        sample: How many pixels of a larger image are tried.
        draws: How many times pixels are redrawn together.
        tell: Told how far it is.
    """

    def __init__(
        self,
        context: Context,
        flips: Flips,
        levels: int,
        sample: int,
        draws: int,
        tell: ReportProgress,
    ) -> None:
        self._study, self._flips, self._tell, self._draws = context, flips, tell, draws
        self._levels = torch.linspace(0, 1, levels).to(flips.pixels)
        _, self._channels, self._height, self._width = flips.pixels.shape
        self._pixels = self._height * self._width
        order = torch.randperm(self._pixels, generator=self._generator(0))
        self._chosen = order if self._pixels <= SMALL else order[:sample]
        self._at_once = PASSES * min(batch_size(context.classifier), CACHED)
        self._map = np.full(self._pixels, np.nan, np.float32)
        self._taken = self._map.copy()
        self._screened: dict[str, Any] | None = None

    @property
    def map(self) -> NDArray[np.float32]:
        """Share of the levels that change the answer, shape (h, w); NaN where nobody asked."""
        return self._map.reshape(self._height, self._width).copy()

    @property
    def taken(self) -> NDArray[np.float32]:
        """Share of the image's margin that each pixel's worst level takes, shape (h, w).

        0 takes nothing, 1 and more changes the answer; NaN where it was not asked in float32.
        """
        return self._taken.reshape(self._height, self._width).copy()

    def found(self, redrawn: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what is known so far, as JSON.

        Returns:
            "pixels" of the image, how many were "tried", and whether that "exact" is all of them;
            the "mean" share of the levels that changes the answer, with "low" and "high" where
            pixels were drawn; the largest as "max"; "effective", how many pixels have any such
            level, and "certain", how many have no other; "log10_stable", log10 of the product of
            1 - share over all pixels, None for minus infinity; "most_taken", the largest share of
            the margin that one pixel takes; and what was "redrawn".
        """
        known, taken = self._known(), self._taken
        exact = len(known) == self._pixels
        said: dict[str, Any] = {
            "pixels": self._pixels,
            "tried": len(known),
            "levels": len(self._levels),
        }
        said |= {"exact": exact, "channels": self._channels, "screening": self._screened}
        if not len(known):
            return {**said, "mean": None, "redrawn": []}
        low = high = None
        if not exact:
            ends = bootstrap(lambda rows: known[rows].mean(), len(known), seed=self._study.seed)
            low, high = map(float, ends)
        stable = self._log_stable(torch.arange(self._pixels)[None])[0]
        return {
            **said,
            **{"mean": float(known.mean()), "low": low, "high": high, "max": float(known.max())},
            **{"effective": int((known > 0).sum()), "certain": int((known == 1).sum())},
            "log10_stable": None if math.isinf(stable) else stable / math.log(10),
            "most_taken": float(np.nanmax(taken)) if np.isfinite(taken).any() else None,
            "redrawn": redrawn,
        }

    def sweep(self) -> Iterator[None]:
        """Fill the map, part by part; in float32 alone where bfloat16 was once wrong."""
        screen = self._screen()
        yield from self._swept(screen or self._flips)
        if screen is not None:
            self._screened = screen.said()
            if not screen.holds:
                yield from self._swept(self._flips)

    def redraw(self) -> Iterator[list[dict[str, Any]]]:
        """Give 1, 4, 16 ... and all pixels random levels together, and count changed answers.

        Yields:
            After each step a list with one entry for each number of pixels: "count", "n" draws
            whose answer is finite, "stable", how many of them kept the answer, with its interval,
            and "predicted", the mean over the same draws of the product of 1 - share.
        """
        found: list[dict[str, Any]] = []
        counts = [TIMES**power for power in range(16) if TIMES**power < self._pixels]
        for place, count in enumerate([*counts, self._pixels]):
            self._tell("Redrawing pixels together", 0.8 + 0.2 * place / (len(counts) + 1))
            found.append(self._redrawn(count, self._generator(2 + place)))
            yield found

    def _swept(self, asks: Asks) -> Iterator[None]:
        self._map[:] = self._taken[:] = np.nan
        levels, differ = len(self._levels), self._candidates()
        per_pass = max(self._at_once // levels, 1)
        often = per_pass * max(len(self._chosen) // (per_pass * KEPT), 1)
        for start in range(0, len(self._chosen), per_pass):
            self._tell("Changing one pixel at a time", 0.8 * start / len(self._chosen))
            places = self._chosen[start : start + per_pass]
            rows = differ[places].nonzero()
            flipped = torch.zeros(len(places), levels)
            margins = torch.full((len(places), levels), self._flips.whole)
            if len(rows):
                pixels = self._with(places[rows[:, 0]], rows[:, 1])
                if asks is self._flips:
                    changed, left = self._flips.weighed(pixels)
                    margins[rows[:, 0], rows[:, 1]] = left.cpu().float()
                else:
                    changed, margins[:] = asks.ask(pixels), torch.nan
                flipped[rows[:, 0], rows[:, 1]] = changed.cpu().float()
            self._map[places.numpy()] = flipped.mean(1).numpy()
            taken = (1 - margins.amin(1) / self._flips.whole).clamp_min(0)
            self._taken[places.numpy()] = taken.where(taken.isfinite(), torch.nan).numpy()
            if start % often == 0:
                yield

    def _candidates(self) -> Tensor:
        """Return which levels are none of a pixel's own values, shape (pixels, levels)."""
        flat = self._flips.pixels[0].flatten(1)
        return (flat[..., None] != self._levels).any(0).cpu()

    def _with(self, places: Tensor, levels: Tensor) -> Tensor:
        """Return the image with one pixel each at a level, in all channels, shape (n, c, h, w)."""
        made = self._flips.pixels.flatten(2).repeat(len(places), 1, 1)
        rows, device = torch.arange(len(places), device=made.device), made.device
        made[rows, :, places.to(device)] = self._levels[levels.to(device)][:, None]
        return self._shaped(made)

    def _shaped(self, flat: Tensor) -> Tensor:
        return flat.view(-1, self._channels, self._height, self._width)

    def _redrawn(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        flips, before, kept, predicted = self._flips, self._flips.not_finite, 0, 0.0
        for size in parts(self._draws, self._at_once):
            places = torch.stack(
                [torch.randperm(self._pixels, generator=generator)[:count] for _ in range(size)]
            )
            drawn = torch.randint(len(self._levels), places.shape, generator=generator)
            values = self._levels.cpu()[drawn].to(flips.pixels.device)
            made = flips.pixels.flatten(2).repeat(size, 1, 1)
            index = places.to(made.device)[:, None].expand(-1, self._channels, -1)
            made.scatter_(2, index, values[:, None].expand_as(index))
            kept += size - int(flips.ask(self._shaped(made)).sum())
            predicted += float(np.exp(self._log_stable(places)).sum())
        lost = flips.not_finite - before
        kept -= lost
        low, high = wilson(kept, self._draws - lost)
        counts = {"count": count, "n": self._draws - lost, "stable": kept, "not_finite": lost}
        return {**counts, "low": low, "high": high, "predicted": predicted / self._draws}

    def _log_stable(self, places: Tensor) -> NDArray[np.float64]:
        """Return the log of the product of 1 - share over each row's pixels, shape (n,).

        A pixel that nobody asked about has the mean share.
        """
        known = self._known()
        shares = np.where(np.isnan(self._map), known.mean(), self._map).astype(np.float64)
        with np.errstate(divide="ignore"):
            logs = np.log1p(-shares)
        summed: NDArray[np.float64] = logs[places.numpy()].sum(1)
        return summed

    def _known(self) -> NDArray[np.float64]:
        known: NDArray[np.float64] = self._map[~np.isnan(self._map)].astype(np.float64)
        return known

    def _screen(self) -> Screen | None:
        if not pays(self._study.classifier):
            return None
        generator = self._generator(1)
        places = self._chosen[torch.randint(len(self._chosen), (SAMPLE,), generator=generator)]
        levels = torch.randint(len(self._levels), (SAMPLE,), generator=generator)
        return Screen(self._flips, self._with(places, levels), self._study.seed)

    def _generator(self, place: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._study.seed * 32 + place)
