"""Deletion and insertion: the score while pixels are taken away or put back, one by one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def area(
    score: Callable[[Values], float],
    image: Values,
    baseline: Values,
    heatmap: Values,
    *,
    insert: bool,
) -> float:
    """Return the area under the curve of the score over the share of pixels, by trapezoids.

    Args:
        score: Of an image of the same shape.
        image: Shape (h, w).
        baseline: What stands where a pixel is missing.
        heatmap: Which pixels go first: those with the largest value.
        insert: Put pixels into the baseline instead of taking them from the image.
    """
    shown = (baseline if insert else image).copy()
    scores = [score(shown)]
    for pixel in np.argsort(-heatmap, axis=None, kind="stable"):
        shown.flat[pixel] = (image if insert else baseline).flat[pixel]
        scores.append(score(shown))
    steps = [(before + after) / 2 for before, after in pairwise(scores)]
    return sum(steps) / len(steps)
