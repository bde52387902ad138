import math

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.metrics.calibration import brier, classwise_ece, nll
from diagnostics.metrics.classification import confident_errors, confusion, most_confused, per_class
from diagnostics.metrics.temperature import temperature
from tests.labelled_logits import measured


def test_confusion_has_a_row_for_each_true_class():
    counted = confusion([0, 2, 2, 1], [0, 0, 2, 2], 3)
    assert counted.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]


def test_the_most_frequent_confusion_comes_first():
    predicted, labels = [1, 1, 0, 2, 2, 2, 0], [0, 0, 1, 1, 1, 2, 0]
    assert most_confused(predicted, labels) == [(0, 1, 2), (1, 2, 2), (1, 0, 1)]
    assert most_confused(predicted, labels, 1) == [(0, 1, 2)]
    assert most_confused([0], [0]) == []


def test_a_class_without_images_has_no_accuracy_and_an_open_interval():
    first, second = per_class([0, 0], [0, 0], 2)
    assert (first["n"], first["hits"], first["value"], first["high"]) == (2, 2, 1.0, 1.0)
    assert second == {
        "class_index": 1,
        "n": 0,
        "hits": 0,
        "value": None,
        "low": 0.0,
        "high": 1.0,
    }


def test_sure_mistakes_are_ordered_where_float64_says_one_and_even_where_the_rest_says_zero():
    logits = np.array([[40.0, 0, 0], [900, 0, 0], [2, 0, 0], [41, 0, 0], [800, 0, 0], [50, 0, 0]])
    rows = confident_errors(logits, np.array([1, 2, 1, 1, 1, 0]))
    assert [row["index"] for row in rows] == [1, 4, 3, 0, 2]
    assert rows[2]["confidence"] == rows[3]["confidence"] == 1.0
    assert rows[2]["one_minus_p"] == pytest.approx(2 * math.exp(-41), rel=1e-12)
    assert rows[4]["one_minus_p"] == pytest.approx(1 - rows[4]["confidence"], rel=1e-12)
    assert (rows[0]["true"], rows[0]["predicted"], rows[0]["one_minus_p"]) == (2, 0, 0.0)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.zeros((2, 3)), [0]),
        (np.zeros((1, 3)), [3]),
        (np.zeros((1, 3)), [-1]),
        (np.zeros((1, 3)), [0.5]),
        (np.zeros(3), [0]),
    ],
)
@pytest.mark.parametrize("function", [nll, brier, classwise_ece, temperature, measured])
def test_labels_that_do_not_fit_are_refused_in_a_sentence(function, logits, labels):
    with pytest.raises(InputError, match=r"\w+ \w+ .*\.?"):
        function(logits, labels)
