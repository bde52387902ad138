"""Both errors and AUROC as they are drawn, against loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.metrics.intervals import conformal_threshold, wilson
from diagnostics.report.ood import roc
from tests.report.ood.answers import (
    ARRAYS,
    ID_SCORES,
    NAMES,
    OOD_SCORES,
    N,
    evaluation,
    placement,
)


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.1, 0.29, 0.5])
def test_both_errors_are_those_that_a_loop_counts(alpha):
    flagged = sum(placement(one)["p_value"] <= alpha and one > min(ID_SCORES) for one in OOD_SCORES)
    counted = roc.errors(ID_SCORES, OOD_SCORES, alpha)
    assert counted.missed == len(OOD_SCORES) - flagged
    limit = conformal_threshold(ID_SCORES, alpha)
    assert counted.flagged == sum(one >= limit for one in ID_SCORES)
    assert counted.flagged / N <= alpha
    assert f"{counted.flagged} of {N} known-good images flagged" in counted.sentence
    low, high = wilson(counted.missed, len(OOD_SCORES))
    assert f"({100 * low:.0f}–{100 * high:.0f} %)" in counted.sentence


def test_the_curves_pass_through_the_threshold_and_every_corner():
    at = roc.errors(ID_SCORES, OOD_SCORES, 0.1)
    figure = roc.curves(ARRAYS, NAMES, "ood/one", at)
    mine, other, point = figure.data[:3]
    assert mine.line.width > other.line.width
    assert (point.x[0], point.y[0]) == (100 * at.flagged / N, 100 - 100 * at.missed / 60)
    area = np.trapezoid(np.array(mine.y) / 100, np.array(mine.x) / 100)
    wins = np.mean([(ood > own) + (ood == own) / 2 for ood in OOD_SCORES for own in ID_SCORES])
    assert area == pytest.approx(wins)
    assert f"AUROC {wins:.3f}" in mine.name
    assert figure.layout.xaxis.title.text == "known-good images flagged (%)"
    assert figure.layout.title.subtitle.text == "99 known-good images, 60 strangers"


def test_very_long_curves_keep_their_ends():
    random = np.random.default_rng(2)
    id_scores, ood_scores = np.sort(random.random(5000)), np.sort(random.random(5000) + 0.1)
    arrays = {"in_distribution/one": id_scores, "out_of_distribution/one": ood_scores}
    at = roc.errors(id_scores, ood_scores, 0.05)
    curve = roc.curves(arrays, {"ood/one": "One"}, "ood/one", at).data[0]
    assert len(curve.x) <= 400
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 100, 100)


def test_every_auroc_stands_with_its_band_and_both_meanings_of_fpr():
    separations = evaluation({"ood/one": 0.7, "ood/two": 0.9})["scores"]
    first, second = roc.aurocs(separations, NAMES).rows
    assert first["score"] == "Second"
    assert second["AUROC (95 % band)"] == "0.700 (0.600 to 0.750)"
    assert first["known-good flagged where 95 % of strangers are caught"] == "22.8 %"
    assert first["strangers missed where 95 % of known-good pass"] == "68.8 %"
    figure = roc.bands(separations, NAMES, "ood/one")
    mine, others = figure.data
    assert (list(mine.x), list(others.x)) == ([0.7], [0.9])
    assert mine.error_x.arrayminus[0] == pytest.approx(0.1)
    assert mine.error_x.array[0] == pytest.approx(0.05)
    assert list(figure.layout.yaxis.categoryarray)[-1] == "Second"


def test_the_numbers_of_the_curve_are_counts():
    for row, share in zip(roc.curve_numbers(ID_SCORES, OOD_SCORES).rows, roc.ALPHAS, strict=True):
        limit = conformal_threshold(ID_SCORES, share)
        missed = sum(one < limit for one in OOD_SCORES)
        assert row["strangers missed"] == f"{missed} of 60"
