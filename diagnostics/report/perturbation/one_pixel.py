"""One pixel at a time, in sentences, numbers and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.intervals import wilson
from diagnostics.report import pictures, render
from diagnostics.report.formatting import interval, rate
from diagnostics.report.render import Picture, Rgb, Scale
from diagnostics.report.table import Cell, Table
from diagnostics.schema.results.perturbation import Redraw, SinglePixels
from diagnostics.text import probability

OPACITY = 0.75
ALWAYS, NEVER = "in every draw", "in no draw"


def progress_sentence(single: SinglePixels | None) -> str:
    """Say in a line what is known while the work goes on."""
    if single is None:
        return "Nothing is known yet."
    return f"{single['effective']} of {single['n']} pixels tried change the answer alone."


def single_sentence(single: SinglePixels) -> str:
    """Say which single pixels can change the answer."""
    n, effective, levels = single["n"], single["effective"], single["levels"]
    all_of = f"all {n}" if single["exact"] else f"{n} of {single['pixels']:,}"
    colour = ", all channels together" if single["channels"] > 1 else ""
    how = f"{all_of} pixels were tried at {levels} levels from black to white{colour}"
    if not effective:
        could = "" if single["exact"] else f" (of all, {interval(*wilson(0, n))} could)"
        loss = single["max_margin_loss"]
        near = "" if loss is None else f" The nearest one takes {100 * loss:.2g} % of the margin."
        return f"No single pixel changes the answer: {how}{could}.{near}"
    many = f"{effective} of {n}" if single["exact"] else rate(effective, n)
    mean = f"{100 * single['mean']:.2g} %"
    if single["interval"] is not None:
        low, high = single["interval"]
        mean += f" (95 % interval {100 * low:.2g} to {100 * high:.2g} %)"
    certain = f" {single['certain']} change it at every level." if single["certain"] else ""
    return (
        f"{many} single pixels can change the answer, the worst at {100 * single['max']:.3g} % of "
        f"its levels; the mean share is {mean}. {how[0].upper()}{how[1:]}.{certain}"
    )


def independence_sentence(redraw: Redraw) -> str:
    """Say whether pixels act alone: what their product predicts, and what was observed.

    Args:
        redraw: Of all pixels.
    """
    low, high = redraw["interval"]
    observed = (
        f"If each pixel acted alone, giving all {redraw['pixels']:,} random levels at once would "
        f"keep the answer {_expected(redraw)}; it is kept in {rate(redraw['hits'], redraw['n'])} "
        "draws."
    )
    if redraw["expected"] > high:
        return f"{observed} Pixels do not act alone: together they do what none of them can."
    if redraw["expected"] < low:
        return f"{observed} Pixels do not act alone: together they undo what single ones do."
    return f"{observed} The two agree within the 95 % interval, so this does not tell them apart."


def redraws_table(redraws: Sequence[Redraw], *, exact: bool) -> Table:
    """Return how often the answer is kept when pixels are redrawn together, beside the product.

    Args:
        redraws: Of more and more pixels.
        exact: Whether all pixels were tried alone.
    """
    rows = tuple(
        {
            "pixels redrawn together": f"{redraw['pixels']:,}",
            "predicted: answer kept": _expected(redraw),
            "observed: answer kept": rate(redraw["hits"], redraw["n"]),
            "not finite": str(redraw["not_finite"]),
        }
        for redraw in redraws
    )
    explained = (
        "Lower is worse: the answer changes more often. The prediction multiplies 1 − the share of "
        "levels that change the answer over the pixels redrawn, as if each acted alone."
    )
    if not exact:
        explained += " Pixels that were not tried count with the mean share."
    return Table(rows, title="Prediction against observation", caption=explained)


def maps(
    file: str,
    single: SinglePixels,
    change_share: NDArray[Any],
    margin_loss: NDArray[Any],
    pixels: NDArray[Any],
) -> Cell:
    """Return the image, and over it what each single pixel can do.

    Args:
        file: The image's name.
        single: What its single pixels do.
        change_share: Share of its levels that change the answer, shape (h, w), NaN where none was
            tried.
        margin_loss: Share of the margin that the worst level takes, likewise.
        pixels: What the network receives, shape (h, w, c) in [0, 1].
    """
    stem, photo = pictures.stem(file), render.photo(pixels)
    count = f"{single['effective']} of {single['n']} pixels tried change the answer alone"
    shown = [Picture(photo, f"{file}, what the network receives.", "received", f"{stem}-received")]
    if single["effective"]:
        what = "share of levels that change the answer"
        mixed, ends = _over(photo, change_share, single)
        shown.append(Picture(mixed, f"{file}: {count}.", f"{what}, {ends}", f"{stem}-one-pixel"))
    if np.isfinite(margin_loss).any():
        what = "share of the margin that the worst level takes"
        mixed, ends = _over(photo, np.minimum(margin_loss, 1), single)
        alt = f"{file}: {what} of each pixel; {count}."
        caption = f"{what} (1: the answer changes), {ends}"
        shown.append(Picture(mixed, alt, caption, f"{stem}-taken"))
    return Cell(pictures=tuple(shown))


def _expected(redraw: Redraw) -> str:
    expected = redraw["expected"]
    if expected in (0.0, 1.0):
        return ALWAYS if expected else NEVER
    return f"in {probability(expected, 1 - expected)} of draws"


def _over(photo: Rgb, values: NDArray[Any], single: SinglePixels) -> tuple[Rgb, str]:
    """Lay a map over what the network receives; return it, and what must be said of its colours."""
    height, width = values.shape
    shown, cell = (values, 1) if single["exact"] else _in_cells(values, single["n"])
    scale = Scale.covering(shown)
    coloured = render.enlarge(scale.colour(np.nan_to_num(shown)), cell)[:height, :width]
    unknown = np.isnan(shown).repeat(cell, 0).repeat(cell, 1)[:height, :width]
    key = scale.ends
    if cell > 1:
        key += f"; cells of {cell} × {cell} px, mean of the pixels tried in each"
    key += "; hatched: not tried" if unknown.any() else ""
    return render.missing(render.overlay(photo, coloured, OPACITY), unknown), key


def _in_cells(values: NDArray[Any], n: int) -> tuple[NDArray[np.float64], int]:
    """Return the mean of the n pixels tried in square cells, NaN without any, and a cell's side."""
    height, width = values.shape
    side = max(math.ceil(math.sqrt(2 * height * width / max(n, 1))), 1)
    tall, wide = -(-height // side), -(-width // side)
    padded = np.full((tall * side, wide * side), np.nan)
    padded[:height, :width] = values
    cells = padded.reshape(tall, side, wide, side).swapaxes(1, 2).reshape(tall, wide, -1)
    counts = np.isfinite(cells).sum(2)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(counts > 0, np.nansum(cells, 2) / counts, np.nan)
    return means, side
