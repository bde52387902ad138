"""What the page of sweeps says and draws of answers that are written by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from diagnostics.methods.corruption._grey_transitions import turns
from diagnostics.metrics.intervals import wilson
from diagnostics.report.corruption import charts, heatmaps, lesson, quantiles, tables
from diagnostics.schema.preprocessing import Preprocessing

NAMES = {"0": "x", "1": "e", "2": "a name that is far too long for one step"}
SURE = 0.9


def axis(values=(0, 10, 20, 30), neutral=0, **rest):
    said = {"name": "contrast", "title": "Contrast", "unit": "slope", "phrase": "slope {}"}
    return {**said, "values": list(values), "neutral": neutral, "beyond": False, **rest}


def image(said, file="x.png", neutral=0, before=0):
    """An image whose first class at each step is as listed, with a confidence of 90 %."""
    shown = sorted({before, *(one for one in said if one is not None and one >= 0)})

    def curve(index):
        p = [None if one in (None, -1) else SURE if one == index else 0.1 for one in said]
        d = [None if one is None else 1 - one for one in p]
        return {"probability": p, "one_minus_p": d}

    def top(one):
        return None if one is None else [] if one < 0 else [[one, SURE, 0.1], [2 - one, 0.05, 0.95]]

    return {
        "file": file,
        "label": None,
        "before": top(before),
        "meant": before,
        "said": said,
        "top": [top(one) for one in said],
        "curves": {str(index): curve(index) for index in shown},
        "pictures": list(range(len(said))),
        "turns": turns(said, before, neutral),
    }


def answer(*images, axes=None, bands=()):
    return {
        "axes": axes or [axis()],
        "images": list(images),
        "bands": list(bands),
        "classes": NAMES,
        "size": [4, 4],
        "n": len(images),
        "labelled": 0,
        "complete": True,
        "notes": [],
    }


def arrays(found):
    grey = np.full((4, 4, 1), 128, np.uint8)
    return {
        key: grey
        for row, one in enumerate(found["images"])
        for key in (
            f"image/{row}/before",
            *(f"image/{row}/step/{place}" for place in one["pictures"]),
        )
    }


def test_the_moment_the_answer_changes_is_named():
    one = image([0, 0, 1, 1])
    assert tables.sentence(one, answer(one)) == "x.png: x becomes e at slope 20."
    assert tables.headline(answer(one, image([0, 0, 0, 0]))) == (
        "Contrast: 1 of 2 images changes its answer. The first is x.png: x becomes e at slope 20."
    )


def test_what_stays_and_what_goes_back_is_said():
    stays = image([0, 0, 0, 0])
    assert tables.sentence(stays, answer(stays)) == "x.png: stays x from slope 0 to slope 30."
    back = image([0, 1, 0, 1])
    said = tables.sentence(back, answer(back))
    assert said == "x.png: x becomes e at slope 10; it changes 2 more times."
    assert tables.headline(answer(stays)) == "Contrast: no answer changes in 1 image."


def test_both_ways_from_the_image_as_it_is_are_named_the_nearest_first():
    one = image([1, 0, 0, 0, -1], neutral=2)
    (found,) = [answer(one, axes=[axis((-20, -10, 0, 10, 20), 2)])]
    said = tables.sentence(one, found)
    assert "x becomes no finite answer at slope 20, and x becomes e at slope −20" in said


def test_the_image_that_changes_nearest_to_its_own_is_named_first():
    far, near = image([0, 0, 0, 1], "far.png"), image([0, 1, 1, 1], "near.png")
    assert "The first is near.png" in tables.headline(answer(far, near))


def test_an_answer_that_is_not_whole_says_only_what_was_asked():
    one = image([0, 0, None, None])
    found = answer(one)
    assert tables.sentence(one, found) == "x.png: stays x from slope 0 to slope 10."
    assert len(tables.numbers(one, found).rows) == 3
    assert tables.turn_numbers(found).rows[0]["steps with the same answer"] == "2 of 2"
    nothing = image([None] * 4)
    assert tables.sentence(nothing, answer(nothing)) == "x.png: not asked yet."
    for drawn in (one, nothing):
        charts.curves(0, answer(drawn), arrays(answer(drawn)), stretch=True)
        charts.strips(answer(drawn))


def test_pictures_stand_just_before_and_after_the_change():
    found = answer(image([0, 0, 1, 1]))
    cells = tables.moments(0, found, arrays(found))
    assert [cell.title for cell in cells] == ["As it is", "Slope 10", "Slope 20"]
    assert [cell.answer for cell in cells] == ["x", "x", "e"]
    assert all(cell.pictures[0].pixels.shape == (4, 4, 3) for cell in cells)
    stays = answer(image([0, 0, 0, 0]))
    assert [cell.title for cell in tables.moments(0, stays, arrays(stays))] == [
        "As it is",
        "Slope 30",
    ]


def test_a_picture_that_was_averaged_says_so():
    values = np.zeros((2, 2, 3), np.uint8)
    assert tables.picture(values, "x", [4, 6]).caption == "average of 6 × 4 px"
    assert tables.picture(values, "x", [2, 2]).caption == ""


def test_an_answer_that_is_not_finite_has_no_number():
    one = image([0, -1, -1, 1])
    found = answer(one)
    assert tables.numbers(one, found).rows[2]["said"] == "no finite answer"
    assert tables.cell(0, 1, found, {}).empty == "no finite answer"
    drawn = charts.curves(0, found, arrays(found), stretch=False)
    assert drawn.data[0].y[1] is None


def test_every_step_has_its_confidence_its_class_and_its_picture_below_each_other():
    found = answer(image([0, 0, 1, 1]))
    drawn = charts.curves(0, found, arrays(found), stretch=False)
    assert list(drawn.data[0].x) == [0, 1, 2, 3]
    assert list(drawn.data[0].y) == pytest.approx([90, 90, 10, 10])
    strip = next(one for one in drawn.data if one.type == "bar")
    assert list(strip.x) == [0, 1, 2, 3]
    assert [one.x for one in drawn.layout.images] == [0, 1, 2, 3]
    assert all(one.source.startswith("data:image/png;base64,") for one in drawn.layout.images)
    assert len(set(strip.marker.color)) == 2
    assert strip.marker.color[0] == drawn.data[0].line.color
    assert list(drawn.layout.xaxis.ticktext) == ["0", "10", "20", "30"]


def test_a_long_name_is_shortened_to_its_run_and_left_out_where_there_is_no_room():
    steps = axis(tuple(range(60)))
    found = answer(image([2] + [0] * 28 + [2] * 31, before=2), axes=[steps])
    drawn = charts.strips(found)
    texts = [one for trace in drawn.data if trace.type == "scatter" for one in trace.text]
    assert texts[0] == ""
    assert "…" in texts[2] or NAMES["2"] in texts[2]


def test_classes_have_the_same_colour_in_another_chart_as_long_as_there_are_colours():
    first = answer(image([0, 0, 0, 1]))
    other = answer(image([1, 1, 1, 2], before=1))
    kept = charts.shades(first)
    shared = charts.shades(other, first)
    assert shared[1] == kept[1]
    assert shared[2] not in kept.values()
    many = answer(image(list(range(12)), before=0))
    many["classes"] = {str(one): str(one) for one in range(12)}
    colours = list(charts.shades(many).values())
    assert len(set(colours)) == 9
    assert colours.count(charts.GREY) == 4


def test_text_on_every_colour_can_be_read():
    """At least 3 : 1 for bold 13 px and larger, WCAG's contrast of large text."""

    def light(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in (*charts.COLOURS, charts.GREY):
        low, high = sorted((light(colour), light(charts.on(colour))))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_a_map_has_a_cell_for_every_pair_and_the_confidence_beside_it():
    axes = [axis((0, 10), 0), axis((0, 1, 2), 0, name="blur", title="Blur", phrase="{} px")]
    found = answer(image([0, 0, 1, 0, 1, 1]), axes=axes)
    drawn = heatmaps.maps(0, found, found)
    labels, sure = (one for one in drawn.data if one.type == "heatmap")
    assert np.shape(labels.z) == np.shape(sure.z) == (2, 3)
    assert np.array(sure.z) == pytest.approx(np.array([[90, 90, 10], [90, 10, 10]]))
    assert labels.z[0][0] == labels.z[0][1] == labels.z[1][0] != labels.z[0][2]
    table = heatmaps.numbers(0, found)
    assert table.rows[1] == {
        "Contrast": "slope 10",
        "0 px": "x 90.0 %",
        "1 px": "e 90.0 %",
        "2 px": "e 90.0 %",
    }
    assert "stays x at 3 of 6 pairs" in table.said


def test_what_was_not_asked_is_drawn_as_itself():
    axes = [axis((0, 10), 0), axis((0, 1), 0, name="blur")]
    found = answer(image([0, -1, None, None]), axes=axes)
    drawn = heatmaps.maps(0, found, found)
    labels, sure = (one for one in drawn.data if one.type == "heatmap")
    assert len({labels.z[0][0], labels.z[0][1], labels.z[1][0]}) == 3
    assert math.isnan(sure.z[1][0])
    assert "not asked yet" in labels.text[1][0]


def band(kept, n=10, right=None):
    return {
        "n": n,
        "not_finite": 0,
        "quantiles": [0.2, 0.5, 0.9],
        "distances": [0.8, 0.5, 0.1],
        "kept": {"hits": kept, "interval": list(wilson(kept, n))},
        "right": {"hits": right or 0, "n": n if right else 0, "interval": [0.1, 0.9]},
    }


def test_bands_say_where_fewer_than_half_keep_their_answer_with_an_interval():
    found = answer(bands=[band(10), band(8), band(4), band(3)])
    said = tables.band_headline(found)
    assert "from slope 20 on: 4 of 10 (17–69 %)" in said
    found["bands"][2:] = [band(5), band(6)]
    assert "the fewest at slope 20, 5 of 10" in tables.band_headline(found)
    table = tables.band_numbers(found)
    assert table.rows[0]["same answer"] == "10 of 10 (72.2–100.0 %)"
    assert table.rows[0]["5 to 95 % of images"] == "20.0 % to 90.0 %"
    assert "right" not in table.rows[0]


def test_bands_are_drawn_with_their_intervals():
    found = answer(bands=[band(10, right=9), band(8, right=7), band(0, n=0), band(3, right=2)])
    found["bands"][2]["quantiles"] = found["bands"][2]["distances"] = None
    found |= {"n": 10, "labelled": 10}
    for stretch in (False, True):
        drawn = quantiles.bands(found, stretch=stretch)
        names = [one.name for one in drawn.data]
        assert names == ["5 to 95 % of images", "median confidence", "same answer", "right answer"]
        same = drawn.data[2]
        assert list(same.x) == [0, 1, 3]
        assert list(same.y) == [100, 80, 30]
        low, high = wilson(8, 10)
        assert same.error_y.arrayminus[1] == pytest.approx(80 - 100 * low)
        assert same.error_y.array[1] == pytest.approx(100 * high - 80)


def test_no_images_are_no_band():
    found = answer(bands=[{**band(0, n=0), "quantiles": None, "distances": None}] * 4)
    assert tables.band_headline(found) == "No image got a finite answer."
    quantiles.bands(found, stretch=True)


def test_the_lesson_divides_what_enters_the_network_by_255():
    settings = Preprocessing(colour=False, fit="none", mean=(0.3,), std=(0.2,))
    made = lesson.variants(settings, 25)
    for value in (0.0, 0.4, 1.0):
        for name, wanted in (
            (lesson.AS_IT_IS, (value - 0.3) / 0.2),
            (lesson.SHRUNK, (value / 255 - 0.3) / 0.2),
        ):
            mean, std = made[name].mean[0], made[name].std[0]
            assert (value - mean) / std == pytest.approx(wanted)
    assert made[lesson.CURVE].contrast == 25
    assert made[lesson.CURVE].mean == settings.mean
    assert made[lesson.BOTH].mean == made[lesson.SHRUNK].mean
    assert made[lesson.BOTH].contrast == 25


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("xxxx", "Neither"),
        ("xxjj", "the value range changes the answer, and the contrast does not"),
        ("xexe", "the contrast changes the answer, and the value range does not"),
        ("xejj", "each of them alone"),
        ("xxxj", "only both together"),
    ],
)
def test_the_lesson_names_which_of_the_two_changes_the_answer(said, words):
    images = [{"top": [{"class": one}]} for one in said]
    assert words in lesson.sentence("x.png", images)
    images[2]["top"] = []
    assert "nothing can be said" in lesson.sentence("x.png", images)


def test_answers_of_several_variants_stand_side_by_side():
    answers = {
        name: SimpleNamespace(
            scores={"images": [{"file": "x.png"}, {"file": "p.png", "mark": name}]},
            arrays={"0/stage/0": 0, "1/stage/0": name, "10/stage/0": -1},
        )
        for name in ("one", "two")
    }
    images, found = lesson.side_by_side(answers, 1)
    assert [one["file"] for one in images] == ["one", "two"]
    assert [one["mark"] for one in images] == ["one", "two"]
    assert found == {"0/stage/0": "one", "1/stage/0": "two"}


@pytest.mark.parametrize("verdict", list(tables.READ_AS))
def test_a_reading_carries_its_figures(verdict):
    read = {"verdict": verdict, "why": "Because.", "drop": 0.264, "interval": [-0.02, 0.31]}
    said = tables.reading_sentence({"reading": {**read, "of": "accuracy", "n": 200}})
    assert said.startswith(tables.READ_AS[verdict])
    assert "26.4 points (−2.0 to 31.0), n = 200. Because." in said
