import json
import math

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.methods.calibration.calibration import calibration
from diagnostics.metrics.temperature import temperature
from diagnostics.report.calibration import tables
from diagnostics.schema.results.calibration import CalibrationAnswer
from tests.independent import slow_calibration as slow
from tests.labelled_logits import constant_margin, drawn_from_softmax, measured
from tests.letters import letters_context
from tests.results import conforms


def test_a_report_is_plain_json_without_nan():
    logits, labels = drawn_from_softmax(150, 3, sharpness=3.0)
    report = measured(logits, labels, resamples=20)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_report_holds_what_plain_loops_measure_before_and_after_temperature():
    """After it every image's logits are divided by the temperature of the other four fifths."""
    logits, labels = drawn_from_softmax(300, 4, sharpness=2.0, seed=5)
    report = measured(logits, labels, bins=12, resamples=20)
    folds, scaled = np.random.default_rng(0).permutation(300) % 5, logits.copy()
    for index in range(5):
        others = folds != index
        scaled[~others] /= temperature(logits[others], labels[others]).value
    for suffix, z in (("", logits), ("_after", scaled)):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        right = p.argmax(axis=1) == labels
        error = slow.slow_ece(p.max(axis=1), right, 12)
        assert report["ece" + suffix]["counted"] == pytest.approx(error)
        brier, nll = slow.slow_brier(p.tolist(), labels.tolist()), slow.slow_nll(z, labels)
        assert report["brier" + suffix]["value"] == pytest.approx(brier)
        assert report["nll" + suffix]["value"] == pytest.approx(nll)
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
    logits, labels = drawn_from_softmax(200, 6, sharpness=sharpness, seed=3)
    for log_t in np.linspace(-5, 5, 9):
        assert ((logits / np.exp(log_t)).argmax(axis=1) == logits.argmax(axis=1)).all()
    once = measured(logits, labels, resamples=5)
    again = measured(logits / once["temperature"]["value"], labels, resamples=5)
    for name in ("accuracy", "confusion", "per_class"):
        assert again[name] == once[name]
    assert again["temperature"]["value"] == pytest.approx(1.0, rel=1e-6)


def test_values_after_a_temperature_come_from_images_that_did_not_choose_it():
    flattered = honest = 0.0
    for seed in range(8):
        logits, labels = drawn_from_softmax(60, 4, sharpness=2.0, seed=seed)
        flattered += slow.slow_nll(logits, labels, temperature(logits, labels).value)
        honest += measured(logits, labels, resamples=2)["nll_after"]["value"]
    assert honest > flattered


def test_a_known_set_is_told_to_be_too_sure_and_fits_after_its_temperature():
    report = measured(*constant_margin())
    assert report["verdict"] == "too sure"
    true_gap = 1 / (1 + math.exp(-10)) - 0.8
    assert report["ece"]["counted"] == pytest.approx(true_gap)
    assert report["ece"]["value"] == pytest.approx(true_gap, abs=1e-3)
    assert report["ece_after"]["counted"] < 0.06
    assert report["ece"]["low"] > report["ece"]["chance_high"]


def test_few_images_give_no_verdict_and_say_why():
    report = measured(*drawn_from_softmax(99), resamples=10)
    assert report["verdict"] == "can't tell"
    assert "99" in report["reason"]
    assert "100" in report["reason"]


@pytest.mark.parametrize(
    ("sharpness", "verdict"), [(1.0, "fits"), (2.0, "too sure"), (0.4, "not sure enough")]
)
def test_verdicts_follow_the_law_that_drew_the_labels(sharpness, verdict):
    """How often chance makes another verdict is asserted of the bands themselves."""
    verdicts = [
        measured(*drawn_from_softmax(400, sharpness=sharpness, seed=seed), resamples=2)["verdict"]
        for seed in range(4)
    ]
    assert verdicts == [verdict] * 4


def test_errors_that_cancel_on_average_are_called_uneven():
    """Half of the answers are 20 points too sure and half are 20 points not sure enough."""
    z = np.zeros((1000, 2))
    z[:500, 0], z[500:, 0] = math.log(0.9 / 0.1), math.log(0.6 / 0.4)
    right = np.concatenate([np.arange(500) < 350, np.arange(500) < 400])
    assert measured(z, (~right).astype(int))["verdict"] == "uneven"


def test_right_answers_that_chance_allows_are_not_held_against_the_model():
    logits = np.tile([math.log(0.995 / 0.005), 0.0], (120, 1))
    assert measured(logits, np.zeros(120, int))["verdict"] == "fits"


def test_what_calibrated_answers_show_by_chance_has_the_size_of_the_binomial_law():
    """Of 400 answers of confidence 0.8 the gap's standard deviation is 0.02."""
    logits = np.zeros((400, 2))
    logits[:, 0] = math.log(0.8 / 0.2)
    report = measured(logits, (np.arange(400) >= 320).astype(int), resamples=5)
    gap, error = report["gap_if_calibrated"], math.sqrt(0.8 * 0.2 / 400)
    assert (gap["low"], gap["high"]) == pytest.approx((-2.24 * error, 2.24 * error), rel=0.2)
    assert report["ece"]["chance_high"] == pytest.approx(2.24 * error, rel=0.2)
    (filled,) = [row for row in report["reliability"] if row["n"]]
    assert (filled["low"], filled["high"]) == pytest.approx(
        (0.8 - 1.96 * error, 0.8 + 1.96 * error), abs=0.45 * error
    )


def test_answers_that_labels_contradict_are_said_not_to_depend_on_the_image():
    labels = np.arange(300) % 3
    report = measured(5 * np.eye(3)[(labels + 1) % 3], labels, resamples=2)
    assert report["temperature"]["at_bound"] == "highest"
    assert "do not depend on the image" in tables.temperature(report)
    assert report["ece_after"]["counted"] == report["ece"]["counted"]  # no temperature is applied


def test_answers_that_are_no_numbers_are_left_out_and_counted():
    logits, labels = drawn_from_softmax(120, 3)
    spoilt = np.insert(logits, [0, 50], [[np.nan] * 3, [np.inf, 0, 0]], axis=0)
    report = measured(spoilt, np.insert(labels, [0, 50], [0, 1]), resamples=10)
    clean = measured(logits, labels, resamples=10)
    assert (report["n"], report["not_finite"]) == (120, 2)
    assert report["ece"] == clean["ece"]
    places = np.delete(np.arange(122), [0, 51])
    assert [row["index"] for row in report["confident_errors"]] == [
        places[row["index"]] for row in clean["confident_errors"]
    ]


def test_a_folder_without_one_finite_answer_is_refused():
    with pytest.raises(InputError, match="NaN or infinity"):
        measured(np.full((4, 2), np.nan), np.zeros(4, int))


def test_a_model_of_one_class_is_always_right():
    report = measured(np.arange(5.0)[:, None], np.zeros(5, int), resamples=5)
    assert report["accuracy"]["value"] == 1.0
    assert report["ece"]["value"] == report["brier"]["value"] == report["nll"]["value"] == 0.0
    assert report["confident_errors"] == report["most_confused"] == []


def test_one_image_is_measured_without_a_warning():
    report = measured([[1.0, 0.0]], [1], resamples=3)
    assert report["n"] == 1
    assert report["verdict"] == "can't tell"
    assert report["confident_errors"][0]["index"] == 0


def test_more_than_a_hundred_classes_have_confusions_instead_of_a_table():
    random = np.random.default_rng(0)
    report = measured(random.normal(size=(300, 101)), random.integers(0, 101, 300), resamples=3)
    assert report["confusion"] is None
    assert len(report["most_confused"]) == 50
    assert len(report["per_class"]) == 101


def test_a_report_is_the_same_for_the_same_seed_and_its_values_for_every_seed():
    logits, labels = drawn_from_softmax(150)
    first, same, other = (measured(logits, labels, seed=s, resamples=30) for s in (1, 1, 2))
    assert first == same
    assert first["ece"]["counted"] == other["ece"]["counted"]
    assert first["ece"]["chance_high"] != other["ece"]["chance_high"]


def test_a_folder_of_letters_has_an_answer_of_the_promised_type():
    answer = calibration(letters_context(), bins=10).scores
    conforms(CalibrationAnswer, answer)
    assert answer["n"] == sum(one["n"] for one in answer["per_class"])
    assert all(wrong["file"].endswith(".png") for wrong in answer["confident_errors"])
