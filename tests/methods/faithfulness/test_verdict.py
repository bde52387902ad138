"""The rule by which a map is trusted, doubted, or neither."""

from __future__ import annotations

import pytest

from diagnostics.methods.faithfulness._verdict import ALIKE, MIN_CELLS, STEADY, criteria, verdict
from diagnostics.schema.results.faithfulness import Evaluation, InsertionDeletion, Randomization


def areas(insertion=1.0, deletion=1.0, *, flat=False):
    return InsertionDeletion(
        deletion=0.0,
        insertion=0.0,
        random_deletion=[0.0] * 12,
        random_insertion=[0.0] * 12,
        deletion_win_rate=deletion,
        insertion_win_rate=insertion,
        random_maps=12,
        flat=flat,
    )


def fills(mean, blur):
    return {"insertion_deletion": {"mean": areas(*mean), "blur": areas(*blur)}}


def correlations(head, everything, reason=""):
    return {"randomization": Randomization(head=head, all=everything, reason=reason)}


def evaluation(**changes):
    return Evaluation(
        **{
            "cells": 784,
            **correlations([0.1], [0.0]),
            "seed_correlations": [],
            **fills((1, 1), (1, 1)),
            "rise": None,
            "sum": None,
            "rounding": 1e-3,
            **changes,
        }
    )


FLAT = {"mean": areas(0.5, 0.5, flat=True), "blur": areas(0.5, 0.5, flat=True)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "trust"),
        (correlations([0.1, ALIKE], [0.0]), "doubt"),
        (correlations([0.1], [0.0, ALIKE]), "doubt"),
        (correlations([], [0.0], "Not known."), "trust"),
        (correlations([], [], "Cannot be copied."), "can't tell"),
        ({"cells": MIN_CELLS - 1}, "can't tell"),
        ({"cells": MIN_CELLS}, "trust"),
        ({"seed_correlations": [STEADY + 0.1]}, "trust"),
        ({"seed_correlations": [STEADY - 0.1]}, "doubt"),
        ({"rise": 2.0, "sum": 2.09}, "trust"),
        ({"rise": 2.0, "sum": 2.2}, "doubt"),
        ({"rise": 0.0, "sum": 5e-4}, "trust"),
        (fills((1, 0.5), (1, 1)), "trust"),
        (fills((1, 0.3), (1, 1)), "can't tell"),
        (fills((1, 1), (0.8, 0.8)), "can't tell"),
        (fills((0.7, 0.2), (0.4, 0.1)), "doubt"),
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
    judged = criteria("", evaluation(**correlations([0.1, 0.2, 0.6, 0.7], [0.0])))
    assert judged[0]["status"] == "against"
    assert "+0.60 with last layer random" in judged[0]["reason"]


def test_a_reason_says_how_many_random_maps_are_beaten():
    (_, criterion) = criteria("", evaluation(**fills((0.75, 1.0), (0.5, 0.25))))
    assert "9 and 12 of 12 on mean fill, 6 and 3 of 12 on blur fill" in criterion["reason"]
