"""Answers about OOD scores of two scores, with what they rest on."""

from __future__ import annotations

import numpy as np

from diagnostics.metrics.false_discovery import discoveries
from diagnostics.report.ood.tables import Detection
from diagnostics.schema.results import Count
from diagnostics.schema.results.ood import (
    HIGHER,
    Counts,
    DetectionAnswer,
    EvaluationAnswer,
    FalseAlarms,
    LeftOutScore,
    Placement,
    RankedClass,
    ScoredImage,
    ScoreInfo,
    ScoreOverview,
    Separation,
)

N = 99
ID_SCORES = np.sort(np.random.default_rng(0).normal(0, 1, N))
OOD_SCORES = np.sort(np.random.default_rng(1).normal(2, 1, 60))
NAMES = {"ood/one": "Score <one>", "ood/two": "Second"}
ARRAYS = {
    "in_distribution/one": ID_SCORES,
    "out_of_distribution/one": OOD_SCORES,
    "in_distribution/two": ID_SCORES,
    "out_of_distribution/two": OOD_SCORES[:40] - 1,
}
NEEDS_FOLDER = "It needs a folder of images."


def placement(value, id_scores=ID_SCORES, alpha=0.05):
    """Return a score's place, counted with a loop."""
    below, count = int(sum(score < value for score in id_scores)), len(id_scores)
    p_value = (1 + count - below) / (count + 1)
    return Placement(
        value=float(value),
        percentile=100 * below / count,
        p_value=p_value,
        n=count,
        direction=HIGHER,
        flagged=p_value <= alpha,
    )


def without_place(value):
    return Placement(
        value=value, percentile=None, p_value=None, n=0, direction=HIGHER, flagged=None
    )


def overview():
    available = [
        ScoreInfo(
            method=name,
            title=title,
            summary=f"What {title} measures.",
            measure=f"A number of {title}.",
            blind=f"what {title} misses",
            source="A paper",
            fitted=True,
            threshold=None,
        )
        for name, title in NAMES.items()
    ]
    left_out = [
        LeftOutScore(method="ood/vim", title="ViM", reason=NEEDS_FOLDER),
        LeftOutScore(method="ood/knn", title="kNN", reason=NEEDS_FOLDER),
        LeftOutScore(method="ood/bn", title="BatchNorm", reason="There is none."),
    ]
    return ScoreOverview(default="ood/one", available=available, left_out=left_out)


def answer(images, n=N):
    """Return an answer about images, each a name and its place by every score."""
    first = RankedClass(
        {"class": "x", "index": 0, "probability": 0.973, "one_minus_p": 0.027, "logit": 4.0}
    )
    return DetectionAnswer(
        **overview(),
        preprocessing=None,
        reference=None,
        distribution_shift=None,
        false_alarms=FalseAlarms(
            promised=0.05,
            low=0.01,
            high=0.1,
            n=n,
            scores=2,
            by_any=Count(hits=9, n=n, interval=[0.05, 0.16]),
            note="",
        ),
        discoveries=discoveries(
            [name for name, _ in images], [one["p_value"] for _, one in images], n, 0.05
        ),
        images=[
            ScoredImage(
                file=name,
                top=[first],
                scores=dict.fromkeys(NAMES, place),
                flagged=place["flagged"],
            )
            for name, place in images
        ],
        notes=[],
    )


def detection_of(*images, score="ood/one", alpha=0.05, n=N):
    names = tuple(name for name, _ in images)
    return Detection(answer(images, n), names, score, alpha)


def evaluation(aurocs):
    """Return an answer with these AUROCs by the scores' ids."""
    separations = {
        name: Separation(
            auroc=value,
            low=value - 0.1,
            high=value + 0.05,
            false_alarms_at_95_caught=0.2283,
            missed_at_95_accepted=0.6875,
            direction=HIGHER,
            n=Counts(in_distribution=N, out_of_distribution=60),
        )
        for name, value in aurocs.items()
    }
    return EvaluationAnswer(**overview(), scores=separations, notes=[])
