"""What may be read out of answers to altered images: where they turn, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diagnostics.corruptions.intensity import otsu
from diagnostics.corruptions.registry import Name, altered
from diagnostics.errors import InputError
from diagnostics.metrics.intervals import wilson
from diagnostics.preprocessing.stages import Values

Verdict: TypeAlias = Literal["relies on grey transitions", "no sign of it", "can't tell"]

POINTS = 0.10  # a drop must be larger than this, with its whole interval
LEAST = 20  # images, below which nothing is read
GREY_LOW, GREY_HIGH = 0.1, 0.9  # values between are greys
FEW_GREYS = 0.3  # of all values: an image with more of them is no drawing


@dataclass(frozen=True)
class Alteration:
    """One row of the probe: what is done to every image.

    Args:
        title: What people read.
        along: Axes with their numbers, one after the other.
        levels: Whether each image's own level parts black from white, see Otsu.
        group: "edges" alters the transitions and keeps the range; "range" alters the range alone.
    """

    title: str
    along: tuple[tuple[Name, float], ...] = ()
    levels: bool = False
    group: Literal["none", "edges", "range"] = "edges"

    def apply(self, values: Values, seed: int) -> Values:
        """Return an image of shape (h, w, c) in [0, 1] altered."""
        along = (("threshold", otsu(values)),) if self.levels else self.along
        return altered(values, along, seed)


PROBE: dict[str, Alteration] = {
    "as_is": Alteration("As it is", group="none"),
    **{
        f"contrast_{slope}": Alteration(f"Contrast curve, slope {slope}", (("contrast", slope),))
        for slope in (1, 5, 10, 25, 100)
    },
    "threshold": Alteration("Hard threshold at 0.5", (("threshold", 0.5),)),
    "own_threshold": Alteration("Hard threshold at each image's own level", levels=True),
    **{
        f"blur_{sigma:g}": Alteration(f"Gaussian blur, {sigma:g} px", (("blur", sigma),))
        for sigma in (0.5, 1.0, 2.0)
    },
    "thinner": Alteration("Dark parts grow by 1 px", (("thickened", -1),)),
    "thicker": Alteration("Bright parts grow by 1 px", (("thickened", 1),)),
    "faded": Alteration("ImageNet-C contrast, severity 1", (("imagenet_c_contrast", 1),)),
    "range_same": Alteration("Range × 1", (("value_range", 1),), group="range"),
    "range_255th": Alteration("Range ÷ 255", (("value_range", 1 / 255),), group="range"),
    "range_255": Alteration("Range × 255", (("value_range", 255),), group="range"),
    "negative": Alteration("Negative", (("inverted", 1),), group="range"),
}
HARD = "own_threshold"  # the row that the reading rests on
OTHER_RANGES = ("range_255th", "range_255", "negative")


@dataclass(frozen=True)
class Reading:
    """Whether the model relies on grey transitions.

    Args:
        verdict: In a word.
        why: In sentences.
        drop: By how much the hard threshold lowers the rate, 0.1 is ten points; None without
            images.
        interval: The 95 % interval of the drop.
        of: "accuracy" where there are labels, else "same answers".
        n: How many images it rests on.
    """

    verdict: Verdict
    why: str
    drop: float | None
    interval: tuple[float, float]
    of: str
    n: int

    def content(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**vars(self), "interval": list(self.interval)}


def grey_share(values: Values) -> float:
    """Return which share of an image's values is neither nearly black nor nearly white."""
    return float(((values > GREY_LOW) & (values < GREY_HIGH)).mean())


def turns(
    said: Sequence[int | None], before: int | None, neutral: int | None
) -> list[dict[str, Any]]:
    """Return where the answer changes on the way from the image as it is outwards.

    Args:
        said: Class at each step; below zero where the answer was not finite, None where it was not
            asked.
        before: Class of the image as it is.
        neutral: Place of the step that leaves the image as it is, from which the way goes both
            up and down; None begins at the first step.

    Returns:
        "place" of the step that is new, "last" step before it (None: the image as it is), and the
        classes "was" and "now"; the way up first.
    """
    if neutral is None:
        ways = [range(len(said))]
    else:
        ways = [range(neutral, len(said)), range(neutral, -1, -1)]
    found = []
    for way in ways:
        was, last = before, None
        for place in way:
            now = said[place]
            if now is None:
                break
            if now != was:
                found.append({"place": place, "last": last, "was": was, "now": now})
            was, last = now, place
    return found


def paired_drop(both: int, first: int, second: int, neither: int) -> tuple[float, float, float]:
    """Return by how much a rate falls on the same images, and the 95 % interval of the fall.

    Args:
        both: Images that count before and after.
        first: Images that count before only.
        second: Images that count after only.
        neither: Images that count neither time.

    Returns:
        Rate before minus rate after, and the ends of its interval, each from -1 to 1.

    Raises:
        InputError: When there is no image.

    Source:
        Newcombe 1998, "Improved confidence intervals for the difference between binomial
        proportions based on paired data", method 10.
    """
    n = both + first + second + neither
    if n == 0:
        raise InputError("A drop needs at least one image.")
    before, after = both + first, both + second
    p, q = before / n, after / n
    (low_p, high_p), (low_q, high_q) = wilson(before, n), wilson(after, n)
    product = before * (n - before) * after * (n - after)
    link = 0.0
    if product:
        shared = float(both * neither - first * second)
        if shared > 0:  # corrected for continuity
            shared = max(shared - n / 2, 0.0)
        link = shared / math.sqrt(product)
    down, up = p - low_p, high_q - q
    above, under = high_p - p, q - low_q
    low = (p - q) - math.sqrt(max(down**2 - 2 * link * down * up + up**2, 0))
    high = (p - q) + math.sqrt(max(above**2 - 2 * link * above * under + under**2, 0))
    return p - q, max(low, -1.0), min(high, 1.0)


def reading(
    said: Mapping[str, NDArray[np.intp]], labels: NDArray[np.intp], greys: float
) -> Reading:
    """Say whether a model relies on grey transitions, or that it cannot be told.

    Args:
        said: Class of every image under each alteration of `PROBE`, shape (n,); only images whose
            answers are all finite.
        labels: True classes, below zero where unknown, shape (n,).
        greys: Share of the images' values that are neither nearly black nor nearly white.
    """
    known = labels >= 0
    labelled = bool(known.any())
    chosen = known if labelled else np.ones(len(labels), np.bool_)
    n = int(chosen.sum())
    of = "accuracy" if labelled else "same answers"
    if n == 0:
        return Reading("can't tell", "No image got finite answers.", None, (-1.0, 1.0), of, 0)
    truth = labels[chosen] if labelled else said["as_is"][chosen]
    right = {name: classes[chosen] == truth for name, classes in said.items()}
    drop, low, high = _fall(right["as_is"], right[HARD])

    def read(verdict: Verdict, why: str) -> Reading:
        return Reading(verdict, why, drop, (low, high), of, n)

    if n < LEAST:
        return read("can't tell", f"This rests on {n} images; it takes {LEAST} or more to tell.")
    if (said["range_same"][chosen] != said["as_is"][chosen]).any():
        return read("can't tell", "The model answered the same images otherwise when asked again.")
    if labelled:
        for name in OTHER_RANGES:
            if -_fall(right["as_is"], right[name])[2] > POINTS:
                title = PROBE[name].title
                why = (
                    f"{title} is right more often than the values as they are, so the range is "
                    "wrong, and what looks like edges may be the range. Mend it first."
                )
                return read("can't tell", why)
    if low > POINTS:
        if greys > FEW_GREYS:
            why = (
                f"{100 * greys:.0f} % of the values are greys: these images are no drawings, and a "
                "threshold takes far more from them than the transitions at edges."
            )
            return read("can't tell", why)
        return read("relies on grey transitions", _range_said(labelled))
    if high <= POINTS:
        return read("no sign of it", "The drop is at most ten points, its interval included.")
    return read("can't tell", "The interval holds both less and more than ten points.")


def rows(said: Mapping[str, NDArray[np.intp]], labels: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Return for every alteration how many images keep their answer, and how many are right.

    Args:
        said: As for `reading`.
        labels: As for `reading`.
    """
    known, n = labels >= 0, len(labels)
    found = []
    for name, one in PROBE.items():
        kept = int((said[name] == said["as_is"]).sum())
        right = int((said[name] == labels)[known].sum())
        of = int(known.sum())
        found.append(
            {
                "name": name,
                "title": one.title,
                "group": one.group,
                "n": n,
                "kept": {"hits": kept, "interval": list(wilson(kept, n))},
                "right": {"hits": right, "n": of, "interval": list(wilson(right, of))},
            }
        )
    return found


def _range_said(labelled: bool) -> str:
    if labelled:
        return "The threshold keeps the value range, and no other range is right more often."
    return (
        "The threshold keeps the value range; without labels it was not checked whether another "
        "range would be right more often."
    )


def _fall(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float, float]:
    cells = (before & after, before & ~after, ~before & after, ~before & ~after)
    return paired_drop(*(int(cell.sum()) for cell in cells))
