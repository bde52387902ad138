"""Answers of sweeps made from the predictions that a test wants, through the method's own code."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from diagnostics.corruptions.registry import find
from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.corruption._sweep import (
    SweepAxis,
    SweptLogits,
    class_names,
    label_changes,
    swept_image,
)
from diagnostics.metrics.intervals import counted
from diagnostics.schema.results.corruption import (
    NOT_FINITE,
    QuantileBand,
    SweepAnswer,
    SweptImage,
)
from tests.networks_for_tests import classifier, linear

NAMES = ("x", "e", "a name that is far too long for one step")
SLOPES = SweepAxis(find("contrast"), (0, 10, 20, 30))
P = 0.9  # of the class that is predicted; the others share the rest


def image(predicted, file="x.png", axes=(SLOPES,), clean=0, names=NAMES) -> SweptImage:
    """Return an image whose class at each point is as listed, None where it was not asked."""
    spec = replace(classifier(linear(1, len(names)), 1, classes=len(names)).spec, class_names=names)

    def logits(index):
        if index is None or index == NOT_FINITE:
            return np.full(len(names), np.nan, np.float32)
        p = np.full(len(names), (1 - P) / (len(names) - 1), np.float32)
        p[index] = P
        return np.log(p)

    swept = SweptLogits(
        name=file,
        label=UNKNOWN,
        clean=logits(clean),
        logits=np.stack([logits(index) for index in predicted]),
        evaluated=np.array([index is not None for index in predicted]),
        thumbnails={point: np.zeros(()) for point in range(len(predicted))},
    )
    entry = swept_image(swept, spec, None)
    if len(axes) == 1:
        entry["label_changes"] = label_changes(entry, axes[0], names)
    return entry


def answer(*images, axes=(SLOPES,), bands=(), names=NAMES) -> SweepAnswer:
    """Return the answer of a sweep."""
    return SweepAnswer(
        axes=[axis.entry() for axis in axes],
        images=list(images),
        quantile_bands=list(bands),
        size=[4, 4],
        classes=class_names(images, names),
        n=len(images),
        labelled=0,
        requested=len(images),
        complete=True,
        notes=[],
    )


def arrays(sweep):
    """Return grey pictures for every step that has one."""
    grey = np.full((4, 4, 1), 128, np.uint8)
    steps = {
        f"image/{row}/step/{step}": grey
        for row, one in enumerate(sweep["images"])
        for step in one["thumbnails"]
    }
    return steps | {f"image/{row}/clean": grey for row in range(len(sweep["images"]))}


def band(unchanged, n=10, correct=None) -> QuantileBand:
    """Return what n images do at one step."""
    return QuantileBand(
        n=n,
        not_finite=0,
        probability_quantiles=[0.2, 0.5, 0.9] if n else None,
        one_minus_p_quantiles=[0.8, 0.5, 0.1] if n else None,
        unchanged=counted(unchanged, n),
        correct=counted(correct or 0, n if correct else 0),
    )


def log_odds(p):
    return math.log10(p / (1 - p))
