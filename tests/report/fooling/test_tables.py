"""Fooling images in words: what is said of them, and the image that becomes the very picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.data.image import decode, encode_png
from diagnostics.preprocessing.inverse import framed
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.report.fooling import charts, detection, tables
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.ui.dialogs import open_in_inspect

COLOUR = Preprocessing(height=24, width=24, resize_px=29, mean=(0.5,) * 3, std=(0.5,) * 3)
GREY = Preprocessing(colour=False, height=9, width=12, fit="stretch", mean=(0.0,), std=(1.0,))


@pytest.mark.parametrize(
    "settings",
    [
        COLOUR,
        replace(COLOUR, resize_px=24),
        replace(COLOUR, resize_px=30, interpolation="bicubic", antialias=False),
        replace(COLOUR, height=20),
        replace(COLOUR, height=20, width=40, resize_px=32),
        replace(COLOUR, invert=True),
        replace(COLOUR, fit="letterbox"),
        replace(COLOUR, fit="none"),
        GREY,
        replace(GREY, invert=True, fit="crop", resize_px=14),
    ],
    ids=lambda one: f"{one.fit} {one.resize_px} {one.height} {one.width} {one.invert}",
)
def test_the_network_gets_the_very_picture_of_the_image_that_is_opened(settings):
    shape = (settings.height, settings.width, len(settings.mean))
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = framed(picture, settings)
    content = encode_png(image[..., 0] if shape[2] == 1 else image)
    pixels = Pipeline(settings).run(decode(content))
    np.testing.assert_array_equal(np.rint(pixels * 255), np.moveaxis(picture, 2, 0))
    assert ("border" in open_in_inspect.reprocessing_note(settings)) == (
        image.shape != picture.shape
    )


def entry(index, p, reached=None, **rest):
    at = {name: reached for name in tables.NAMES}
    known = {"class": f"class {index}", "index": index, "step": None if p is None else 3}
    distance = None if p is None else 1 - p
    margin = None if p is None else float(np.log(p) - np.log(1 - p))
    return {
        **known,
        "probability": p,
        "one_minus_p": distance,
        "margin": margin,
        "milestones": at,
        **rest,
    }


def answered(*entries, **rest):
    return {
        **{"way": "gradient ascent", "unit": "step", "asked": 9, "done": 4, "seed": 1},
        **{"evaluations": 1234, "complete": True, "without_picture": 0, "notes": []},
        **{"trace_at": [0, 2, 4], "traced": [one["index"] for one in entries]},
        **{"classes": list(entries), "pictures": [0], **rest},
    }


def test_what_is_said_of_all_of_some_and_of_none():
    sure, less, lost = entry(0, 0.99999, 2), entry(1, 0.7), entry(2, None)
    assert "for all 1" not in tables.headline(answered(sure))
    assert "for all 2 classes" in tables.headline(answered(sure, entry(1, 0.9999, 3)))
    some = tables.headline(answered(sure, less, lost))
    assert "for 1 of 3 classes. The surest is class 0, 1 − 1.0e-5. The least sure" in some
    assert tables.headline(answered(lost)) == tables.NOTHING
    how = tables.how_far(answered(sure, less, lost, complete=False, without_picture=1))
    assert "4 steps of at most 9, 1,234 pictures asked about, seed 1." in how
    assert "not done" in how
    assert "Not found: class 2." in how
    assert "pictures of 1 class are not shown" in how
    rows = tables.numbers(answered(sure, less, lost)).rows
    assert [row["probability"] for row in rows] == ["1 − 1.0e-5", "70.0 %", "not found"]
    assert rows[1]["99 % at step"] == "not reached"


def test_a_class_that_ended_stays_where_it_was_and_one_without_numbers_at_nothing():
    trace = np.array([[0.0, np.nan, 1.0], [2.0, np.nan, np.nan], [3.0, np.nan, np.nan]])
    held = tables.held({"trace": trace.astype(np.float32)})
    assert held.tolist() == [[0, -np.inf, 1], [2, -np.inf, 1], [3, -np.inf, 1]]
    answer = answered(entry(0, 0.95), entry(1, None), entry(2, 0.7))
    figure = charts.trace(answer, {"trace": trace})
    assert list(figure.data[0].y)[-1] == pytest.approx(3 / np.log(10))
    table = tables.traced(answer, {"trace": trace})
    assert [row["step"] for row in table.rows] == ["0", "2", "4"]
    assert table.rows[0]["least sure"] == "below 1e-300"


def test_many_classes_are_drawn_as_bands():
    entries = [entry(index, 0.5) for index in range(20)]
    trace = np.linspace(-1, 1, 60).reshape(3, 20)
    figure = charts.trace(answered(*entries), {"trace": trace})
    assert [line.name for line in figure.data if line.name] == ["all", "half of them", "median"]
    median = figure.data[-1]
    np.testing.assert_allclose(median.y, np.median(trace, 1) / np.log(10))


def test_milestones_are_counted_by_the_step_at_which_they_were_reached():
    answer = answered(entry(0, 0.99999, 0), entry(1, 0.99999, 3), entry(2, 0.6))
    figure = charts.milestones(answer)
    assert [list(line.y) for line in figure.data] == [[1, 1, 2]] * 4


def judged(places, n_good=100):
    names = ("ood/a", "ood/b")
    images = []
    for row in places:
        scores = {}
        for name, p in zip(names, row, strict=True):
            percentile = None if p is None else 100 * (1 - p)
            scores[name] = {"value": 1.0, "p_value": p, "percentile": percentile}
        images.append({"file": "one.png", "scores": scores})
    given = [{"method": name, "title": name[-1].upper()} for name in names]
    return {"available": given, "images": images, "false_alarms": {"n": n_good}}


def test_a_score_catches_what_is_stranger_than_it_allows():
    found = judged([(0.01, 0.5), (0.05, 0.06), (0.2, 0.9)])
    assert detection.caught(found, 0.05) == [("A", 2, 3), ("B", 0, 3)]
    said = detection.caught_headline(found, 0.05)
    assert said.startswith("1 of 2 scores catches the most, 2 of 3 (")
    assert said.endswith("None is caught by B.")
    figure = charts.caught_by(found, 0.05)
    assert list(figure.data[0].x) == pytest.approx([200 / 3, 0])
    none = detection.caught_headline(judged([(0.5, 0.5)]), 0.05)
    assert none == "None of 2 scores catches any of 1 picture."


def test_without_known_good_images_nobody_can_tell_who_catches_what():
    found = judged([(None, None)], n_good=0)
    assert detection.caught(found, 0.05) == [("A", None, 0), ("B", None, 0)]
    assert detection.caught_headline(found, 0.05).startswith("Can't tell")
    rows = detection.caught_numbers(found, 0.05).rows
    assert {row["caught"] for row in rows} == {"can't tell"}
