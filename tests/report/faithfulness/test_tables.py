"""Verdicts on maps in words, in tables, as curves and as pictures, of real answers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.methods.faithfulness.trust import trust
from diagnostics.report.faithfulness import charts, tables
from diagnostics.schema.results.inspection import ImageEntry
from diagnostics.text import signed
from tests.letters import letters_context

NAMES = ("letter-p-thin", "letter-x-fuzzy", "blank-black")
BLANK = "Every pixel is black, before mean and std are applied, or has no gradient"


def evaluated(method, *names):
    files = tuple(samples.image_files()[name] for name in names)
    return trust(letters_context(files=files), method=method, copies=1, random_maps=4)


@pytest.fixture(scope="module")
def outcome():
    """Two letters, and a black image whose map is blank."""
    return evaluated("attribution/input_x_gradient", *NAMES)


def image(file, error=None):
    return ImageEntry(
        file=file,
        sha256="",
        error=error,
        warnings=[],
        preprocessing=[],
        top=[],
        margin=None,
        target=None,
        layers=[],
        attributions=[],
    )


def test_badges_stand_under_their_images_also_where_one_could_not_be_read(outcome):
    files = ["damaged.png", "letter-p-thin.png", "later.png", "letter-x-fuzzy.png"]
    images = [image(file) for file in files]
    images[0]["error"] = "damaged.png is damaged."
    cells = tables.badges(images, {**outcome.scores, "images": outcome.scores["images"][:1]})
    assert [cell.empty or cell.answer for cell in cells] == [
        "damaged.png is damaged.",
        "Doubt",
        "Not examined.",
        "Not examined.",
    ]


def test_a_badge_has_figures_that_speak_for_the_map_and_sentences_that_do_not(outcome):
    first, _, blank = tables.badges([image(f"{name}.png") for name in NAMES], outcome.scores)
    model, nulls = first.notes
    assert re.fullmatch(
        r"model: logits vary \d\.\d × as much as with its last layer shuffled", model
    )
    assert nulls == "beats all 8 null maps"
    assert first.warnings[0].startswith("Stays much the same whatever the weights: ")
    assert not blank.notes
    assert blank.warnings[0].startswith(f"The map is blank. {BLANK}")


def test_every_criterion_that_speaks_for_a_map_has_its_figures():
    scores = evaluated("attribution/deep_lift?baseline=white", NAMES[0]).scores
    (cell,) = tables.badges([image(f"{NAMES[0]}.png")], scores)
    evaluation = scores["images"][0]["evaluation"]
    assert f"sums to +{evaluation['sum']:.2f} of +{evaluation['rise']:.2f} logits" in cell.notes
    scores = evaluated("attribution/smooth_grad?samples=64", NAMES[0]).scores
    (cell,) = tables.badges([image(f"{NAMES[0]}.png")], scores)
    correlations = scores["images"][0]["evaluation"]["randomization"]
    parts = {"head": "head", "upper": "later half", "all": "all"}
    weights = [
        f"{correlations[part]['copies'][0]:+.2f} {name}".replace("-", "−")
        for part, name in parts.items()
    ]
    assert f"random weights: {', '.join(weights)}" in cell.notes
    seeds = max(scores["images"][0]["evaluation"]["seed_correlations"])
    assert f"between seeds: +{seeds:.2f}" in cell.notes


def test_verdicts_are_counted_and_reasons_listed(outcome):
    assert tables.headline(outcome.scores) == "Doubt 2, Can't tell 1 of 3 maps"
    rows = tables.reasons(outcome.scores).rows
    assert [row["image"] for row in rows] == [
        f"{NAMES[index]}.png" for index in (0, 0, 0, 1, 1, 1, 2)
    ]
    assert [row["speaks"] for row in rows[:3]] == ["for", "against", "for"]
    assert rows[-1]["speaks"] == "neither way"
    lines = tables.lines(outcome.scores)
    assert lines[0] == "letter-p-thin.png: p, doubt"
    assert lines[1].startswith("  for      Is of a trained model")
    assert lines[2].startswith("  against  Stays much the same")
    assert lines[-1].startswith(f"  open     The map is blank. {BLANK}")


def test_maps_that_are_there_become_pictures(outcome):
    pictures = tables.pictures(outcome.scores, outcome.arrays)
    assert set(pictures) == {
        "0/map",
        "0/head",
        "0/upper",
        "0/all",
        "1/map",
        "1/head",
        "1/upper",
        "1/all",
        "2/map",
    }
    assert pictures["0/map"].shape == (28, 28, 3)


def test_curves_are_drawn_over_the_band_of_the_random_ones(outcome):
    entry = outcome.scores["images"][0]
    figure = charts.curves(entry, outcome.arrays, 0, "blur")
    deletion, insertion = (trace for trace in figure.data if trace.name == "this map")
    assert np.array_equal(deletion.y, outcome.arrays["0/blur/deletion"])
    assert np.array_equal(insertion.y, outcome.arrays["0/blur/insertion"])
    upper, lower = figure.data[:2]
    assert np.array_equal(upper.y, outcome.arrays["0/blur/null_deletion"].max(0))
    assert np.array_equal(lower.y, outcome.arrays["0/blur/null_deletion"].min(0))
    inserted = figure.data[3]
    assert np.array_equal(inserted.y, outcome.arrays["0/blur/null_insertion"].max(0))


def test_areas_are_written_with_what_the_best_null_map_of_each_kind_gains(outcome):
    entry = outcome.scores["images"][0]
    rows = charts.areas(entry).rows
    own = [row for row in rows if row["map"] == "this map"]
    assert [row["fill"] for row in own] == ["mean", "blur"]
    for row in own:
        areas = entry["evaluation"]["insertion_deletion"][row["fill"]]
        assert row["gain"] == signed(areas["insertion"] - areas["deletion"])
        best = {each["map"]: each["gain"] for each in rows if each["fill"] == row["fill"]}
        assert best["noise, the best of 4"] == signed(max(areas["nulls"]["noise"]))
    assert not charts.areas(outcome.scores["images"][2]).rows
