import math

import numpy as np
import pytest

from diagnostics.methods.calibration._report import measure
from diagnostics.report.calibration import charts
from diagnostics.report.calibration import tables as rows

K, N = 5, 300
NAMES = ["a", "b", "<i>", "d", "never seen"]


def answered(k=K, n=N, classes=None, seed=3):
    """Logits that are right more often than not, and labels of all classes but the last."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, k - 1, n)
    logits = random.normal(size=(n, k))
    logits[np.arange(n), labels] += 2
    said = measure(logits, labels, resamples=20)
    errors = [{**one, "file": f"{one['index']}.png"} for one in said["confident_errors"]]
    names = classes or [f"class {one}" for one in range(k)]
    return (
        {
            **said,
            "confident_errors": errors,
            "class_names": names,
            "unlabelled": 0,
            "notes": [],
        },
        labels,
        logits,
    )


@pytest.fixture(scope="module")
def said():
    return answered(classes=NAMES)[0]


def test_bars_are_the_accuracy_and_the_count_of_each_bin(said):
    figure = charts.reliability(said)
    accuracy, diagonal, diamonds, counts = figure.data
    filled = [one for one in said["reliability"] if one["n"]]
    assert list(accuracy.y) == pytest.approx([100 * one["accuracy"] for one in filled])
    assert list(diamonds.x) == pytest.approx([100 * one["confidence"] for one in filled])
    assert list(counts.y) == [one["n"] for one in filled]
    assert sum(counts.y) == N
    assert list(counts.text) == [str(one["n"]) for one in filled]
    assert list(diagonal.x) == list(diagonal.y) == [0, 100]
    for x, width, one in zip(accuracy.x, accuracy.width, filled, strict=True):
        assert (x - width / 2, x + width / 2) == pytest.approx((100 * one["from"], 100 * one["to"]))


def test_bins_of_few_images_are_hatched_and_no_others(said):
    figure = charts.reliability(said)
    filled = [one for one in said["reliability"] if one["n"]]
    hatched = [one["n"] < 10 for one in filled]
    assert True in hatched
    assert False in hatched
    for bars in (figure.data[0], figure.data[3]):
        assert [shape == "/" for shape in bars.marker.pattern.shape] == hatched
    assert f"Hatched: {sum(hatched)} bins" in rows.bins(said).said


def test_one_hit_of_one_leaves_the_accuracy_of_its_bin_open():
    """Wilson's interval of 1 of 1 begins at 1 / (1 + 1.96²)."""
    one = {"from": 0.9, "to": 1.0, "n": 1, "few": True, "confidence": 0.95, "accuracy": 1.0}
    bars = charts.reliability({"reliability": [one], "n": 1}).data[0]
    low = 100 - bars.error_y.arrayminus[0]
    assert low == pytest.approx(100 / (1 + 1.959964**2), rel=1e-5)
    assert bars.error_y.array[0] == 0


def test_classes_stand_worst_first_and_those_without_images_are_said(said):
    (points,) = charts.per_class(said).data
    assert list(points.x) == sorted(points.x)
    values = {NAMES[one["class"]]: one for one in said["per_class"]}
    assert len(points.x) == 4
    for x, up, down, text in zip(
        points.x, points.error_x.array, points.error_x.arrayminus, points.hovertext, strict=True
    ):
        one = values[text.split(":")[0].replace("&lt;", "<").replace("&gt;", ">")]
        assert (x - down, x, x + up) == pytest.approx(
            (100 * one["low"], 100 * one["value"], 100 * one["high"])
        )
    assert "1 class has no image here" in rows.classes(said).said


def test_the_matrix_counts_every_image_once_true_classes_in_rows():
    said, labels, logits = answered(classes=NAMES)
    (cells,) = charts.confusion(said).data
    counted = np.expm1(np.asarray(cells.z))
    expected = np.zeros((K, K))
    for label, row in zip(labels, logits, strict=True):
        expected[label, row.argmax()] += 1
    np.testing.assert_allclose(counted, expected, atol=1e-9)
    assert cells.zmin == 0
    assert (
        charts.confusion(said).layout.yaxis.range[0] > charts.confusion(said).layout.yaxis.range[1]
    )


def test_more_than_a_hundred_classes_get_a_list_instead_of_a_matrix():
    said = answered(k=120)[0]
    assert charts.confusion(said) is None
    assert len(charts.per_class(said).data[0].x) == charts.CLASSES_SHOWN
    assert "40 worst of" in charts.per_class(said).layout.title.text
    assert rows.confused(said).rows[0]["true class"].startswith("class ")


def test_every_figure_names_its_axes_and_how_many_images_it_shows(said):
    for figure in (charts.reliability(said), charts.per_class(said), charts.confusion(said)):
        assert "n = 300" in figure.layout.title.text
        assert figure.layout.yaxis.title.text
        assert any(
            figure.layout[name].title.text for name in ("xaxis", "xaxis2") if name in figure.layout
        )


def test_every_measure_says_what_it_is_and_which_way_is_worse(said):
    cells = [cell for row in rows.measures(said).values() for cell in row]
    assert len(cells) == 6
    for cell in cells:
        assert "worse" in cell.notes[1]
        assert cell.answer
    (brier,) = [cell for cell in cells if cell.title == "Brier score"]
    assert "0 to 2" in brier.notes[1]
    assert float(brier.answer) == pytest.approx(said["brier"]["value"], rel=1e-2)


@pytest.mark.parametrize(("value", "word"), [(2.5, "less sure"), (0.4, "surer")])
def test_the_temperature_is_said_with_what_it_was_fitted_on(value, word):
    said = {"temperature": {"value": value, "at_bound": False, "fitted_on": 77}}
    assert f"{value:.2f}" in rows.temperature(said)
    assert word in rows.temperature(said)
    assert "77" in rows.fitted_on(said)
    said["temperature"]["at_bound"] = True
    assert "No temperature fits" in rows.temperature(said)


def test_noise_with_the_logits_of_a_real_image_is_as_sure_at_every_temperature():
    """What the page says of temperature, computed."""
    real, noise = np.array([5.0, 1.0, 0.0]), np.array([7.0, 3.0, 2.0])
    for temperature in (0.5, 1, 3):
        tops = [
            math.exp(z.max() / temperature) / np.exp(z / temperature).sum() for z in (real, noise)
        ]
        assert tops[0] == pytest.approx(tops[1])
    assert "never makes noise look uncertain" in rows.NOISE


def test_the_surest_wrong_answers_come_first_with_the_distance_from_one(said):
    first = {**said["confident_errors"][0], "confidence": 1.0, "one_minus_p": 3.2e-9}
    shown = {**said, "confident_errors": [first, *said["confident_errors"][1:]]}
    table = rows.wrong(shown)
    assert table.rows[0]["confidence"] == "1 − 3.2e-9"
    assert [row["file"] for row in table.rows] == [one["file"] for one in shown["confident_errors"]]
    (cell,) = rows.wrong_cells(shown, 1)
    assert cell.sure == "1 − 3.2e-9"
    assert cell.notes == (f"true class: {NAMES[first['true']]}",)


@pytest.mark.parametrize("name", ["too sure", "not sure enough", "uneven", "fits", "can't tell"])
def test_every_verdict_is_a_sentence(name):
    assert rows.verdict({"verdict": name}).endswith(".")


def test_every_row_of_a_table_has_the_same_columns(said):
    empty = [one["n"] == 0 for one in said["reliability"]]
    assert True in empty
    for table in (rows.bins(said), rows.classes(said), rows.confused(said), rows.wrong(said)):
        assert len({tuple(row) for row in table.rows}) == 1


def test_what_was_left_out_is_said(said):
    assert rows.left_out(said) == ""
    assert "3 images without a label" in rows.left_out({**said, "unlabelled": 3})
    assert "not finite" in rows.left_out({**said, "not_finite": 2})
