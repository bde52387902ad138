"""Which single pixels can change the answer, and do they act alone?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.context import Context, Outcome, ReportProgress
from diagnostics.methods.perturbation._label_change import LabelChange, batch_sizes, images
from diagnostics.methods.registry import method
from diagnostics.metrics.intervals import bootstrap, wilson
from diagnostics.schema.options import Range
from diagnostics.schema.results import Interval
from diagnostics.schema.results.perturbation import (
    OnePixelAnswer,
    OnePixelImage,
    Redraw,
    SinglePixels,
)

EXACT_PIXELS = 32 * 32  # up to so many, all are tried
BATCHES = 8  # whose changed images are made together
MAX_REPORTS = 20  # times that maps which are being filled are handed on
GROWTH = 4  # as many pixels are redrawn as in the step before
STREAMS = 32  # of random numbers that a seed stands for
ORDER, FIRST_REDRAW = 0, 2  # the streams


@method("One pixel", source="Su, Vargas & Sakurai 2019, arXiv:1710.08864, made a map of all levels")
def one_pixel(
    context: Context,
    *,
    levels: Annotated[int, Range(2, 64, "levels")] = 8,
    sample: Annotated[int, Range(16, 50_176, "pixels")] = 500,
    draws: Annotated[int, Range(16, 4096, "draws")] = 128,
) -> Outcome[OnePixelAnswer]:
    """Which share of a single pixel's values changes the answer, pixel by pixel.

    Args:
        context: Gives the images in hand, and the class that counts as changed; without one, every
            other class does.
        levels: To how many values, evenly from 0 to 1, each pixel is set; all channels together.
        sample: How many pixels are tried of an image of more than 1,024; smaller ones are tried
            whole.
        draws: How many times pixels are given random levels together.

    Returns:
        For each image what its single pixels do; the arrays "N/change_share", shape (h, w), the
        share of the levels that change the answer, and "N/margin_loss", see `OnePixel`, both NaN
        where no pixel was tried, and "N/pixels", what the network receives, shape (h, w, c).
    """
    finished: list[OnePixelImage] = []
    arrays: dict[str, NDArray[Any]] = {}

    def outcome(*unfinished: OnePixelImage, complete: bool) -> Outcome[OnePixelAnswer]:
        answer = OnePixelAnswer(
            images=[*finished, *unfinished],
            target=context.target,
            complete=complete,
            notes=context.remarks(),
        )
        return Outcome(answer, dict(arrays))

    for index, (file, pixels, report) in enumerate(images(context)):
        image = OnePixelImage(
            file=file.name,
            sha256=file.sha256,
            error=None if pixels is not None else f"{file.name} could not be read.",
            predicted=None,
            name="",
            single=None,
            redraws=[],
            forward_passes=0,
        )
        if pixels is not None:
            label_change = LabelChange(context.classifier, pixels, context.target)
            image["predicted"], image["name"] = label_change.predicted, label_change.name
            image["error"] = label_change.error
            arrays[f"{index}/pixels"] = np.moveaxis(pixels[0].cpu().numpy(), 0, 2)
        if pixels is not None and not image["error"]:
            trial = OnePixel(label_change, levels, sample, draws, context.seed, report)
            for _ in trial.run(image):
                arrays |= {
                    f"{index}/change_share": trial.change_share,
                    f"{index}/margin_loss": trial.margin_loss,
                }
                context.partial(partial(outcome, image.copy(), complete=False))
        finished.append(image)
    return outcome(complete=True)


class OnePixel:
    """Sets single pixels of one image to every level, and asks whether the answer changes.

    Args:
        label_change: Asks about the image.
        levels: How many levels, evenly from 0 to 1.
        sample: How many pixels of a larger image are tried.
        draws: How many times pixels are redrawn together.
        seed: Of the pixels tried and of the redraws.
        report: Takes what is done and the share of it.
    """

    def __init__(
        self,
        label_change: LabelChange,
        levels: int,
        sample: int,
        draws: int,
        seed: int,
        report: ReportProgress,
    ) -> None:
        self._label_change, self._report = label_change, report
        self._draws, self._seed = draws, seed
        self._levels = torch.linspace(0, 1, levels).to(label_change.pixels)
        _, self._channels, self._height, self._width = label_change.pixels.shape
        self._count = self._height * self._width
        order = torch.randperm(self._count, generator=self._generator(ORDER))
        self._indices = order if self._count <= EXACT_PIXELS else order[:sample]
        self._batch_size = BATCHES * label_change.batch_size
        self._change_share = np.full(self._count, np.nan, np.float32)
        self._margin_loss = self._change_share.copy()

    @property
    def change_share(self) -> NDArray[np.float32]:
        """Share of the levels that change the answer, shape (h, w); NaN where nobody asked."""
        return self._change_share.reshape(self._height, self._width).copy()

    @property
    def margin_loss(self) -> NDArray[np.float32]:
        """Share of the image's margin that each pixel's worst level takes, shape (h, w).

        0 takes nothing, 1 and more changes the answer; NaN where nobody asked.
        """
        return self._margin_loss.reshape(self._height, self._width).copy()

    def run(self, image: OnePixelImage) -> Iterator[None]:
        """Fill an image's entry and the maps, and yield after each part of it."""
        for _ in self.sweep():
            image["single"] = self.summarise()
            yield
        for redraws in self.redraw():
            image["single"], image["redraws"] = self.summarise(), redraws
            image["forward_passes"] = self._label_change.forward_passes
            yield

    def sweep(self) -> Iterator[None]:
        """Fill the maps, and yield some times on the way."""
        image_margin = self._label_change.image_margin
        self._label_change.expect(len(self._indices) * len(self._levels))
        levels, differs = len(self._levels), self._differs()
        batch = max(self._batch_size // levels, 1)
        interval = batch * max(len(self._indices) // (batch * MAX_REPORTS), 1)
        for start in range(0, len(self._indices), batch):
            self._report("Changing one pixel at a time", 0.8 * start / len(self._indices))
            indices = self._indices[start : start + batch]
            rows = differs[indices].nonzero()
            changes = torch.zeros(len(indices), levels)
            margins = torch.full((len(indices), levels), image_margin)
            if len(rows):
                changed = self._with_one_pixel(indices[rows[:, 0]], rows[:, 1])
                flags, left = self._label_change.changes_and_margins(changed)
                changes[rows[:, 0], rows[:, 1]] = flags.cpu().float()
                margins[rows[:, 0], rows[:, 1]] = left.cpu().float()
            self._change_share[indices.numpy()] = changes.mean(1).numpy()
            loss = (1 - margins.amin(1) / image_margin).clamp_min(0)
            self._margin_loss[indices.numpy()] = loss.where(loss.isfinite(), torch.nan).numpy()
            if start % interval == 0:
                yield

    def redraw(self) -> Iterator[list[Redraw]]:
        """Give 1, 4, 16 ... and all pixels random levels together, and count unchanged answers.

        Yields:
            After each number of pixels, an entry for each so far.
        """
        redraws: list[Redraw] = []
        counts = [GROWTH**power for power in range(16) if GROWTH**power < self._count]
        for step, count in enumerate([*counts, self._count]):
            self._report("Redrawing pixels together", 0.8 + 0.2 * step / (len(counts) + 1))
            redraws = [*redraws, self._redraw(count, self._generator(FIRST_REDRAW + step))]
            yield redraws

    def summarise(self) -> SinglePixels:
        """Return what the maps say so far."""
        shares, loss = self._known_shares(), self._margin_loss
        exact = len(shares) == self._count
        interval: Interval | None = None
        if not exact:
            low, high = bootstrap(lambda rows: shares[rows].mean(), len(shares), seed=self._seed)
            interval = float(low), float(high)
        log_stable = self._log_stable(torch.arange(self._count)[None])[0]
        return SinglePixels(
            pixels=self._count,
            n=len(shares),
            levels=len(self._levels),
            exact=exact,
            channels=self._channels,
            mean=float(shares.mean()),
            interval=interval,
            max=float(shares.max()),
            effective=int((shares > 0).sum()),
            certain=int((shares == 1).sum()),
            log10_stable=None if math.isinf(log_stable) else float(log_stable) / math.log(10),
            max_margin_loss=float(np.nanmax(loss)) if np.isfinite(loss).any() else None,
        )

    def _differs(self) -> Tensor:
        """Return which levels are none of a pixel's own values, shape (pixels, levels)."""
        flat = self._label_change.pixels[0].flatten(1)
        return (flat[..., None] != self._levels).any(0).cpu()

    def _with_one_pixel(self, indices: Tensor, levels: Tensor) -> Tensor:
        """Return the image with one pixel each at a level, in all channels, shape (n, c, h, w)."""
        changed = self._label_change.pixels.flatten(2).repeat(len(indices), 1, 1)
        device = changed.device
        rows = torch.arange(len(indices), device=device)
        changed[rows, :, indices.to(device)] = self._levels[levels.to(device)][:, None]
        return self._as_images(changed)

    def _as_images(self, flat: Tensor) -> Tensor:
        return flat.view(-1, self._channels, self._height, self._width)

    def _redraw(self, count: int, generator: torch.Generator) -> Redraw:
        label_change, hits, expected = self._label_change, 0, 0.0
        not_finite_before = label_change.not_finite
        for size in batch_sizes(self._draws, self._batch_size):
            rows = [torch.randperm(self._count, generator=generator)[:count] for _ in range(size)]
            indices = torch.stack(rows)
            levels = torch.randint(len(self._levels), indices.shape, generator=generator)
            changed = label_change.pixels.flatten(2).repeat(size, 1, 1)
            values = self._levels.cpu()[levels].to(changed.device)
            scattered = indices.to(changed.device)[:, None].expand(-1, self._channels, -1)
            changed.scatter_(2, scattered, values[:, None].expand_as(scattered))
            hits += size - int(label_change.changes(self._as_images(changed)).sum())
            expected += float(np.exp(self._log_stable(indices)).sum())
        not_finite = label_change.not_finite - not_finite_before
        hits, n = hits - not_finite, self._draws - not_finite
        return Redraw(
            hits=hits,
            n=n,
            interval=wilson(hits, n),
            pixels=count,
            expected=expected / self._draws,
            not_finite=not_finite,
        )

    def _log_stable(self, rows: Tensor) -> NDArray[np.float64]:
        """Return the log of the product of 1 - share over each row's pixels, shape (n,).

        A pixel that nobody asked about has the mean share.
        """
        mean = self._known_shares().mean()
        shares = np.where(np.isnan(self._change_share), mean, self._change_share).astype(np.float64)
        with np.errstate(divide="ignore"):
            logs = np.log1p(-shares)
        summed: NDArray[np.float64] = logs[rows.numpy()].sum(1)
        return summed

    def _known_shares(self) -> NDArray[np.float64]:
        known: NDArray[np.float64] = self._change_share[~np.isnan(self._change_share)].astype(
            np.float64
        )
        return known

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * STREAMS + stream)
