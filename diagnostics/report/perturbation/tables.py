"""Random changes in sentences and numbers."""

from __future__ import annotations

import math

from diagnostics.report.formatting import rate
from diagnostics.report.table import Table
from diagnostics.schema.results import Count
from diagnostics.schema.results.perturbation import (
    GaussianNoise,
    RandomDirections,
    RandomNoiseImage,
    Rays,
)
from diagnostics.text import counted, number, probability

FLAT_RHO = 1.4826  # 1 / Phi^-1(0.75): half of all rays cross a flat boundary within so much
MIN_USUAL_RHO, MAX_USUAL_RHO = 0.3, 3.0
RARE_DECADES = 4
MIN_LENGTH_LEFT = 0.8  # of the noise after cutting off, below which it is no longer Gaussian
FACTOR = 2  # between what noise predicts and what the search found, up to which they agree


def progress_sentence(rays: Rays | None) -> str:
    """Say in a line what is known while the work goes on."""
    if not rays:
        return "Nothing is known yet."
    median = "none yet" if rays["median"] is None else f"L2 {number(rays['median'])}"
    return f"{rays['crossings']} of {rays['n']} rays cross so far; median {median}."


def directions_sentence(image: RandomNoiseImage) -> str:
    """Say what random changes of the smallest change's length do, and what they could do."""
    directions, decades = image["directions"], image["flat_log10"]
    if directions is None or decades is None:
        return (
            "No smallest change is known, so there is no length at which random changes could "
            "stand beside it."
        )
    observed = (
        f"{rate(directions['hits'], directions['n'])} random changes of the smallest change's "
        f"length, L2 {number(directions['length'])}, change the answer."
    )
    if directions["not_finite"]:
        observed += f" {counted(directions['not_finite'], 'answer')} not finite, left out."
    if -decades < RARE_DECADES:
        share = probability(10**decades, 1 - 10**decades)
        return f"{observed} If the boundary were flat, {share} of such noise would."
    return (
        f"{observed} If the boundary were flat, noise of this length would change it about once in "
        f"1e{-decades:.0f} draws; so sampling cannot find what the search found, and finding "
        "nothing by sampling says nothing about it."
    )


def rays_sentence(rays: Rays) -> str:
    """Say how far random rays go before the answer changes."""
    n, crossed, median = rays["n"], rays["crossings"], rays["median"]
    if median is None:
        return (
            f"More than half of the random rays, {n - crossed} of {n}, never reach another answer, "
            f"although they were followed to L2 {number(rays['median_end'])}, where most pixels "
            "are black or white: there is no median distance."
        )
    high = f"{number(rays['high'])}" if rays["high"] is not None else "beyond the box"
    never = f"{counted(n - crossed, 'ray')} never {'does' if n - crossed == 1 else 'do'}"
    return (
        f"Half of {n} random rays reach another answer within L2 {number(median)} (95 % interval "
        f"{number(rays['low'])} to {high}); {never if n > crossed else 'every ray does'}."
    )


def ratio_sentence(image: RandomNoiseImage) -> str:
    """Say what the ratio of random to smallest change means; empty without one."""
    rho, at_least = image["rho"], image["rho_at_least"]
    if rho is None and at_least is None:
        return ""
    values = f"{image['values']:,}"
    unit = f"As a multiple of the smallest change times the root of the {values} values that is"
    if rho is None:
        return (
            f"{unit} more than {number(at_least)}. Can't tell more: the box of possible images "
            "ends before half of the rays cross."
        )
    ratio = f"{unit} {number(rho)}; a flat boundary gives {FLAT_RHO:.2f}."
    if rho < MIN_USUAL_RHO:
        return (
            f"{ratio} Below {MIN_USUAL_RHO:g}, the answer is fragile under plain random noise, not "
            "only under a change that was searched for."
        )
    if rho > MAX_USUAL_RHO:
        return (
            f"{ratio} Above {MAX_USUAL_RHO:g}, random noise must go much further than geometry "
            "says: more likely is that the boundary bends, or that the search was misled; it is no "
            "sign of robustness."
        )
    return (
        f"{ratio} Between {MIN_USUAL_RHO:g} and {MAX_USUAL_RHO:g}, the two belong to the same "
        "boundary."
    )


def noise_sentence(noise: GaussianNoise, directions: RandomDirections | None) -> str:
    """Say what Gaussian noise predicts of the smallest change.

    Args:
        noise: The noise.
        directions: Random perturbations of the smallest change's length; None without one.
    """
    hits = rate(noise["hits"], noise["n"])
    left = f"{100 * noise['effective'] / noise['nominal']:.0f} %"
    observed = (
        f"Gaussian noise with σ = {number(noise['sigma'])} changes the answer in {hits} draws. "
        f"Cutting off at 0 and 1 leaves {left} of its length: L2 {number(noise['effective'])}."
    )
    if noise["reason"] == "never":
        return f"{observed} So no distance follows from noise: it can only be called far."
    if noise["distance"] is None:
        return (
            f"{observed} No σ was met at which 1 % to 20 % of the noise changes the answer, so no "
            "distance follows."
        )
    ends = f"{number(noise['nearest'])} to {number(noise['farthest'])}"
    observed += (
        f" A flat boundary would then lie at L2 {number(noise['distance'])} (95 % interval {ends})."
    )
    if noise["effective"] < MIN_LENGTH_LEFT * noise["nominal"]:
        return f"{observed} So much is cut off that this is only a rough figure: can't tell more."
    if directions is None:
        return observed
    factor = directions["length"] / noise["distance"]
    if factor < 1 / FACTOR:
        return (
            f"{observed} The smallest change is less than half of that: searched changes are more "
            "dangerous than the noise lets expect."
        )
    if factor <= FACTOR:
        return f"{observed} The smallest change is within a factor of {FACTOR}: noise explains it."
    return (
        f"{observed} The smallest change that was found is more than twice as far: can't tell "
        "whether the boundary bends or the search missed a smaller one."
    )


def distances(image: RandomNoiseImage, rays: Rays) -> Table:
    """Return distances: of the smallest change, of rays, and as noise predicts it.

    Args:
        image: The image's entry.
        rays: Its rays.
    """
    noise, directions = image["gaussian"], image["directions"]
    rows = []
    if directions:
        unit = math.sqrt(image["values"]) * directions["length"]
        flat = f"{number(FLAT_RHO * unit)}, if the boundary were flat"
        rows.append(_row("smallest change that was found", directions["length"], "an upper bound"))
        rows.append(
            _row(
                "random changes of that length", directions["mean_length"], _change_rate(directions)
            )
        )
    else:
        flat = "no smallest change is known"
    rows.append(
        _row(
            "random rays, median",
            rays["median"],
            f"{rays['crossings']} of {rays['n']} cross; expected {flat}",
        )
    )
    lengths = [radius for radius in rays["radii"] if radius is not None]
    if lengths:
        rows.append(_row("random rays, shortest", min(lengths), ""))
        rows.append(_row("random rays, longest that crosses", max(lengths), ""))
    if noise:
        rows.append(_row("Gaussian noise", noise["effective"], _change_rate(noise)))
        rows.append(_row("distance that noise predicts", noise["distance"], "a flat boundary"))
    explained = (
        "Farther right is better: a larger change is needed. Every dot is a random ray; one that "
        "never crosses is a triangle where it was left. The grey stroke is the median over all "
        "rays, the dashed line where a flat boundary would have it."
    )
    return Table(tuple(rows), title="How far changes go", caption=explained)


def _change_rate(count: Count) -> str:
    return f"{rate(count['hits'], count['n'])} change the answer"


def _row(what: str, distance: float | None, more: str) -> dict[str, str]:
    shown = "none" if distance is None else number(distance)
    return {"what": what, "L2 distance": shown, "and": more}
