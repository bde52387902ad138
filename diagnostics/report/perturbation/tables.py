"""Random changes and single pixels, in sentences, numbers and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from diagnostics.report.formatting import rate
from diagnostics.report.table import Table
from diagnostics.text import counted, number, probability

Entry = Mapping[str, Any]

FLAT_RHO = 1.4826  # 1 / Phi^-1(0.75): half of all rays cross a flat boundary within so much
FRAGILE, FAILED = 0.3, 3.0
RARE_DECADES = 4
CUT_OFF = 0.8  # of the length left, below which the noise is no longer Gaussian
FACTOR = 2  # between what noise predicts and what was found, up to which they agree


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
        share = probability(10**decades, 1 - 10**decades)
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
    never = f"{counted(n - crossed, 'ray')} never {'does' if n - crossed == 1 else 'do'}"
    return (
        f"Half of {n} random rays reach another answer within L2 {number(median)} (95 % interval "
        f"{number(rays['low'])} to {high}); {never if n > crossed else 'every ray does'}."
    )


def ratio(found: Entry) -> str:
    """Say what the ratio of random to smallest change means; empty without one."""
    rho, least = found["rho"], found["rho_at_least"]
    if rho is None and least is None:
        return ""
    values = f"{found['values']:,}"
    unit = f"As a multiple of the smallest change times the root of the {values} values that is"
    if rho is None:
        return (
            f"{unit} more than {number(least)}. Can't tell more: the box of possible images ends "
            "before half of the rays cross."
        )
    said = f"{unit} {number(rho)}; a flat boundary gives {FLAT_RHO:.2f}."
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
    if noise["effective"] < CUT_OFF * noise["nominal"]:
        return f"{said} So much is cut off that this is only a rough figure: can't tell more."
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


def screened(found: Entry) -> str:
    """Say what was asked in bfloat16 first, and how far float32 agreed; empty if nothing was."""
    said = found["screening"]
    if not said:
        return ""
    if said["tolerance"] is None:
        return "This network cannot be asked in bfloat16 first; everything was asked in float32."
    if said["close"]:
        return (
            "This image lies too near a change for bfloat16 to tell anything (its margin is below "
            f"{number(said['tolerance'])}); everything was asked in float32."
        )
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


def _of(tried: Entry) -> str:
    return f"{rate(tried['hits'], tried['n'])} change the answer"


def _row(what: str, distance: float | None, more: str) -> dict[str, str]:
    shown = "none" if distance is None else number(distance)
    return {"what": what, "L2 distance": shown, "and": more}
