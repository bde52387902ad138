"""Which of many images are strange together, against exact fractions and simulated rates."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.metrics.false_discovery import benjamini_hochberg, discoveries
from tests.independent.slow_false_discovery import slow_benjamini_hochberg

RATES = [Fraction(1, 100), Fraction(1, 20), Fraction(1, 10), Fraction(1, 3)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("calibrating", [19, 39, 99, 1000])
def test_benjamini_hochberg_of_conformal_p_values_equals_the_slow_one(rate, calibrating):
    random = np.random.default_rng(calibrating)
    for n in (1, 2, 5, 20, 60):
        for strange in (0, n // 2, n):
            ranks = random.integers(1, calibrating + 2, n)
            ranks[:strange] = random.integers(1, 4, strange)
            exact = [Fraction(int(rank), calibrating + 1) for rank in ranks]
            found = benjamini_hochberg(np.array([float(p) for p in exact]), float(rate))
            assert found.tolist() == slow_benjamini_hochberg(exact, rate)


def test_benjamini_hochberg_equals_scipys_adjusted_p_values():
    stats = pytest.importorskip("scipy.stats")
    p_values = np.random.default_rng(0).random(200) ** 3
    for rate in (0.01, 0.1, 0.4):
        expected = stats.false_discovery_control(p_values) <= rate
        assert benjamini_hochberg(p_values, rate).tolist() == expected.tolist()


def test_no_p_values_name_nothing_and_impossible_ones_are_refused():
    assert benjamini_hochberg(np.array([]), 0.1).tolist() == []
    for p_values, rate in (([0.5, np.nan], 0.1), ([1.1], 0.1), ([0.5], 0.0)):
        with pytest.raises(InputError, match="rate"):
            benjamini_hochberg(np.array(p_values), rate)


@pytest.mark.parametrize(("calibrating", "n"), [(20, 10), (100, 40), (400, 100)])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_false_discovery_rate_is_kept_where_images_share_their_calibration(
    calibrating, n, share
):
    """Simulated: scores of good images are lognormal, strange ones lie higher, all share one set.

    Where all are good the rate is that of naming any; else it is at most the good ones' share of
    the promised rate.
    """
    random, repeats, rate = np.random.default_rng(3), 2000, 0.2
    strange = int(share * n)
    false = np.zeros(repeats)
    caught = 0
    for repeat in range(repeats):
        known = random.lognormal(size=calibrating)
        scores = random.lognormal(size=n)
        scores[:strange] *= 20
        at_least = (known[:, None] >= scores).sum(0)
        named = benjamini_hochberg((1 + at_least) / (calibrating + 1), rate)
        false[repeat] = named[strange:].sum() / max(named.sum(), 1)
        caught += named[:strange].sum()
    band = 3.3 * false.std(ddof=1) / repeats**0.5
    assert false.mean() <= rate * (1 - share) + band
    if share:
        assert caught > 0.2 * repeats * strange


def test_flagging_each_image_by_itself_keeps_no_false_discovery_rate():
    """What the procedure is for: of 100 good images five are flagged, and all of them are false."""
    random = np.random.default_rng(0)
    p_values = (1 + random.permutation(1000)[:100]) / 1000
    assert (p_values <= 0.05).sum() >= 1
    assert not benjamini_hochberg(p_values, 0.05).any()


@pytest.mark.parametrize(("calibrating", "rate"), [(19, 0.05), (39, 0.05), (99, 0.1), (250, 0.29)])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_least_number_of_discoveries_is_that_from_which_on_any_can_be_named(
    calibrating, rate, n
):
    names = [str(number) for number in range(n)]
    named = []
    for strange in range(n + 1):
        p_values = [1 / (calibrating + 1)] * strange + [1.0] * (n - strange)
        found = discoveries(names, p_values, calibrating, rate)
        named.append(len(found["files"]))
    least = found["least"]
    assert named == [k if k >= least else 0 for k in range(n + 1)]


def test_an_image_without_a_p_value_is_not_counted():
    found = discoveries(["a", "b", "c"], [0.01, None, 0.5], 99, 0.05)
    assert (found["n"], found["files"]) == (2, ["a"])
