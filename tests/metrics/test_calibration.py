import json
import math

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.methods.calibration._report import if_calibrated, measure
from diagnostics.metrics import calibration
from diagnostics.metrics.calibration import (
    adaptive_ece,
    brier,
    classwise_ece,
    ece,
    log_softmax,
    nll,
    reliability,
)
from diagnostics.metrics.classification import confident_errors, confusion, most_confused, per_class
from diagnostics.metrics.intervals import bootstrap
from diagnostics.metrics.temperature import temperature
from tests.independent import slow_calibration as slow


def answers(n=300, k=5, sharpness=1.0, seed=0):
    """Logits whose softmax at sharpness 1 is exactly the law that the labels were drawn from."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, k))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return logits * sharpness, labels


def constant_margin(n=1000, margin=10.0, accuracy=0.8, k=2):
    """The first class leads by the margin in every image and is right in `accuracy` of them."""
    logits = np.zeros((n, k))
    logits[:, 0] = margin
    labels = (np.arange(n) >= round(accuracy * n)).astype(int)
    return logits, labels


# Errors of calibration


def test_confidence_of_exactly_one_has_a_bin():
    assert ece([0.95, 1.0], [1, 0], 10) == pytest.approx(0.475)
    assert reliability([0.95, 1.0], [1, 0], 10).counts.tolist() == [0] * 9 + [2]


def test_saturated_logits_have_their_known_error():
    logits = [[60.0, 0.0, 0.0]] * 10 + [[math.log(0.97 / 0.015), 0.0, 0.0]] * 10
    confidence = np.exp(log_softmax(np.array(logits)).max(axis=1))
    assert confidence[0] == 1.0
    assert ece(confidence, [0] * 10 + [1] * 10, 15) == pytest.approx(0.4850, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 40])
@pytest.mark.parametrize("n", [1, 7, 200])
def test_errors_equal_plain_loops(n, bins):
    random = np.random.default_rng(n)
    confidence = random.beta(3, 1, n)
    correct = random.random(n) < confidence**2
    for quick, plain in (
        (ece, slow.slow_ece),
        (adaptive_ece, slow.slow_adaptive_ece),
    ):
        assert quick(confidence, correct, bins) == pytest.approx(plain(confidence, correct, bins))


def test_bins_hold_their_lower_edge():
    on_edges = np.arange(11) / 10
    assert reliability(on_edges, np.ones(11), 10).counts.tolist() == [1] * 9 + [2]


def test_a_bin_tells_its_count_confidence_and_accuracy_and_an_empty_one_nothing():
    table = reliability([0.1, 0.2, 0.9], [0, 1, 1], 2)
    assert table.edges.tolist() == [0, 0.5, 1]
    assert table.counts.tolist() == [2, 1]
    assert table.confidence == pytest.approx([0.15, 0.9])
    assert table.accuracy.tolist() == [0.5, 1.0]
    assert np.isnan(reliability([0.1], [1], 2).accuracy[1])


def test_the_order_of_equally_sure_images_does_not_change_the_adaptive_error():
    random = np.random.default_rng(0)
    confidence = np.repeat([1.0, 0.8, 0.6], 40)
    correct = random.random(120) < 0.7
    order = random.permutation(120)
    error = adaptive_ece(confidence, correct, 15)
    assert adaptive_ece(confidence[order], correct[order], 15) == pytest.approx(error)
    groups = [slow.gap(list(zip(confidence[g], correct[g], strict=True)))
              for g in (slice(0, 40), slice(40, 80), slice(80, 120))]  # fmt: skip
    assert error == pytest.approx(sum(groups) / 3)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 4), (60, 2), (120, 6)])
def test_classwise_brier_and_nll_equal_plain_loops(n, k):
    logits, labels = answers(n, k, sharpness=1.7)
    p = np.exp(log_softmax(logits))
    rows, truth = p.tolist(), labels.tolist()
    assert classwise_ece(p, labels, 15) == pytest.approx(slow.slow_classwise_ece(rows, truth, 15))
    assert brier(p, labels) == pytest.approx(slow.slow_brier(rows, truth))
    assert nll(logits, labels) == pytest.approx(slow.slow_nll(logits.tolist(), truth))


def test_a_draw_with_repeats_has_the_classwise_error_of_the_repeated_images():
    logits, labels = answers(80, 4, sharpness=2.0)
    p = np.exp(log_softmax(logits))
    drawn = np.random.default_rng(0).integers(0, 80, 80)
    quick = calibration.classwise_ece_of_draws(p, labels)(drawn)
    plain = slow.slow_classwise_ece(p[drawn].tolist(), labels[drawn].tolist(), 15)
    assert quick == pytest.approx(plain)


def test_brier_goes_from_zero_to_two():
    assert brier([[0.0, 1.0, 0.0]], [1]) == 0.0
    assert brier([[0.0, 1.0, 0.0]], [2]) == 2.0


def test_brier_and_nll_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    logits, labels = answers(200, 3)
    p = np.exp(log_softmax(logits))
    both = np.eye(3)[labels]
    assert brier(p, labels) == pytest.approx(((p - both) ** 2).sum() / 200)
    assert nll(logits, labels) == pytest.approx(metrics.log_loss(labels, p, labels=[0, 1, 2]))


def test_a_surprise_beyond_every_float_probability_stays_finite():
    assert nll([[5000.0, 0.0]], [1]) == pytest.approx(5000.0)


@pytest.mark.parametrize(
    ("confidence", "correct", "bins"),
    [([], [], 15), ([0.5], [1, 0], 15), ([1.2], [1], 15), ([math.nan], [1], 15), ([0.5], [1], 0)],
)
def test_confidences_that_cannot_be_are_refused(confidence, correct, bins):
    with pytest.raises(InputError):
        ece(confidence, correct, bins)


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
@pytest.mark.parametrize("function", [nll, brier, classwise_ece, temperature, measure])
def test_labels_that_do_not_fit_are_refused_in_a_sentence(function, logits, labels):
    with pytest.raises(InputError, match=r"\w+ \w+ .*\.?"):
        function(logits, labels)


# Temperature


@pytest.mark.parametrize(("margin", "accuracy"), [(10.0, 0.8), (3.0, 0.9), (0.5, 0.6)])
@pytest.mark.parametrize("k", [2, 7])
def test_temperature_of_a_constant_margin_has_its_closed_form(margin, accuracy, k):
    expected = margin / (math.log(accuracy / (1 - accuracy)) + math.log(k - 1))
    fitted = temperature(*constant_margin(margin=margin, accuracy=accuracy, k=k))
    assert fitted.value == pytest.approx(expected, rel=1e-6)
    assert not fitted.at_bound


def test_the_known_temperature_takes_the_error_away():
    logits, labels = constant_margin()
    fitted = temperature(logits, labels).value
    assert fitted == pytest.approx(7.2135, rel=1e-4)
    confidence = np.exp(log_softmax(logits / fitted).max(axis=1))
    assert ece(confidence, labels == 0) < 1e-3


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_no_neighbouring_temperature_is_better(sharpness):
    logits, labels = answers(400, sharpness=sharpness, seed=2)
    rows, truth = logits.tolist(), labels.tolist()
    best = temperature(logits, labels).value
    least = slow.slow_nll(rows, truth, best)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert slow.slow_nll(rows, truth, best * factor) > least
    assert best == pytest.approx(sharpness, rel=0.15)


def test_temperature_scales_with_the_logits():
    logits, labels = answers(300)
    once, tenfold = (temperature(logits * s, labels).value for s in (1, 10))
    assert tenfold == pytest.approx(10 * once, rel=1e-6)


@pytest.mark.parametrize("margin", [0.5, 10.0, 1e5])
def test_only_right_answers_drive_the_temperature_to_its_lower_bound(margin):
    fitted = temperature(*constant_margin(margin=margin, accuracy=1.0))
    assert fitted.at_bound
    assert fitted.value == pytest.approx(math.exp(-5))


def test_answers_worse_than_chance_drive_the_temperature_to_its_upper_bound():
    fitted = temperature(*constant_margin(accuracy=0.2))
    assert fitted.at_bound
    assert fitted.value == pytest.approx(math.exp(5))


def test_logits_that_say_nothing_keep_a_temperature_of_one():
    fitted = temperature(np.full((9, 4), 3.0), np.zeros(9, int))
    assert (fitted.value, fitted.at_bound) == (1.0, False)


def test_a_temperature_of_logits_that_are_no_numbers_is_refused():
    with pytest.raises(InputError, match="finite"):
        temperature([[0.0, math.nan]], [0])


# Mistakes


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
    assert second == {"class": 1, "n": 0, "hits": 0, "value": None, "low": 0.0, "high": 1.0}


def test_sure_mistakes_are_ordered_where_float64_says_one_and_even_where_the_rest_says_zero():
    logits = np.array([[40.0, 0, 0], [900, 0, 0], [2, 0, 0], [41, 0, 0], [800, 0, 0], [50, 0, 0]])
    rows = confident_errors(logits, np.array([1, 2, 1, 1, 1, 0]))
    assert [row["index"] for row in rows] == [1, 4, 3, 0, 2]
    assert rows[2]["confidence"] == rows[3]["confidence"] == 1.0
    assert rows[2]["one_minus_p"] == pytest.approx(2 * math.exp(-41), rel=1e-12)
    assert rows[4]["one_minus_p"] == pytest.approx(1 - rows[4]["confidence"], rel=1e-12)
    assert (rows[0]["true"], rows[0]["predicted"], rows[0]["one_minus_p"]) == (2, 0, 0.0)


# The report


def test_a_report_is_plain_json_without_nan():
    logits, labels = answers(150, 3, sharpness=3.0)
    report = measure(logits, labels, resamples=20)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_report_holds_what_plain_loops_measure_before_and_after_temperature():
    logits, labels = answers(300, 4, sharpness=2.0, seed=5)
    report = measure(logits, labels, bins=12, resamples=20)
    t = report["temperature"]["value"]
    for suffix, z in (("", logits), ("_after", logits / t)):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        right = p.argmax(axis=1) == labels
        expected = {
            "ece": slow.slow_ece(p.max(axis=1), right, 12),
            "brier": slow.slow_brier(p.tolist(), labels.tolist()),
            "nll": slow.slow_nll(z.tolist(), labels.tolist()),
        }
        for name, value in expected.items():
            assert report[name + suffix]["value"] == pytest.approx(value)
        if not suffix:
            assert report["accuracy"]["hits"] == right.sum()
            assert report["gap"]["value"] == pytest.approx((p.max(axis=1) - right).mean())
    assert report["nll_after"]["value"] < report["nll"]["value"]
    for name in ("ece", "adaptive_ece", "classwise_ece", "brier", "nll", "gap", "ece_after"):
        assert report[name]["low"] <= report[name]["value"] <= report[name]["high"]
    assert sum(bin_["n"] for bin_ in report["reliability"]) == 300
    assert [bin_["few"] for bin_ in report["reliability"]] == [
        bin_["n"] < 10 for bin_ in report["reliability"]
    ]


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 60.0])
def test_a_temperature_never_changes_which_class_comes_first(sharpness):
    logits, labels = answers(200, 6, sharpness=sharpness, seed=3)
    for log_t in np.linspace(-5, 5, 9):
        assert ((logits / np.exp(log_t)).argmax(axis=1) == logits.argmax(axis=1)).all()
    once, again = measure(logits, labels, resamples=5), None
    again = measure(logits / once["temperature"]["value"], labels, resamples=5)
    for name in ("accuracy", "confusion", "per_class"):
        assert again[name] == once[name]
    assert again["temperature"]["value"] == pytest.approx(1.0, rel=1e-6)


def test_logits_of_the_best_temperature_measure_the_same_before_and_after():
    logits, labels = answers(200)
    fitted = logits / temperature(logits, labels).value
    report = measure(fitted, labels, resamples=5)
    for name in ("ece", "brier", "nll"):
        assert report[name + "_after"]["value"] == pytest.approx(report[name]["value"], abs=1e-6)


def test_a_known_set_is_told_to_be_too_sure_and_fits_after_its_temperature():
    report = measure(*constant_margin())
    assert report["verdict"] == "too sure"
    assert report["ece"]["value"] == pytest.approx(1 / (1 + math.exp(-10)) - 0.8)
    assert report["ece_after"]["value"] < 1e-3
    assert report["ece"]["low"] > report["if_calibrated"]["ece"]["high"]


def test_few_images_give_no_verdict_and_say_why():
    report = measure(*answers(99), resamples=10)
    assert report["verdict"] == "can't tell"
    assert "99" in report["reason"]
    assert "100" in report["reason"]


@pytest.mark.parametrize(
    ("sharpness", "verdict"), [(1.0, "fits"), (2.0, "too sure"), (0.4, "not sure enough")]
)
def test_verdicts_follow_the_law_that_drew_the_labels(sharpness, verdict):
    given = [
        measure(*answers(400, sharpness=sharpness, seed=seed), resamples=100)["verdict"]
        for seed in range(12)
    ]
    assert given.count(verdict) >= 10


def test_errors_that_cancel_on_average_are_called_uneven():
    """Half of the answers are 20 points too sure and half are 20 points not sure enough."""
    z = np.zeros((1000, 2))
    z[:500, 0], z[500:, 0] = math.log(0.9 / 0.1), math.log(0.6 / 0.4)
    right = np.concatenate([np.arange(500) < 350, np.arange(500) < 400])
    assert measure(z, (~right).astype(int))["verdict"] == "uneven"


def test_right_answers_that_chance_allows_are_not_held_against_the_model():
    logits = np.tile([math.log(0.995 / 0.005), 0.0], (120, 1))
    assert measure(logits, np.zeros(120, int))["verdict"] == "fits"


def test_bands_of_the_error_hold_the_true_error_where_plain_quantiles_do_not():
    """Answers of confidence c are right with chance c - 0.02, so the true error is 0.02."""
    held = held_by_quantiles = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        sure = 0.6 + 0.4 * random.beta(3, 1, 150)
        logits = np.stack([np.log(sure / (1 - sure)), np.zeros(150)], axis=1)
        right = random.random(150) < sure - 0.02
        band = measure(logits, (~right).astype(int), resamples=100, seed=seed)["ece"]
        held += band["low"] <= 0.02 <= band["high"]
        low, high = bootstrap(lambda d, s=sure, r=right: ece(s[d], r[d]), 150, seed=seed)
        held_by_quantiles += low <= 0.02 <= high
    assert held >= 48
    assert held_by_quantiles <= 15


def test_what_calibrated_answers_show_by_chance_has_the_size_of_the_binomial_law():
    chance = if_calibrated(np.full(400, 0.8), draws=2000)
    error = math.sqrt(0.8 * 0.2 / 400)
    assert chance["gap"]["high"] == pytest.approx(1.96 * error, rel=0.1)
    assert chance["gap"]["low"] == pytest.approx(-1.96 * error, rel=0.1)
    assert chance["ece"]["mean"] == pytest.approx(error * math.sqrt(2 / math.pi), rel=0.1)


def test_answers_that_are_no_numbers_are_left_out_and_counted():
    logits, labels = answers(120, 3)
    spoilt = np.insert(logits, [0, 50], [[np.nan] * 3, [np.inf, 0, 0]], axis=0)
    report = measure(spoilt, np.insert(labels, [0, 50], [0, 1]), resamples=10)
    clean = measure(logits, labels, resamples=10)
    assert (report["n"], report["not_finite"]) == (120, 2)
    assert report["ece"] == clean["ece"]
    places = np.delete(np.arange(122), [0, 51])
    assert [row["index"] for row in report["confident_errors"]] == [
        places[row["index"]] for row in clean["confident_errors"]
    ]


def test_a_folder_without_one_finite_answer_is_refused():
    with pytest.raises(InputError, match="NaN or infinity"):
        measure(np.full((4, 2), np.nan), np.zeros(4, int))


def test_a_model_of_one_class_is_always_right():
    report = measure(np.arange(5.0)[:, None], np.zeros(5, int), resamples=5)
    assert report["accuracy"]["value"] == 1.0
    assert report["ece"]["value"] == report["brier"]["value"] == report["nll"]["value"] == 0.0
    assert report["confident_errors"] == report["most_confused"] == []


def test_one_image_is_measured_without_a_warning():
    report = measure([[1.0, 0.0]], [1], resamples=3)
    assert report["n"] == 1
    assert report["verdict"] == "can't tell"
    assert report["confident_errors"][0]["index"] == 0


def test_more_than_a_hundred_classes_have_confusions_instead_of_a_table():
    random = np.random.default_rng(0)
    report = measure(random.normal(size=(300, 101)), random.integers(0, 101, 300), resamples=3)
    assert report["confusion"] is None
    assert len(report["most_confused"]) == 50
    assert len(report["per_class"]) == 101


def test_a_report_is_the_same_for_the_same_seed_and_its_values_for_every_seed():
    logits, labels = answers(150)
    first, same, other = (measure(logits, labels, seed=s, resamples=30) for s in (1, 1, 2))
    assert first == same
    assert first["ece"]["value"] == other["ece"]["value"]
    assert first["ece"]["high"] != other["ece"]["high"]
