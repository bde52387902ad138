import math

import numpy as np
import pytest

from diagnostics.report.formatting import escaped, interval, rate
from diagnostics.report.noise import charts, tables
from diagnostics.report.noise.depth import curve, numbers

CLASSES = ["a", "b", "<i>", "d"]
LEVELS = [0, 128, 255, 64]


def family(name, title, distances, said, **more):
    counts = np.bincount(said, minlength=len(CLASSES))
    first = int(counts.argmax())
    share = counts / counts.sum()
    nonzero = share[share > 0]
    confidence = [1 - one for one in distances]
    mean = float(np.mean(confidence))
    return {
        "family": name,
        "title": title,
        "about": "",
        "n": len(said),
        "not_finite": 0,
        "number": list(range(len(said))),
        "confidence": confidence,
        "one_minus_p": list(distances),
        "said": list(said),
        "mean_confidence": {"value": mean, "low": mean, "high": mean},
        "sink": {"class": CLASSES[first], "index": first, "share": share[first], "is_sink": False},
        "entropy": float(-(nonzero * np.log(nonzero)).sum() / math.log(len(CLASSES))),
        **more,
    }


@pytest.fixture
def found():
    real = [0.4, *np.linspace(0.001, 0.2, 19).tolist()]
    return [
        family("uniform", "Uniform noise", [0.5, 1e-12, 0.3, 0.9], [0, 0, 2, 2]),
        family("constant", "Blank images", [0.1, 0.6, 0.2, 0.7], [1, 0, 1, 0]),
        {"family": "phase", "title": "Scrambled phases", "about": "", "n": 0, "not_finite": 64},
        family("yours", "Your noise", [0.25], [3], files=["mine & own.png"]),
        family(
            "real", "Real images", real, [0, 1, 2, 3] * 5, files=[f"{one}.png" for one in range(20)]
        ),
    ]


@pytest.fixture
def depth():
    return {
        "draws": 8,
        "n": 40,
        "classes": {"0": "a", "1": "b", "2": "<i>", "3": "d"},
        "layers": [
            {"layer": "conv1", "shares": {"0": 1.0, "1": 0, "2": 0, "3": 0}, "own_class": 0.5},
            {"layer": "fc", "shares": {"0": 0.25, "1": 0, "2": 0.75, "3": 0}, "own_class": 0.9},
        ],
    }


def marks(figure):
    return [
        (tuple(custom), x, y)
        for trace in figure.data
        if trace.customdata is not None
        for custom, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    ]


def test_every_image_stands_at_its_confidence_in_the_row_of_its_family(found):
    figure = charts.confidence(found, CLASSES, stretch=False)
    rows = {"real": 0, "yours": 1, "uniform": 2, "constant": 3}
    known = {one["family"]: one for one in found}
    drawn = marks(figure)
    assert len(drawn) == 20 + 1 + 4 + 4
    for (name, number), x, y in drawn:
        assert x == pytest.approx(100 * known[name]["confidence"][number])
        assert abs(y - rows[name]) < 0.5
    assert [text.split("<")[1].split(">")[1] for text in figure.layout.yaxis.ticktext] == [
        *("Real images", "Your noise", "Uniform noise", "Blank images"),
    ]


def test_the_stretched_axis_is_the_logarithm_of_the_odds(found):
    drawn = {custom: x for custom, x, _ in marks(charts.confidence(found, CLASSES, stretch=True))}
    assert drawn["uniform", 0] == pytest.approx(0)
    assert drawn["uniform", 1] == pytest.approx(12)
    assert drawn["uniform", 3] == pytest.approx(math.log10(0.1 / 0.9))


def test_the_line_leaves_95_percent_of_the_real_images_on_its_right(found):
    limit = tables.level(found)
    real = found[-1]
    assert limit["one_minus_p"] == 0.2
    assert sum(one >= limit["confidence"] for one in real["confidence"]) == 19
    assert tables.reach(found[0], limit) == 1
    assert tables.reach(found[1], limit) == 2
    (line,) = charts.confidence(found, CLASSES, stretch=False).layout.shapes
    assert line.x0 == pytest.approx(80)


def test_few_real_images_lie_all_on_the_right_of_the_line(found):
    few = [*found[:-1], family("real", "Real images", [0.4, 0.1, 0.2], [0, 1, 2])]
    assert tables.level(few)["one_minus_p"] == 0.4
    assert "all 3 real images" in tables.headline(few, CLASSES)


def test_the_headline_says_how_far_noise_gets(found):
    said = tables.headline(found, CLASSES)
    assert said.startswith("Blank images: the model is as sure of 2 of 4 (15–85 %) as of 95 % of ")
    assert "the 20 real images (80.0 % or more)." in said
    assert "The surest answer to noise is a, 1 − 1.0e-12 (uniform noise)." in said
    alone = [one for one in found if one["family"] != "real"]
    assert "No real images are there" in tables.headline(alone, CLASSES)
    assert tables.headline([found[2]], CLASSES) == "No answer to noise is finite."
    assert "64 of scrambled phases" in tables.not_finite(found)


def test_cells_hold_the_share_of_each_class_and_every_row_is_a_whole(found):
    figure = charts.shares(found, CLASSES)
    (bars,) = figure.data
    known = {one["family"]: one for one in found}
    total = {}
    for (name, _, said), share in zip(bars.customdata, bars.marker.color, strict=True):
        answers = known[name]["said"]
        counted = answers.count(3) if said == tables.OTHERS else answers.count(said)
        assert share == pytest.approx(100 * counted / known[name]["n"])
        total[name] = total.get(name, 0) + share
    assert total == pytest.approx(dict.fromkeys(("real", "yours", "uniform", "constant"), 100))
    assert "a: 2 of 4 (15–85 %)" in figure.layout.yaxis.ticktext[2]


def test_classes_without_a_column_are_counted_together(found):
    many = [f"class {one}" for one in range(200)]
    spread = {**found[0], "n": 100, "said": list(range(100)), "entropy": 0.87}
    spread |= {key: [0.5] * 100 for key in ("confidence", "one_minus_p")}
    spread |= {"number": list(range(100)), "sink": {"index": 0, "share": 0.01, "is_sink": False}}
    columns = tables.swallowing([spread], len(many))
    assert columns == [*range(tables.COLUMNS), tables.OTHERS]
    assert tables.shares(spread, columns, len(many))[-1] == 100 - tables.COLUMNS
    assert tables.column(tables.OTHERS, columns, many) == "186 others"
    others = tables.surest(spread, 100, tables.OTHERS, columns)
    assert others == list(range(tables.COLUMNS, 100))


def test_the_surest_images_come_first_and_bear_the_numbers_of_their_draws(found):
    one = {**found[0], "number": [3, 5, 8, 9]}  # the draws between gave no finite answer
    assert tables.surest(one, 2) == [5, 8]
    assert tables.surest(one, 4, said=2) == [8, 9]
    assert tables.surest(one, 4, said=1) == []


def test_so_few_answers_cannot_be_more_even():
    one = {"n": 20, "entropy": 0.3}
    assert tables.evenness(one, 1000) == f"0.30 (at most {math.log(20) / math.log(1000):.2f})"
    assert tables.evenness({"n": 400, "entropy": 0.3}, 4) == "0.30"


def test_blank_images_run_from_black_to_white_whatever_order_they_were_drawn_in(found):
    blank = tables.blanks(found)
    figure = charts.blank(blank, LEVELS, CLASSES, stretch=False)
    (line,) = figure.data
    assert list(line.x) == [0, 64, 128, 255]
    assert list(line.y) == pytest.approx([90, 30, 40, 80])
    assert [number for _, number in line.customdata] == [0, 3, 1, 2]
    table = tables.blank_numbers(blank, LEVELS, CLASSES)
    assert "Black: b, 90.0 %; mid grey: a, 40.0 %; white: b, 80.0 %." in table.said


def test_names_of_classes_on_the_axis_of_blank_images_never_touch(found):
    said = [one % 2 for one in range(64)]
    blank = family("constant", "Blank images", [0.5] * 64, said)
    names = ["a rather long name", "b", "c", "d"]
    (line,) = charts.blank(blank, list(range(0, 256, 4)), names, stretch=True).data
    at = [x for x, text in zip(line.x, line.text, strict=True) if text]
    assert at
    assert min(np.diff(at), default=99) > 12


def test_curves_over_depth_are_the_shares_of_the_classes_that_noise_is_nearest_to(depth):
    figure = curve(depth, "Uniform noise")
    drawn = {trace.name: list(trace.y) for trace in figure.data}
    assert drawn == {
        "&lt;i&gt;": [0, 75],
        "a": [100, 25],
        "labelled images: own class": [50, 90],
    }
    rows = numbers(depth).rows
    assert rows[1]["nearest to <i>"] == rate(6, 8)
    assert rows[0]["labelled images nearest to their own class"] == rate(20, 40)


def test_every_figure_names_its_axes_and_how_many_images_it_shows(found, depth):
    blank = tables.blanks(found)
    for figure, counted in (
        (charts.confidence(found, CLASSES, stretch=True), "9 images of noise, 20 real"),
        (charts.shares(found, CLASSES), "29 answers"),
        (charts.blank(blank, LEVELS, CLASSES, stretch=True), "4 blank images"),
        (curve(depth, "Uniform noise"), "n = 8"),
    ):
        assert counted in figure.layout.title.text
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text


def test_names_are_text_in_a_chart_whatever_marks_they_hold(found):
    assert escaped("<b>&") == "&lt;b&gt;&amp;"
    figure = charts.confidence(found, CLASSES, stretch=True)
    hover = [text for trace in figure.data for text in trace.text or ()]
    assert "mine &amp; own.png: d, 75.0 %" in hover
    assert not any("<i>" in text for text in hover)


def test_rates_say_their_interval():
    assert rate(18, 20) == "18 of 20 (70–97 %)"
    assert rate(0, 20) == "0 of 20 (0.0–16.1 %)"
    assert rate(515, 520) == "515 of 520 (97.8–99.6 %)"
    assert interval(0, 1) == "0–100 %"
