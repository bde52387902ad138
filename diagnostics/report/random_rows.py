"""Random changes and single pixels, in sentences, numbers and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import pictures, render, words
from diagnostics.intervals import wilson
from diagnostics.render import Picture, Scale
from diagnostics.report.rates import interval, rate
from diagnostics.report.table import Cell, Table
from diagnostics.words import counted, number

Entry = Mapping[str, Any]

FLAT_RHO = 1.4826  # 1 / Phi^-1(0.75): half of all rays cross a flat boundary within so much
FRAGILE, FAILED = 0.3, 3.0
RARE_DECADES = 4
FACTOR = 2  # between what noise predicts and what was found, up to which they agree
OPACITY = 0.75
EVER, NEVER = "in every draw", "in no draw"


def in_a_direction(found: Entry) -> str:
    """Say what random changes of the smallest change's length do, and what they could do."""
    tried, decades = found["directions"], found["flat_log10"]
    if tried is None:
        return (
            "No smallest change is known, so there is no length at which random changes could "
            "stand beside it."
        )
    n = tried["n"]
    said = (
        f"{rate(tried['hits'], n)} random changes of the smallest change's length, L2 "
        f"{number(tried['length'])}, change the answer."
    )
    if tried["not_finite"]:
        said += f" {counted(tried['not_finite'], 'answer')} not finite, left out."
    if -decades < RARE_DECADES:
        share = words.probability(10**decades, 1 - 10**decades)
        return f"{said} If the boundary were flat, {share} of such noise would."
    return (
        f"{said} If the boundary were flat, noise of this length would change it about once in "
        f"1e{-decades:.0f} draws; so sampling cannot find what the search found, and finding "
        "nothing by sampling says nothing about it."
    )


def along_rays(found: Entry) -> str:
    """Say how far random rays go before the answer changes."""
    rays = found["rays"]
    n, crossed, median = rays["n"], rays["crossed"], rays["median"]
    if median is None:
        return (
            f"More than half of the random rays, {n - crossed} of {n}, never reach another answer, "
            f"although they were followed to L2 {number(rays['followed_to'])}, where most pixels "
            "are black or white: there is no median distance."
        )
    high = f"{number(rays['high'])}" if rays["high"] is not None else "beyond the box"
    return (
        f"Half of {n} random rays reach another answer within L2 {number(median)} (95 % interval "
        f"{number(rays['low'])} to {high}); {n - crossed} of {n} never do."
    )


def ratio(found: Entry) -> str:
    """Say what the ratio of random to smallest change means; empty without one."""
    rho, least = found["rho"], found["rho_at_least"]
    if rho is None and least is None:
        return ""
    values = f"{found['values']:,}"
    what = f"That is {{}} times the smallest change and the root of the {values} values"
    if rho is None:
        return (
            f"{what.format(f'more than {number(least)}')}. Can't tell more: the box of possible "
            "images ends before half of the rays cross."
        )
    said = f"{what.format(number(rho))}; a flat boundary gives {FLAT_RHO:.2f}."
    if rho < FRAGILE:
        return (
            f"{said} Below {FRAGILE:g}, the answer is fragile under plain random noise, not only "
            "under a change that was searched for."
        )
    if rho > FAILED:
        return (
            f"{said} Above {FAILED:g}, random noise must go much further than geometry says: more "
            "likely is that the boundary bends, or that the search was misled; it is no sign of "
            "robustness."
        )
    return f"{said} Between {FRAGILE:g} and {FAILED:g}, the two belong to the same boundary."


def from_noise(found: Entry) -> str:
    """Say what Gaussian noise predicts of the smallest change."""
    noise, known = found["gaussian"], found["directions"]
    hits = rate(noise["hits"], noise["n"])
    left = f"{100 * noise['effective'] / noise['nominal']:.0f} %"
    said = (
        f"Gaussian noise with σ = {number(noise['sigma'])} changes the answer in {hits} draws. "
        f"Cutting off at 0 and 1 leaves {left} of its length: L2 {number(noise['effective'])}."
    )
    if noise["why"] == "never":
        return f"{said} So no distance follows from noise: it can only be called far."
    if noise["why"] == "share":
        return (
            f"{said} No σ was met at which 1 % to 20 % of the noise changes the answer, so no "
            "distance follows."
        )
    ends = f"{number(noise['nearest'])} to {number(noise['farthest'])}"
    said += (
        f" A flat boundary would then lie at L2 {number(noise['distance'])} (95 % interval {ends})."
    )
    if known is None:
        return said
    factor = known["length"] / noise["distance"]
    if factor < 1 / FACTOR:
        return (
            f"{said} The smallest change is less than half of that: searched changes are more "
            "dangerous than the noise lets expect."
        )
    if factor <= FACTOR:
        return f"{said} The smallest change is within a factor of {FACTOR}: noise explains it."
    return (
        f"{said} The smallest change that was found is more than twice as far: can't tell whether "
        "the boundary bends or the search missed a smaller one."
    )


def numbers(found: Entry) -> Table:
    """Return distances: of the smallest change, of rays, and as noise predicts it."""
    rays, noise, known = found["rays"], found["gaussian"], found["directions"]
    rows = []
    if known:
        unit = math.sqrt(found["values"]) * known["length"]
        flat = f"{number(FLAT_RHO * unit)}, if the boundary were flat"
        rows.append(_row("smallest change that was found", known["length"], "an upper bound"))
        rows.append(_row("random changes of that length", known["reached"], _of(known)))
    else:
        flat = "no smallest change is known"
    rows.append(
        _row(
            "random rays, median",
            rays["median"],
            f"{rays['crossed']} of {rays['n']} cross; expected {flat}",
        )
    )
    lengths = [one for one in rays["radii"] if one is not None]
    if lengths:
        rows.append(_row("random rays, shortest", min(lengths), ""))
        rows.append(_row("random rays, longest that crosses", max(lengths), ""))
    if noise:
        rows.append(_row("Gaussian noise", noise["effective"], _of(noise)))
        rows.append(_row("distance that noise predicts", noise["distance"], "a flat boundary"))
    said = (
        "Farther right is better: a larger change is needed. Every dot is a random ray; one that "
        "never crosses is a triangle where it was left. The grey stroke is the median over all "
        "rays, the dashed line where a flat boundary would have it."
    )
    return Table(tuple(rows), title="How far changes go", said=said)


def single(found: Entry) -> str:
    """Say which single pixels can change the answer."""
    tried, effective, levels = found["tried"], found["effective"], found["levels"]
    all_of = f"all {tried}" if found["exact"] else f"{tried} of {found['pixels']:,}"
    colour = ", all channels together" if found["channels"] > 1 else ""
    how = f"{all_of} pixels were tried at {levels} levels from black to white{colour}"
    if not effective:
        low = "" if found["exact"] else f" (of all, {interval(*wilson(0, tried))} could)"
        return f"No single pixel changes the answer: {how}{low}."
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


def map_cell(found: Entry, shares: NDArray[Any], image: NDArray[Any]) -> Cell:
    """Return the image, and over it the share of each pixel's levels that change the answer.

    Args:
        found: The image's entry.
        shares: Shape (h, w), NaN where no pixel was tried.
        image: What the network receives, shape (h, w, c) in [0, 1].
    """
    name, file = found["file"], pictures.stem(found["file"])
    height, width = shares.shape
    photo = render.photo(image)
    received = Picture(photo, f"{name}, what the network receives.", "received", f"{file}-received")
    shown, cell = (shares, 1) if found["exact"] else _in_cells(shares, found["tried"])
    scale = Scale.covering(shown)
    coloured = render.enlarge(scale.colour(np.nan_to_num(shown)), cell)[:height, :width]
    unknown = np.isnan(shown).repeat(cell, 0).repeat(cell, 1)[:height, :width]
    mixed = render.missing(render.overlay(photo, coloured, OPACITY), unknown)
    caption = f"share of levels that change the answer, {scale.ends}"
    if cell > 1:
        caption += f"; cells of {cell} × {cell} px, mean of the pixels tried in each"
    caption += "; hatched: not tried" if unknown.any() else ""
    alt = f"{name}: {found['effective']} of {found['tried']} pixels tried change the answer alone."
    return Cell(pictures=(received, Picture(mixed, alt, caption, f"{file}-one-pixel")))


def screened(found: Entry) -> str:
    """Say what was asked in bfloat16 first, and how far float32 agreed; empty if nothing was."""
    said = found["screening"]
    if not said:
        return ""
    if said["tolerance"] is None:
        return "This network cannot be asked in bfloat16 first; everything was asked in float32."
    if not said["holds"]:
        return (
            f"bfloat16 was wrong where float32 was asked as well ({said['agreed']} of "
            f"{said['checked']} agreed), so everything was asked again in float32."
        )
    return (
        f"Asked in bfloat16 first: {said['screened']:,} changed images, of which "
        f"{said['believed']:,} lay so far from a change (margin above "
        f"{number(said['tolerance'])}) that they were not asked again; float32 agreed on "
        f"{rate(said['agreed'], said['checked'])} of those that were. Every changed answer and "
        "every distance is of float32."
    )


def _expected(one: Entry) -> str:
    predicted = one["predicted"]
    if predicted in (0.0, 1.0):
        return EVER if predicted else NEVER
    return f"in {words.probability(predicted, 1 - predicted)} of draws"


def _of(tried: Entry) -> str:
    return f"{rate(tried['hits'], tried['n'])} change the answer"


def _row(what: str, distance: float | None, more: str) -> dict[str, str]:
    shown = "none" if distance is None else number(distance)
    return {"what": what, "L2 distance": shown, "and": more}


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
