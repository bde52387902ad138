"""One pixel at a time, in sentences, numbers and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.intervals import wilson
from diagnostics.report import pictures, render
from diagnostics.report.formatting import interval, rate
from diagnostics.report.render import Picture, Rgb, Scale
from diagnostics.report.table import Cell, Table
from diagnostics.text import probability

Entry = Mapping[str, Any]

OPACITY = 0.75
EVER, NEVER = "in every draw", "in no draw"


def single(found: Entry) -> str:
    """Say which single pixels can change the answer."""
    tried, effective, levels = found["tried"], found["effective"], found["levels"]
    all_of = f"all {tried}" if found["exact"] else f"{tried} of {found['pixels']:,}"
    colour = ", all channels together" if found["channels"] > 1 else ""
    how = f"{all_of} pixels were tried at {levels} levels from black to white{colour}"
    if not effective:
        low = "" if found["exact"] else f" (of all, {interval(*wilson(0, tried))} could)"
        most = found["most_taken"]
        near = "" if most is None else f" The nearest one takes {_share(most)} of the margin."
        return f"No single pixel changes the answer: {how}{low}.{near}"
    many = f"{effective} of {tried}" if found["exact"] else rate(effective, tried)
    mean = f"{100 * found['mean']:.2g} %"
    if not found["exact"]:
        mean += f" (95 % interval {100 * found['low']:.2g} to {100 * found['high']:.2g} %)"
    certain = f" {found['certain']} change it at every level." if found["certain"] else ""
    return (
        f"{many} single pixels can change the answer, the worst at {100 * found['max']:.3g} % of "
        f"its levels; the mean share is {mean}. {how[0].upper()}{how[1:]}.{certain}"
    )


def claim(found: Entry) -> str:
    """Say whether pixels act alone: what their product predicts, and what is seen."""
    last = found["redrawn"][-1]
    expected, seen = _expected(last), rate(last["stable"], last["n"])
    said = (
        f"If each pixel acted alone, giving all {last['count']:,} random levels at once would keep "
        f"the answer {expected}; it is kept in {seen} draws."
    )
    if last["predicted"] > last["high"]:
        return f"{said} Pixels do not act alone: together they do what none of them can."
    if last["predicted"] < last["low"]:
        return f"{said} Pixels do not act alone: together they undo what single ones do."
    return f"{said} The two agree within the 95 % interval, so this does not tell them apart."


def predictions(found: Entry) -> Table:
    """Return how often the answer is kept when pixels are redrawn together, beside the product."""
    rows = tuple(
        {
            "pixels redrawn together": f"{one['count']:,}",
            "predicted: answer kept": _expected(one),
            "observed: answer kept": rate(one["stable"], one["n"]),
            "not finite": str(one["not_finite"]),
        }
        for one in found["redrawn"]
    )
    said = (
        "Lower is worse: the answer changes more often. The prediction multiplies 1 − the share of "
        "levels that change the answer over the pixels redrawn, as if each acted alone."
    )
    if not found["exact"]:
        said += " Pixels that were not tried count with the mean share."
    return Table(rows, title="Prediction against observation", said=said)


def map_cell(found: Entry, shares: NDArray[Any], taken: NDArray[Any], image: NDArray[Any]) -> Cell:
    """Return the image, and over it what each single pixel can do.

    Args:
        found: The image's entry.
        shares: Share of its levels that change the answer, shape (h, w), NaN where none was tried.
        taken: Share of the margin that the worst level takes, likewise.
        image: What the network receives, shape (h, w, c) in [0, 1].
    """
    name, file = found["file"], pictures.stem(found["file"])
    photo = render.photo(image)
    received = Picture(photo, f"{name}, what the network receives.", "received", f"{file}-received")
    count = f"{found['effective']} of {found['tried']} pixels tried change the answer alone"
    made = [received]
    if found["effective"]:
        what = "share of levels that change the answer"
        mixed, ends = _over(photo, shares, found)
        made.append(Picture(mixed, f"{name}: {count}.", f"{what}, {ends}", f"{file}-one-pixel"))
    if np.isfinite(taken).any():
        what = "share of the margin that the worst level takes"
        mixed, ends = _over(photo, np.minimum(taken, 1), found)
        alt = f"{name}: {what} of each pixel; {count}."
        made.append(Picture(mixed, alt, f"{what} (1: the answer changes), {ends}", f"{file}-taken"))
    return Cell(pictures=tuple(made))


def _expected(one: Entry) -> str:
    predicted = one["predicted"]
    if predicted in (0.0, 1.0):
        return EVER if predicted else NEVER
    return f"in {probability(predicted, 1 - predicted)} of draws"


def _share(value: float) -> str:
    return f"{100 * value:.2g} %"


def _over(photo: Rgb, values: NDArray[Any], found: Entry) -> tuple[Rgb, str]:
    """Lay a map over what the network receives; return it, and what must be said of its colours."""
    height, width = values.shape
    shown, cell = (values, 1) if found["exact"] else _in_cells(values, found["tried"])
    scale = Scale.covering(shown)
    coloured = render.enlarge(scale.colour(np.nan_to_num(shown)), cell)[:height, :width]
    unknown = np.isnan(shown).repeat(cell, 0).repeat(cell, 1)[:height, :width]
    said = scale.ends
    if cell > 1:
        said += f"; cells of {cell} × {cell} px, mean of the pixels tried in each"
    said += "; hatched: not tried" if unknown.any() else ""
    return render.missing(render.overlay(photo, coloured, OPACITY), unknown), said


def _in_cells(shares: NDArray[Any], tried: int) -> tuple[NDArray[np.float64], int]:
    """Return the mean of the tried pixels of square cells, NaN without any, and a cell's side."""
    height, width = shares.shape
    side = max(math.ceil(math.sqrt(2 * height * width / max(tried, 1))), 1)
    tall, wide = -(-height // side), -(-width // side)
    padded = np.full((tall * side, wide * side), np.nan)
    padded[:height, :width] = shares
    cells = padded.reshape(tall, side, wide, side).swapaxes(1, 2).reshape(tall, wide, -1)
    counts = np.isfinite(cells).sum(2)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(counts > 0, np.nansum(cells, 2) / counts, np.nan)
    return means, side
