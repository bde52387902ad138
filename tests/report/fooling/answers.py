"""Answers about fooling images, built class by class."""

from __future__ import annotations

import numpy as np

from diagnostics.report.fooling import tables
from diagnostics.schema.results.fooling import FoolingAnswer, FoolingClass
from diagnostics.schema.results.ood import (
    DetectionAnswer,
    FalseAlarms,
    Placement,
    ScoredImage,
    ScoreInfo,
)


def fooling_class(index, p, reached_at=None):
    """Return a class with its probability, which reached every milestone at an iteration."""
    return FoolingClass(
        index=index,
        name=f"class {index}",
        probability=p,
        one_minus_p=None if p is None else 1 - p,
        margin=None if p is None else float(np.log(p) - np.log(1 - p)),
        found_at=None if p is None else 3,
        milestones=dict.fromkeys(tables.MILESTONES, reached_at),
    )


def fooling_answer(*classes, complete=True, images_left_out=0):
    """Return an answer of four steps with the first class's image."""
    return FoolingAnswer(
        algorithm="gradient ascent",
        unit="step",
        iterations=4,
        max_iterations=9,
        complete=complete,
        seed=1,
        evaluations=1234,
        not_finite=0,
        n_found=sum(one["probability"] is not None for one in classes),
        images_left_out=images_left_out,
        classes=list(classes),
        image_indices=[0],
        trace_iterations=[0, 2, 4],
        trace_indices=[one["index"] for one in classes],
        notes=[],
    )


def detection_answer(p_values, n=100):
    """Return an answer about images, each given by its p-value by two scores, A and B."""
    methods = ("ood/a", "ood/b")
    images = [
        ScoredImage(
            file=f"{number}.png",
            top=[],
            scores={method: placement(p, n) for method, p in zip(methods, of_image, strict=True)},
            flagged=None,
        )
        for number, of_image in enumerate(p_values)
    ]
    available = [
        ScoreInfo(
            method=method,
            title=method[-1].upper(),
            summary="",
            measure="",
            blind="",
            source="",
            fitted=False,
            threshold=None,
        )
        for method in methods
    ]
    return DetectionAnswer(
        default="ood/a",
        available=available,
        left_out=[],
        preprocessing=None,
        reference=None,
        distribution_shift=None,
        false_alarms=FalseAlarms(
            promised=0.05, low=0.01, high=0.1, n=n, scores=2, by_any=None, note=""
        ),
        discoveries=None,
        images=images,
        notes=[],
    )


def placement(p, n):
    return Placement(
        value=1.0,
        percentile=None if p is None else 100 * (1 - p),
        p_value=p,
        n=n,
        direction="higher is stranger",
        flagged=None,
    )
