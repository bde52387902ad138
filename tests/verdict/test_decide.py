"""The verdict of constructed findings: order, stops, and what is never said."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from diagnostics.schema.results.diagnosis import Finding
from diagnostics.verdict.causes import BY_ID, CAUSES
from diagnostics.verdict.decide import Situation, decide

USUAL = Situation(
    said="3",
    p=0.99,
    one_minus_p=0.01,
    good=200,
    labelled=200,
    competent=True,
    nearest=10,
    agreeing=10,
    strangest=0.5,
)


def finding(cause: str, *, holds: bool = True, **changes: Any) -> Finding:
    made = Finding(
        id=cause,
        holds=holds,
        confidence=0.5,
        p_before=0.99,
        p_after=0.1,
        turned={"hits": 20, "n": 24, "interval": [0.6, 0.95]},
        placebo=None,
        done="Without it,",
        sentence="the model reads it",
        fix="look at it",
        why_not="" if holds else "It does nothing.",
        box=None,
        effects=[],
        evidence=[],
    )
    return Finding(**{**made, **changes})  # type: ignore[typeddict-item]


def ids(findings: list[Finding], situation: Situation = USUAL) -> list[str]:
    return [one["id"] for one in decide(findings, situation).causes]


@pytest.mark.parametrize("cause", [cause.id for cause in CAUSES if cause.ends])
def test_a_cause_that_ends_the_search_stands_alone(cause: str) -> None:
    others = [finding(one.id) for one in CAUSES if not one.ends and not one.id.startswith("none.")]
    assert ids([*others, finding(cause)]) == [cause]


def test_strangeness_never_stands_before_a_cause() -> None:
    for cause in CAUSES:
        if cause.id.startswith("none.") or cause.id in (
            "image.out_of_distribution",
            "classes.overlap",
        ):
            continue
        assert ids([finding("image.out_of_distribution"), finding(cause.id)])[0] == cause.id


def test_the_stronger_of_two_parts_is_named_first_and_close_ones_in_their_order() -> None:
    weak = finding("shortcut.local", p_after=0.6)
    strong = finding("reliance.texture", p_after=0.01)
    assert ids([weak, strong]) == ["reliance.texture", "shortcut.local"]
    close = finding("shortcut.local", p_after=0.1)
    assert ids([strong, close]) == ["shortcut.local", "reliance.texture"]


def test_what_did_not_hold_is_kept_with_its_reason() -> None:
    decision = decide([finding("shortcut.local", holds=False)], USUAL)
    assert [(one["id"], one["why_not"]) for one in decision.tried] == [
        ("shortcut.local", "It does nothing.")
    ]


def test_trust_needs_images_labels_competence_neighbours_and_nothing_strange() -> None:
    assert decide([], USUAL).verdict == "trust"
    lacking = (
        {"good": 19},
        {"labelled": 19},
        {"competent": False},
        {"agreeing": 5},
        {"nearest": 0, "agreeing": 0},
        {"nearest": 2, "agreeing": 2},
        {"strangest": 0.01},
    )
    for change in lacking:
        assert decide([], replace(USUAL, **change)).verdict == "cannot_tell"


def test_nothing_is_trusted_where_a_cause_holds_or_no_good_images_are_known() -> None:
    values = product((0, 10, 500), (0.3, 0.9999), (0, 10), (True, False), (None, 0.2))
    for good, p, agreeing, competent, strangest in values:
        situation = Situation("3", p, 1 - p, good, good, competent, 10, agreeing, strangest)
        assert decide([finding("shortcut.local")], situation).verdict == "distrust"
        if good < 20:
            without = decide([], situation)
            assert without.verdict == "cannot_tell"
            assert "20 known-good images" in without.needs


def test_the_sentence_says_what_was_done_what_became_of_it_and_how_many_turned() -> None:
    sentence = decide([finding("shortcut.local")], USUAL).sentence
    assert sentence == (
        "The model says “3” with 99.0 %. Without it, p of “3” falls to 10.0 %. 20 of 24 other good "
        "images become “3” with it. The model reads it."
    )


def test_of_noise_that_is_said_to_be_the_same_it_is_said_without_good_images() -> None:
    alone = replace(USUAL, good=0, labelled=0, nearest=0, agreeing=0, strangest=None, noise=0.75)
    assert "75 % of images of noise" in decide([], alone).sentence


def test_every_cause_has_one_place() -> None:
    assert len(BY_ID) == len(CAUSES)
