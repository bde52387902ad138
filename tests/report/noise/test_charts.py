import math

import numpy as np
import pytest

from diagnostics.report.formatting import escaped, interval, rate
from diagnostics.report.noise import charts, tables
from diagnostics.report.noise.depth import curve, numbers
from diagnostics.schema.results.noise import DepthAnswer, LayerShares, MajorityClass, NoiseFamily

CLASSES = ["a", "b", "<i>", "d"]
LEVELS = [0, 128, 255, 64]


def family(name, title, complements, predicted, files=()):
    """A family of noise whose entropy and majority class are counted here."""
    counts = np.bincount(predicted, minlength=len(CLASSES))
    index = int(counts.argmax())
    share = counts[counts > 0] / counts.sum()
    confidence = [1 - one_minus_p for one_minus_p in complements]
    mean = float(np.mean(confidence))
    majority = float(counts[index] / counts.sum())
    entropy = float(-(share * np.log(share)).sum() / math.log(len(CLASSES)))
    return NoiseFamily(
        family=name,
        title=title,
        description="",
        files=list(files),
        sources=0,
        n=len(predicted),
        not_finite=0,
        number=list(range(len(predicted))),
        confidence=confidence,
        one_minus_p=list(complements),
        predicted=list(predicted),
        mean_confidence={"value": mean, "low": mean, "high": mean},
        majority_class=majority_class(index, majority),
        entropy=entropy,
    )


def majority_class(index, share):
    return MajorityClass(name=CLASSES[index], index=index, share=share, low=share, high=share)


@pytest.fixture
def families():
    real = [0.4, *np.linspace(0.001, 0.2, 19).tolist()]
    files = [f"{number}.png" for number in range(20)]
    return [
        family("uniform", "Uniform noise", [0.5, 1e-12, 0.3, 0.9], [0, 0, 2, 2]),
        family("constant", "Blank images", [0.1, 0.6, 0.2, 0.7], [1, 0, 1, 0]),
        NoiseFamily(
            family="phase",
            title="Scrambled phases",
            description="",
            files=[],
            sources=64,
            n=0,
            not_finite=64,
        ),
        family("yours", "Your noise", [0.25], [3], files=["mine & own.png"]),
        family("real", "Real images", real, [0, 1, 2, 3] * 5, files=files),
    ]


@pytest.fixture
def depth():
    first = {"0": 1.0, "1": 0.0, "2": 0.0, "3": 0.0}
    last = {"0": 0.25, "1": 0.0, "2": 0.75, "3": 0.0}
    return DepthAnswer(
        family="uniform",
        draws=8,
        n=40,
        classes={"0": "a", "1": "b", "2": "<i>", "3": "d"},
        layers=[
            LayerShares(layer="conv1", shares=first, accuracy=0.5),
            LayerShares(layer="fc", shares=last, accuracy=0.9),
        ],
        notes=[],
    )


def marks(figure):
    return [
        (tuple(custom), x, y)
        for trace in figure.data
        if trace.customdata is not None
        for custom, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    ]


def test_every_image_stands_at_its_confidence_in_the_row_of_its_family(families):
    figure = charts.confidence(families, CLASSES, stretch=False)
    rows = {"real": 0, "yours": 1, "uniform": 2, "constant": 3}
    known = {one["family"]: one for one in families}
    drawn = marks(figure)
    assert len(drawn) == 20 + 1 + 4 + 4
    for (name, number), x, y in drawn:
        assert x == pytest.approx(100 * known[name]["confidence"][number])
        assert abs(y - rows[name]) < 0.5
    assert [text.split("<")[1].split(">")[1] for text in figure.layout.yaxis.ticktext] == [
        "Real images",
        "Your noise",
        "Uniform noise",
        "Blank images",
    ]


def test_the_stretched_axis_is_the_logarithm_of_the_odds(families):
    drawn = {
        custom: x for custom, x, _ in marks(charts.confidence(families, CLASSES, stretch=True))
    }
    assert drawn["uniform", 0] == pytest.approx(0)
    assert drawn["uniform", 1] == pytest.approx(12)
    assert drawn["uniform", 3] == pytest.approx(math.log10(0.1 / 0.9))


def test_the_line_leaves_95_percent_of_the_real_images_on_its_right(families):
    level = tables.real_level(families)
    real = families[-1]
    assert level.one_minus_p == 0.2
    assert sum(one >= level.confidence for one in real["confidence"]) == 19
    assert tables.reaching(families[0], level).sum() == 1
    assert tables.reaching(families[1], level).sum() == 2
    (line,) = charts.confidence(families, CLASSES, stretch=False).layout.shapes
    assert line.x0 == pytest.approx(80)


def test_few_real_images_lie_all_on_the_right_of_the_line(families):
    few = [*families[:-1], family("real", "Real images", [0.4, 0.1, 0.2], [0, 1, 2])]
    assert tables.real_level(few).one_minus_p == 0.4
    assert "all 3 real images" in tables.headline(few, CLASSES)


def test_the_headline_says_how_far_noise_gets(families):
    said = tables.headline(families, CLASSES)
    assert said.startswith("Blank images: the model is as sure of 2 of 4 (15–85 %) as of 95 % of ")
    assert "the 20 real images (80.0 % or more)." in said
    assert "The surest answer to noise is a, 1 − 1.0e-12 (uniform noise)." in said
    alone = [one for one in families if one["family"] != "real"]
    assert "No real images are there" in tables.headline(alone, CLASSES)
    assert tables.headline([families[2]], CLASSES) == "No answer to noise is finite."
    assert "64 of scrambled phases" in tables.not_finite(families)


def test_cells_hold_the_share_of_each_class_and_every_row_is_a_whole(families):
    figure = charts.shares(families, CLASSES)
    (bars,) = figure.data
    known = {one["family"]: one for one in families}
    total = {}
    for (name, _, said), share in zip(bars.customdata, bars.marker.color, strict=True):
        answers = known[name]["predicted"]
        counted = answers.count(3) if said == tables.OTHERS else answers.count(said)
        assert share == pytest.approx(100 * counted / known[name]["n"])
        total[name] = total.get(name, 0) + share
    assert total == pytest.approx(dict.fromkeys(("real", "yours", "uniform", "constant"), 100))
    assert "a: 2 of 4 (15–85 %)" in figure.layout.yaxis.ticktext[2]


def test_classes_without_a_column_are_counted_together(families):
    many = [f"class {one}" for one in range(200)]
    spread = {**families[0], "n": 100, "predicted": list(range(100)), "entropy": 0.87}
    spread |= {key: [0.5] * 100 for key in ("confidence", "one_minus_p")}
    spread |= {"number": list(range(100)), "majority_class": majority_class(0, 0.01)}
    columns = tables.columns([spread], len(many))
    assert columns == [*range(tables.MAX_COLUMNS), tables.OTHERS]
    assert tables.percentages(spread, columns)[-1] == 100 - tables.MAX_COLUMNS
    assert tables.column_name(tables.OTHERS, columns, many) == "186 others"
    others = tables.most_confident(spread, 100, tables.OTHERS, columns)
    assert others == list(range(tables.MAX_COLUMNS, 100))


def test_the_surest_images_come_first_and_bear_the_numbers_of_their_draws(families):
    one = {**families[0], "number": [3, 5, 8, 9]}  # the draws between gave no finite answer
    assert tables.most_confident(one, 2) == [5, 8]
    assert tables.most_confident(one, 4, predicted=2) == [8, 9]
    assert tables.most_confident(one, 4, predicted=1) == []


def test_so_few_answers_cannot_be_more_even():
    assert tables.evenness(0.3, 20, 1000) == f"0.30 (at most {math.log(20) / math.log(1000):.2f})"
    assert tables.evenness(0.3, 400, 4) == "0.30"


def test_blank_images_run_from_black_to_white_whatever_order_they_were_drawn_in(families):
    blank = tables.blanks(families)
    figure = charts.blank(blank, LEVELS, CLASSES, stretch=False)
    (line,) = figure.data
    assert list(line.x) == [0, 64, 128, 255]
    assert list(line.y) == pytest.approx([90, 30, 40, 80])
    assert [number for _, number in line.customdata] == [0, 3, 1, 2]
    table = tables.blank_numbers(blank, LEVELS, CLASSES)
    assert "Black: b, 90.0 %; mid grey: a, 40.0 %; white: b, 80.0 %." in table.caption


def test_names_of_classes_on_the_axis_of_blank_images_never_touch(families):
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


def test_every_figure_names_its_axes_and_how_many_images_it_shows(families, depth):
    blank = tables.blanks(families)
    for figure, counted in (
        (charts.confidence(families, CLASSES, stretch=True), "9 images of noise, 20 real"),
        (charts.shares(families, CLASSES), "29 answers"),
        (charts.blank(blank, LEVELS, CLASSES, stretch=True), "4 blank images"),
        (curve(depth, "Uniform noise"), "n = 8"),
    ):
        assert counted in figure.layout.title.text
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text


def test_names_are_text_in_a_chart_whatever_marks_they_hold(families):
    assert escaped("<b>&") == "&lt;b&gt;&amp;"
    figure = charts.confidence(families, CLASSES, stretch=True)
    hover = [text for trace in figure.data for text in trace.text or ()]
    assert "mine &amp; own.png: d, 75.0 %" in hover
    assert not any("<i>" in text for text in hover)


def test_rates_say_their_interval():
    assert rate(18, 20) == "18 of 20 (70–97 %)"
    assert rate(0, 20) == "0 of 20 (0–16 %)"
    assert rate(515, 520) == "515 of 520 (97.8–99.6 %)"
    assert interval(0, 1) == "0–100 %"


def test_an_end_that_is_no_estimate_has_no_decimal():
    """Of 2 of 2 the upper end is that of all rates; 34.2–100.0 % said more than is known."""
    assert rate(2, 2) == "2 of 2 (34–100 %)"
    assert rate(0, 1000) == "0 of 1000 (0–0.4 %)"
    assert rate(1000, 1000) == "1000 of 1000 (99.6–100 %)"
