"""Answers that are drawn as sentences are held to their types, whatever a worker sent."""

from __future__ import annotations

import copy
import json
import random

import pytest
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from diagnostics.report.diagnosis import tables
from diagnostics.report.formats import html
from diagnostics.report.table import Row
from diagnostics.schema.results.agreed import is_agreed
from diagnostics.schema.results.diagnosis import WhyAnswer
from tests.report.diagnosis.answers import answer, arrays

WHY = "diagnosis/why"
NASTY = [None, True, 0, 7, -3.5, "", "trust", "x" * 20_000, [], {}, [1, 2], ["a"], {"id": "x"}]
NUMBERS = [10**400, -(10**400), float("inf"), float("nan"), 1e300]


def places(value, path=()):
    """Return the path of every value in JSON."""
    found = [path]
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            found += places(inner, (*path, key))
    return found


def changed(scores, path, value):
    scores = copy.deepcopy(scores)
    holder = scores
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = copy.deepcopy(value)
    return scores


def is_typed(scores):
    """Say by a library of types what our own check says."""
    try:
        check_type(scores, WhyAnswer, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError:
        return False
    return True


@pytest.fixture(scope="module")
def honest():
    return json.loads(json.dumps(answer()))


def test_an_honest_answer_is_as_agreed_and_of_other_methods_nothing_is_demanded(honest):
    assert is_agreed(WHY, honest)
    assert is_agreed(WHY, {**honest, "model": {"name": "x"}})
    assert not is_agreed(WHY, [honest])
    assert is_agreed("noise/noise", {"anything": 1})


def test_an_answer_with_another_type_anywhere_is_refused_as_a_library_of_types_says(honest):
    seen = set()
    for path in places(honest)[1:]:
        for value in NASTY:
            scores = changed(honest, path, value)
            expected = is_typed(scores) and value != "x" * 20_000
            if value is True:  # a truth value is no number here
                expected = expected and path[-1] == "holds"
            if path[-1] in ("hits", "n"):  # of a count, see the next test
                continue
            assert is_agreed(WHY, scores) == expected, (path, value)
            seen.add(expected)
    assert seen == {True, False}


def test_no_number_that_cannot_be_written_and_no_missing_or_unknown_key_passes(honest):
    for path in places(honest)[1:]:
        for value in NUMBERS:
            assert not is_agreed(WHY, changed(honest, path, value)), path
        holder = honest
        for key in path[:-1]:
            holder = holder[key]
        if isinstance(holder, dict):
            without = {key: value for key, value in holder.items() if key != path[-1]}
            for other in (without, {**holder, "another": 1}):
                scores = changed(honest, path[:-1], other) if path[:-1] else other
                assert not is_agreed(WHY, scores), path


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_a_count_of_more_than_there_are_is_refused(honest, hits, n):
    right = {"hits": 5, "n": 5, "interval": [0.5, 1.0]}
    path = ("diagnosis", "right")
    assert is_agreed(WHY, changed(honest, path, right))
    assert not is_agreed(WHY, changed(honest, path, {**right, "hits": hits, "n": n}))


def test_lists_longer_than_any_answer_are_refused(honest):
    assert not is_agreed(WHY, {**honest, "notes": ["a"] * 20_000})


def test_whatever_passes_can_be_drawn(honest):
    """Thousands of answers with one or two values of another place or kind in them."""
    chance, paths, drawn = random.Random(0), places(honest)[1:], 0
    values = [*NASTY, *(honest["images"][1]["causes"]), -1, 99, 1e14, -1e14, "\ud800", "\x1b[2J"]
    for _ in range(3000):
        scores = honest
        for _ in range(chance.choice((1, 1, 2))):
            path = chance.choice(paths)
            try:
                scores = changed(scores, path, chance.choice(values))
            except (KeyError, IndexError, TypeError):
                continue  # the first change took its place away
        if not is_agreed(WHY, scores):
            continue
        drawn += 1
        cells = tables.cards(scores)
        rows = [Row(tuple(cells), tables.model_sentence(scores["diagnosis"]))]
        for index, image in enumerate(scores["images"]):
            rows += tables.evidence(image, arrays(), index)
        assert html.page("Why", {}, {"Why": rows})
    assert drawn > 200
