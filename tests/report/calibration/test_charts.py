import math

import numpy as np
import pytest

from diagnostics.report import console
from diagnostics.report.calibration import charts, tables
from diagnostics.schema.results.calibration import (
    CalibrationAnswer,
    FittedTemperature,
    ReliabilityBin,
)
from tests.labelled_logits import measured

K, N = 5, 300
NAMES = ["a", "b", "<i>", "d", "never seen"]


def answered(k=K, n=N, names=None, seed=3):
    """An answer with the labels and logits that it was measured on; the last class has no image."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, k - 1, n)
    logits = random.normal(size=(n, k))
    logits[np.arange(n), labels] += 2
    answer = CalibrationAnswer(
        **measured(logits, labels, resamples=20),
        class_names=names or [f"class {index}" for index in range(k)],
        unlabelled=0,
        notes=[],
    )
    return answer, labels, logits


@pytest.fixture(scope="module")
def answer():
    return answered(names=NAMES)[0]


def test_bars_are_the_accuracy_and_the_count_of_each_bin(answer):
    figure = charts.reliability(answer)
    accuracy, diagonal, _, diamonds, counts = figure.data
    filled = [one for one in answer["reliability"] if one["n"]]
    assert list(accuracy.y) == pytest.approx([100 * one["accuracy"] for one in filled])
    assert list(diamonds.x) == pytest.approx([100 * one["confidence"] for one in filled])
    assert list(counts.y) == [one["n"] for one in filled]
    assert sum(counts.y) == N
    assert list(counts.text) == [str(one["n"]) for one in filled]
    assert list(diagonal.x) == list(diagonal.y) == [0, 100]
    for x, width, one in zip(accuracy.x, accuracy.width, filled, strict=True):
        assert (x - width / 2, x + width / 2) == pytest.approx(
            (100 * one["confidence_from"], 100 * one["confidence_to"])
        )


def test_bins_of_few_images_are_hatched_and_no_others(answer):
    figure = charts.reliability(answer)
    filled = [one for one in answer["reliability"] if one["n"]]
    hatched = [one["n"] < 10 for one in filled]
    assert True in hatched
    assert False in hatched
    for bars in (figure.data[0], figure.data[4]):
        assert [shape == "/" for shape in bars.marker.pattern.shape] == hatched
    assert f"Hatched: {sum(hatched)} bins" in tables.bins(answer).caption


def test_strokes_at_the_diagonal_are_the_consistency_band(answer):
    band = charts.reliability(answer).data[2]
    filled = [one for one in answer["reliability"] if one["n"]]
    assert (
        list(band.x) == list(band.y) == pytest.approx([100 * one["confidence"] for one in filled])
    )
    for x, up, down, one in zip(
        band.x, band.error_y.array, band.error_y.arrayminus, filled, strict=True
    ):
        assert (x - down, x + up) == pytest.approx((100 * one["low"], 100 * one["high"]), abs=1e-9)


def test_one_hit_of_one_leaves_the_accuracy_of_its_bin_open(answer):
    """Wilson's interval of 1 of 1 begins at 1 / (1 + 1.96²), 20.7 %."""
    only = ReliabilityBin(
        confidence_from=0.9,
        confidence_to=1.0,
        n=1,
        few=True,
        confidence=0.95,
        accuracy=1.0,
        low=1.0,
        high=1.0,
    )
    (row,) = tables.bins({**answer, "reliability": [only], "n": 1}).rows
    assert row["right (95 % interval)"] == "1 of 1 (21–100 %)"


def test_classes_stand_worst_first_and_those_without_images_are_said(answer):
    (points,) = charts.per_class(answer).data
    assert list(points.x) == sorted(points.x)
    values = {NAMES[one["class_index"]]: one for one in answer["per_class"]}
    assert len(points.x) == 4
    for x, up, down, text in zip(
        points.x, points.error_x.array, points.error_x.arrayminus, points.hovertext, strict=True
    ):
        one = values[text.split(":")[0].replace("&lt;", "<").replace("&gt;", ">")]
        assert (x - down, x, x + up) == pytest.approx(
            (100 * one["low"], 100 * one["value"], 100 * one["high"])
        )
    assert "1 class has no image here" in tables.classes(answer).caption


def test_the_matrix_counts_every_image_once_true_classes_in_rows():
    answer, labels, logits = answered(names=NAMES)
    (cells,) = charts.confusion(answer).data
    counted = np.expm1(np.asarray(cells.z))
    expected = np.zeros((K, K))
    for label, row in zip(labels, logits, strict=True):
        expected[label, row.argmax()] += 1
    np.testing.assert_allclose(counted, expected, atol=1e-9)
    assert cells.zmin == 0
    assert (
        charts.confusion(answer).layout.yaxis.range[0]
        > charts.confusion(answer).layout.yaxis.range[1]
    )


def test_more_than_a_hundred_classes_get_a_list_instead_of_a_matrix():
    answer = answered(k=120)[0]
    assert charts.confusion(answer) is None
    assert len(charts.per_class(answer).data[0].x) == charts.MAX_CLASSES
    assert "40 worst of" in charts.per_class(answer).layout.title.text
    assert tables.confused(answer).rows[0]["true class"].startswith("class ")


def test_every_figure_names_its_axes_and_how_many_images_it_shows(answer):
    for figure in (charts.reliability(answer), charts.per_class(answer), charts.confusion(answer)):
        assert "n = 300" in figure.layout.title.text
        assert figure.layout.yaxis.title.text
        assert any(
            figure.layout[name].title.text for name in ("xaxis", "xaxis2") if name in figure.layout
        )


def test_every_measure_says_what_it_is_and_which_way_is_worse(answer):
    cells = [cell for row in tables.measures(answer).values() for cell in row]
    assert len(cells) == 6
    for cell in cells:
        assert "worse" in cell.notes[1]
        assert cell.answer
    (brier,) = [cell for cell in cells if cell.title == "Brier score"]
    assert "0 to 2" in brier.notes[1]
    assert float(brier.answer) == pytest.approx(answer["brier"]["value"], rel=1e-2)


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [(2.5, 2, 3, "less sure"), (0.4, 0.3, 0.5, "surer"), (1.2, 0.9, 1.4, "chance")],
)
def test_the_temperature_is_said_with_its_interval_and_what_it_was_fitted_on(
    value, low, high, words, answer
):
    fitted = FittedTemperature(value=value, low=low, high=high, at_bound=None, fitted_on=77)
    with_temperature = {**answer, "temperature": fitted}
    assert f"{value:.2f}" in tables.temperature(with_temperature)
    assert f"95 % interval {low} to {high}" in tables.temperature(with_temperature)
    assert words in tables.temperature(with_temperature)
    assert "77" in tables.fitted_on(with_temperature)


def test_a_temperature_at_its_bound_says_that_the_answers_do_not_depend_on_the_image(answer):
    fitted = {**answer["temperature"], "at_bound": "highest"}
    assert "do not depend on the image" in tables.temperature({**answer, "temperature": fitted})
    all_right = tables.temperature({**answer, "temperature": {**fitted, "at_bound": "lowest"}})
    assert "every answer is right" in all_right
    assert "depend" not in all_right


def test_the_command_line_prints_the_verdict(answer):
    lines = console.calibrate(answer)
    assert lines[0].startswith(f"{answer['verdict']}: ")
    assert answer["reason"] in lines[0]
    assert any(line.startswith("  temperature") and "interval" in line for line in lines)


def test_noise_with_the_logits_of_a_real_image_is_as_sure_at_every_temperature():
    """What the page says of temperature, computed."""
    real, noise = np.array([5.0, 1.0, 0.0]), np.array([7.0, 3.0, 2.0])
    for temperature in (0.5, 1, 3):
        tops = [
            math.exp(z.max() / temperature) / np.exp(z / temperature).sum() for z in (real, noise)
        ]
        assert tops[0] == pytest.approx(tops[1])
    assert "never makes noise look uncertain" in tables.NOISE


def test_the_surest_wrong_answers_come_first_with_the_distance_from_one(answer):
    first = {**answer["confident_errors"][0], "confidence": 1.0, "one_minus_p": 3.2e-9}
    shown = {**answer, "confident_errors": [first, *answer["confident_errors"][1:]]}
    table = tables.wrong(shown)
    assert table.rows[0]["confidence"] == "1 − 3.2e-9"
    assert [row["file"] for row in table.rows] == [one["file"] for one in shown["confident_errors"]]
    (cell,) = tables.wrong_cells(shown, 1)
    assert cell.confidence == "1 − 3.2e-9"
    assert cell.notes == (f"true class: {NAMES[first['true']]}",)


@pytest.mark.parametrize("name", ["too sure", "not sure enough", "uneven", "fits", "can't tell"])
def test_every_verdict_is_a_sentence(name, answer):
    assert tables.verdict({**answer, "verdict": name}).endswith(".")


def test_every_row_of_a_table_has_the_same_columns(answer):
    empty = [one["n"] == 0 for one in answer["reliability"]]
    assert True in empty
    for table in (
        tables.bins(answer),
        tables.classes(answer),
        tables.confused(answer),
        tables.wrong(answer),
    ):
        assert len({tuple(row) for row in table.rows}) == 1


def test_what_was_left_out_is_said(answer):
    assert tables.left_out(answer) == ""
    assert "3 images without a label" in tables.left_out({**answer, "unlabelled": 3})
    assert "not finite" in tables.left_out({**answer, "not_finite": 2})
