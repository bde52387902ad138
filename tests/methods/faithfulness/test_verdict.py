"""The rule by which a map is trusted, doubted, or neither."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from diagnostics.methods.faithfulness._verdict import (
    ALIKE,
    MAX_UNTRAINED,
    MIN_CELLS,
    NEAR_FLOOR,
    STEADY,
    criteria,
    null_maps_beaten,
    untrained_probability,
    verdict,
)
from diagnostics.schema.results.faithfulness import (
    Correlations,
    Evaluation,
    InsertionDeletion,
    LastLayer,
    Randomization,
)


def areas(gain, *, flat=False, **nulls):
    """A map that gains so much, beside null maps of which the best is noise that gains 1."""
    gains = {"random networks": [0.2], "other images": [], "centre": [0.5], "edges": [0.3]}
    gains |= {"noise": [1.0, -0.5]} | {kind.replace("_", " "): each for kind, each in nulls.items()}
    return InsertionDeletion(deletion=1.0, insertion=1.0 + gain, nulls=gains, flat=flat)


def fills(mean, blur, **nulls):
    return {"insertion_deletion": {"mean": areas(mean, **nulls), "blur": areas(blur, **nulls)}}


def correlations(reason="", **parts):
    """Of copies and of these with one another, by part."""
    quiet = ([0.1], [0.1])
    read = {
        part: Correlations(copies=quiet[0], floor=quiet[1]) for part in ("head", "upper", "all")
    }
    read |= {part: Correlations(copies=each[0], floor=each[1]) for part, each in parts.items()}
    return {"randomization": Randomization(**read, reason=reason)}


def layer(spread, *shuffled, reason=""):
    return {"last_layer": LastLayer(spread=spread, shuffled=list(shuffled), reason=reason)}


def evaluation(**changes):
    return Evaluation(
        **{
            "cells": 784,
            **layer(5.0, 1.0, 1.1, 1.2),
            **correlations(),
            "seed_correlations": [],
            **fills(2, 2),
            "rise": None,
            "sum": None,
            "rounding": 1e-3,
            **changes,
        }
    )


NOTHING = ([], [])
FLAT = {"mean": areas(0, flat=True), "blur": areas(0, flat=True)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "trust"),
        (layer(1.3, 1.0, 1.1, 1.2), "can't tell"),
        (layer(0.5, 1.0, 1.1, 1.2), "can't tell"),
        (layer(0.0, reason="The answer stays the same."), "can't tell"),
        (correlations(head=([0.7], [0.7])), "trust"),
        (correlations(head=([ALIKE], [ALIKE])), "doubt"),
        (correlations(upper=([ALIKE], [0.2])), "doubt"),
        (correlations(all=([ALIKE], [])), "doubt"),
        (correlations(all=([0.85], [0.85 + NEAR_FLOOR + 0.01])), "trust"),
        (correlations("Not known.", head=NOTHING), "trust"),
        (correlations("Cannot be copied.", head=NOTHING, upper=NOTHING, all=NOTHING), "can't tell"),
        ({"cells": MIN_CELLS - 1}, "can't tell"),
        ({"cells": MIN_CELLS}, "trust"),
        ({"seed_correlations": [STEADY + 0.1]}, "trust"),
        ({"seed_correlations": [STEADY - 0.1]}, "doubt"),
        ({"rise": 2.0, "sum": 2.09}, "trust"),
        ({"rise": 2.0, "sum": 2.2}, "doubt"),
        ({"rise": 0.0, "sum": 5e-4}, "trust"),
        (fills(3, -0.9), "trust"),
        (fills(1, 1), "can't tell"),
        (fills(2, 2, centre=[2.0]), "can't tell"),
        (fills(2, 2, other_images=[0.0, 2.1]), "can't tell"),
        (fills(2, 2, random_networks=[2.1]), "can't tell"),
        (fills(0, 0), "can't tell"),
        (fills(-0.6, -0.6), "doubt"),
        ({"insertion_deletion": FLAT}, "can't tell"),
    ],
    ids=str,
)
def test_the_verdict_follows_its_rule(changes, expected):
    judged = criteria("", evaluation(**changes))
    assert verdict(judged) == expected
    assert all(criterion["reason"].endswith(".") for criterion in judged)


def test_a_map_that_cannot_be_evaluated_is_neither_trusted_nor_doubted():
    judged = criteria("The map is blank.", None)
    assert verdict(judged) == "can't tell"
    assert [criterion["reason"] for criterion in judged] == ["The map is blank."]


def test_the_weaker_of_two_figures_decides():
    """Of an even number of copies the larger correlation of the middle two counts."""
    judged = criteria("", evaluation(**correlations(head=([0.1, 0.2, 0.9, 0.95], [0.9]))))
    assert judged[1]["status"] == "against"
    assert "+0.90 with last layer random" in judged[1]["reason"]


def test_a_reason_says_how_many_null_maps_are_beaten():
    """Noise upside down is noise too, and a tie is half a win."""
    (_, _, criterion) = criteria("", evaluation(**fills(0.5, 0.5)))
    assert "1 of 1 maps of random networks, 0.5 of 1 blob in the middle" in criterion["reason"]
    assert "2.5 of 4 maps of noise" in criterion["reason"]


def test_an_independent_count_of_beaten_maps():
    """Ranks by sorting, of random figures."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        drawn = {kind: generator.normal(size=(2, 5)) for kind in ("random networks", "noise")}
        gains = generator.normal(size=2)
        by_fill = {
            fill: InsertionDeletion(
                deletion=0.0,
                insertion=gains[row],
                nulls={kind: list(values[row]) for kind, values in drawn.items()},
                flat=False,
            )
            for row, fill in enumerate(("mean", "blur"))
        }
        pooled = np.concatenate([drawn["noise"].sum(0), -drawn["noise"].sum(0)])
        expected = {
            "random networks": (
                np.searchsorted(sorted(drawn["random networks"].sum(0)), gains.sum()),
                5,
            ),
            "noise": (np.searchsorted(sorted(pooled), gains.sum()), 10),
        }
        assert null_maps_beaten(by_fill) == expected


def test_the_probability_is_scipys_of_the_same_mean_and_variance():
    shuffled = [0.9, 1.0, 1.3, 1.1]
    squares = np.square(shuffled)
    scale = squares.var(ddof=1) / squares.mean() / 2
    for spread in (0.5, 1.2, 2.0):
        expected = chi2.sf(spread**2 / scale, squares.mean() / scale)
        found = untrained_probability(LastLayer(spread=spread, shuffled=shuffled, reason=""))
        assert found == pytest.approx(expected, rel=1e-9)


def test_an_untrained_last_layer_is_called_one_as_often_as_stated():
    """Weights and features are drawn; the spread is that of their products."""
    generator = np.random.default_rng(0)
    for classes, width in ((10, 64), (2, 32)):
        features = generator.normal(size=(34, width)) * generator.exponential(size=width)
        features -= features.mean(0)

        def spreads(count, classes=classes, width=width, features=features):
            weights = generator.uniform(-1, 1, size=(count, width, classes))
            logits = features @ (weights - weights.mean(2, keepdims=True))
            return np.sqrt((logits**2).mean((1, 2)))

        found = [
            untrained_probability(
                LastLayer(spread=spreads(1)[0], shuffled=list(spreads(199)), reason="")
            )
            for _ in range(200)
        ]
        assert 0.01 < np.mean(np.array(found) < 0.05) < 0.1
        assert min(found) > MAX_UNTRAINED
