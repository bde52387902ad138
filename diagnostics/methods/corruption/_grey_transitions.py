"""What predictions under corruptions say of a model: does it rely on grey transitions?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics.corruptions.conditions import CONDITIONS
from diagnostics.errors import InputError
from diagnostics.metrics.intervals import counted, wilson
from diagnostics.preprocessing.stages import Values
from diagnostics.schema.results.corruption import Conclusion, ConditionCounts, Verdict

MARGIN = 0.10  # a drop must be larger than this, with its whole interval
MIN_IMAGES = 20  # below which nothing is concluded
GREY_LOW, GREY_HIGH = 0.1, 0.9  # values between are greys
MAX_GREY_SHARE = 0.3  # of all values: an image with more of them is no drawing


HARD = "own_threshold"  # the condition that the verdict rests on
OTHER_RANGES = ("range_255th", "range_255", "negative")


def grey_share(values: Values) -> float:
    """Return which share of an image's values is neither nearly black nor nearly white."""
    return float(((values > GREY_LOW) & (values < GREY_HIGH)).mean())


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
    correlation = 0.0
    if product:
        shared = float(both * neither - first * second)
        if shared > 0:  # corrected for continuity
            shared = max(shared - n / 2, 0.0)
        correlation = shared / math.sqrt(product)
    p_below, q_above = p - low_p, high_q - q
    p_above, q_below = high_p - p, q - low_q
    low = (p - q) - _joint(p_below, q_above, correlation)
    high = (p - q) + _joint(p_above, q_below, correlation)
    return p - q, max(low, -1.0), min(high, 1.0)


def verdict(
    predicted: Mapping[str, NDArray[np.intp]], labels: NDArray[np.intp], greys: float
) -> Verdict:
    """Say whether a model relies on grey transitions, or that it cannot be told.

    Args:
        predicted: Class of every image under each of `CONDITIONS`, shape (n,); only images whose
            answers are all finite.
        labels: True classes, below zero where unknown, shape (n,).
        greys: Share of the images' values that are neither nearly black nor nearly white.
    """
    known = labels >= 0
    labelled = bool(known.any())
    chosen = known if labelled else np.ones(len(labels), np.bool_)
    n = int(chosen.sum())
    rate: Literal["accuracy", "same answers"] = "accuracy" if labelled else "same answers"
    if n == 0:
        return Verdict(
            conclusion="can't tell",
            reason="No image got finite answers.",
            drop=None,
            interval=[-1.0, 1.0],
            rate=rate,
            n=0,
        )
    truth = labels[chosen] if labelled else predicted["as_is"][chosen]
    right = {name: classes[chosen] == truth for name, classes in predicted.items()}
    drop, low, high = _drop(right["as_is"], right[HARD])
    steady = bool((predicted["range_same"][chosen] == predicted["as_is"][chosen]).all())
    better = _better_range(right) if labelled else None
    obstacle = _obstacle(n, greys, steady=steady, better_range=better, falls=low > MARGIN)
    conclusion, reason = obstacle or _conclusion(low, high, labelled=labelled)
    return Verdict(
        conclusion=conclusion, reason=reason, drop=drop, interval=[low, high], rate=rate, n=n
    )


def condition_counts(
    predicted: Mapping[str, NDArray[np.intp]], labels: NDArray[np.intp]
) -> list[ConditionCounts]:
    """Return for every condition how many images keep their prediction, and how many are right.

    Args:
        predicted: As for `verdict`.
        labels: As for `verdict`.
    """
    known, n = labels >= 0, len(labels)
    return [
        ConditionCounts(
            name=name,
            title=condition.title,
            group=condition.group,
            n=n,
            unchanged=counted(int((predicted[name] == predicted["as_is"]).sum()), n),
            correct=counted(int((predicted[name] == labels)[known].sum()), int(known.sum())),
        )
        for name, condition in CONDITIONS.items()
    ]


def _obstacle(
    n: int, greys: float, *, steady: bool, better_range: str | None, falls: bool
) -> tuple[Conclusion, str] | None:
    """Return why nothing can be concluded, whatever the drop is; None where it can."""
    reason = None
    if n < MIN_IMAGES:
        reason = f"This rests on {n} images; it takes {MIN_IMAGES} or more to tell."
    elif not steady:
        reason = "The model answered the same images otherwise when asked again."
    elif better_range:
        reason = (
            f"{better_range} is right more often than the values as they are, so the range is "
            "wrong, and what looks like edges may be the range. Mend it first."
        )
    elif falls and greys > MAX_GREY_SHARE:
        reason = (
            f"{100 * greys:.0f} % of the values are greys: these images are no drawings, and a "
            "threshold takes far more from them than the transitions at edges."
        )
    return ("can't tell", reason) if reason else None


def _conclusion(low: float, high: float, *, labelled: bool) -> tuple[Conclusion, str]:
    """Hold the interval of the drop against the margin."""
    if low > MARGIN:
        if labelled:
            return (
                "relies on grey transitions",
                "The threshold keeps the value range, and no other range is right more often.",
            )
        return (
            "relies on grey transitions",
            "The threshold keeps the value range; without labels it was not checked whether "
            "another range would be right more often.",
        )
    if high <= MARGIN:
        return "no sign of it", "The drop is at most ten points, its interval included."
    return "can't tell", "The interval holds both less and more than ten points."


def _better_range(right: Mapping[str, NDArray[np.bool_]]) -> str | None:
    """Return the title of a value range that is right more often than the images as they are."""
    for name in OTHER_RANGES:
        if -_drop(right["as_is"], right[name])[2] > MARGIN:
            return CONDITIONS[name].title
    return None


def _drop(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float, float]:
    cells = (before & after, before & ~after, ~before & after, ~before & ~after)
    return paired_drop(*(int(cell.sum()) for cell in cells))


def _joint(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(first**2 - 2 * correlation * first * second + second**2, 0))
