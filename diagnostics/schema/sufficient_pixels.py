"""Sufficient pixels: what may stand in the place of hidden ones, and what a search costs."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

from diagnostics.schema.results.sufficient_pixels import Confidence
from diagnostics.text import probability

Fill: TypeAlias = Literal["dataset_mean", "black", "image_mean", "blur", "noise", "road"]

FILLS = {
    "dataset_mean": "mean colour of the training images",
    "black": "black",
    "image_mean": "mean colour of the image",
    "blur": "the image, blurred",
    "noise": "uniform noise",
    "road": "what the pixels around it suggest (ROAD)",
}
PREVIEW_STEPS = 100
FEW_PIXELS, FULL_STEP = 4096, 100
FINER_STEPS = 40  # of a finer search of the last pixels

WRONG_CLASSES, RANDOM_SUBSETS, NOISES = 3, 8, 4
ERROR_RATES = (
    "On small grey networks that the rule was not chosen on, 1 of 92 correct images of healthy "
    "ones was called overinterpreted, and 12 of 48 with a planted cue: most cues are missed."
)
MAX_FILLS = 5


class Passes(NamedTuple):
    """How many passes of one image a search takes at most.

    Args:
        forward: Forward alone.
        both: Forward and backward.
    """

    forward: int
    both: int


def default_step(pixels: int, *, full: bool = False) -> int:
    """Return how many pixels are hidden at a time.

    Args:
        pixels: Of the image.
        full: One pixel at a time where there are few, 100 otherwise; else about 100 steps.
    """
    if full:
        return 1 if pixels <= FEW_PIXELS else FULL_STEP
    return max(1, pixels // PREVIEW_STEPS)


def batched_passes(
    pixels: int, step: int, *, subsets: int = 1, controls: bool = True, classes: int = 2
) -> Passes:
    """Return the cost of a search by gradients.

    Args:
        pixels: Of the image.
        step: Pixels hidden at a time.
        subsets: Disjoint subsets looked for.
        controls: Whether the controls run with it.
        classes: Of the model.
    """
    steps = math.ceil(pixels / step)
    wrong = min(WRONG_CLASSES, classes - 1) if controls else 0
    finer = refinement_passes(step, steps)
    forward = 4 + wrong + subsets * (2 + finer.forward)
    forward += RANDOM_SUBSETS + NOISES + MAX_FILLS if controls else 0
    return Passes(forward, steps * (subsets + wrong) + subsets * finer.both)


def exact_passes(
    pixels: int,
    *,
    subsets: int = 1,
    controls: bool = True,
    classes: int = 2,
    has_gradients: bool = True,
) -> Passes:
    """Return the cost of an exact search.

    Args:
        pixels: Of the image.
        subsets: Disjoint subsets looked for.
        controls: Whether the controls run with it.
        classes: Of the model.
        has_gradients: Whether the model offers them; wrong classes are searched by them then.
    """
    each = pixels * (pixels + 1) // 2 + 1
    step = default_step(pixels)
    forward, both = batched_passes(pixels, step, subsets=0, controls=controls, classes=classes)
    wrong = min(WRONG_CLASSES, classes - 1) if controls and not has_gradients else 0
    return Passes(forward + (subsets + wrong) * each, both if has_gradients else 0)


def refinement_passes(step: int, steps: int) -> Passes:
    """Return the cost of searching the last pixels more finely.

    Args:
        step: Pixels hidden at a time in the search before.
        steps: Of that search.
    """
    forward = both = 0
    while step > 1:
        last = 2 * step
        if last <= exact_pixels(step, steps):
            return Passes(forward + last * (last + 1) // 2 + 1, both)
        step = finer_step(last)
        forward, both = forward + 1, both + math.ceil(last / step)
    return Passes(forward, both)


def finer_step(last: int) -> int:
    """Return in which steps so many last pixels are searched again: about 40 of them."""
    return max(1, last // FINER_STEPS)


def exact_pixels(step: int, steps: int) -> int:
    """Return how many of the last pixels are ordered exactly: 4 passes for a step at most."""
    return min(2 * step, int((math.sqrt(32 * steps + 1) - 1) / 2))


def percent(size: int, pixels: int) -> str:
    """Return which share of the pixels a subset is, such as "3.1 %"."""
    share = size / pixels
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def confidence_text(figures: Confidence) -> str:
    """Return a confidence as people read it."""
    return probability(figures["confidence"], figures["one_minus_p"])
