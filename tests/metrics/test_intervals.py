import math
from statistics import NormalDist

import numpy as np
import pytest

from diagnostics.errors import InputError
from diagnostics.metrics.intervals import (
    bootstrap,
    clustered,
    false_alarm_interval,
    flagged_ranks,
    wilson,
)
from tests.independent.slow_calibration import beta_below, wilson_ends


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 10), (3, 10), (10, 10), (1, 1000), (497, 500)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_wilson_ends_are_the_rates_that_lie_just_z_deviations_away(hits, n, level):
    z = NormalDist().inv_cdf((1 + level) / 2)
    assert wilson(hits, n, level) == pytest.approx(wilson_ends(hits, n, z), abs=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 11), (612, 1000)])
def test_wilson_equals_scipy(hits, n):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("n", "mean", "worst"), [(1, 0.957, 0.79), (2, 0.957, 0.82), (20, 0.953, 0.84)]
)
def test_wilson_holds_as_many_rates_as_its_docstring_says(n, mean, worst):
    """Counted from the binomial law, over even rates and just outside every end."""
    ends = [wilson(hits, n) for hits in range(n + 1)]

    def held(rate):
        return sum(
            math.comb(n, hits) * rate**hits * (1 - rate) ** (n - hits)
            for hits, (low, high) in enumerate(ends)
            if low <= rate <= high
        )

    assert np.mean([held((i + 0.5) / 2000) for i in range(2000)]) == pytest.approx(mean, abs=1e-3)
    beside = [end * (1 - 1e-9) for low, _ in ends for end in [low] if low > 0]
    assert min(held(rate) for rate in beside) == pytest.approx(worst, abs=6e-3)


def test_no_trials_leave_a_rate_open():
    assert wilson(0, 0) == (0.0, 1.0)


def test_no_hits_reach_down_to_zero_and_only_hits_up_to_one():
    assert wilson(0, 37)[0] == 0.0
    assert wilson(37, 37)[1] == 1.0


@pytest.mark.parametrize(("hits", "n", "level"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0)])
def test_impossible_counts_and_levels_are_refused(hits, n, level):
    with pytest.raises(InputError):
        wilson(hits, n, level)


@pytest.mark.parametrize(("n", "alpha"), [(19, 0.05), (84, 0.1), (99, 0.29), (200, 0.9)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_both_ends_of_false_alarms_cut_off_equal_tails_of_beta_counted_exactly(n, alpha, level):
    ends = false_alarm_interval(n, alpha, level)
    flags = flagged_ranks(n, alpha)
    below = [beta_below(end, flags, n + 1 - flags) for end in ends]
    assert below == pytest.approx([(1 - level) / 2, (1 + level) / 2], rel=1e-11)


@pytest.mark.parametrize(("n", "alpha"), [(9, 0.1), (19, 0.05), (6000, 1 / 6001)])
def test_a_guard_of_one_rank_has_the_closed_form_of_the_largest_of_n(n, alpha):
    ends = false_alarm_interval(n, alpha, level=0.9)
    assert ends == pytest.approx([1 - tail ** (1 / n) for tail in (0.95, 0.05)], rel=1e-11)


@pytest.mark.parametrize(("n", "alpha"), [(50, 0.05), (200, 0.05), (29, 0.1)])
def test_the_true_rate_of_false_alarms_falls_outside_as_often_as_promised(n, alpha):
    """Scores are uniform, so the true rate of a guard is 1 minus the score where it starts."""
    low, high = false_alarm_interval(n, alpha, level=0.9)
    random = np.random.default_rng(1)
    rates = []
    for scores in random.random((4000, n)):
        fresh = np.sort(scores)
        flagged = [(1 + (fresh >= s).sum()) / (n + 1) <= alpha for s in fresh + 1e-12]
        rates.append(1 - fresh[flagged].min())
    below, above = np.mean(np.array(rates) < low), np.mean(np.array(rates) > high)
    assert below == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
    assert above == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
    assert np.mean(rates) <= alpha + 4 * np.std(rates) / np.sqrt(4000)


@pytest.mark.parametrize("n", [0, 1, 18])
def test_too_few_good_images_never_flag(n):
    assert false_alarm_interval(n, 0.05) == (0.0, 0.0)


def test_nineteen_good_images_flag_only_beyond_the_strangest():
    low, high = false_alarm_interval(19, 0.05)
    assert (low, high) == pytest.approx((1 - 0.975 ** (1 / 19), 1 - 0.025 ** (1 / 19)))


def test_a_promise_of_one_flags_everything():
    assert false_alarm_interval(12, 1.0) == (1.0, 1.0)


def test_ranks_agree_with_the_comparison_that_a_guard_makes():
    for n in range(0, 120):
        for alpha in [0.0, 0.01, 0.05, 0.07, 0.1, 0.29, 0.3, 0.57, 0.58, 1.0]:
            flags = [rank for rank in range(1, n + 2) if rank / (n + 1) <= alpha]
            assert flagged_ranks(n, alpha) == len(flags)


@pytest.mark.parametrize(("n", "alpha", "level"), [(-1, 0.1, 0.9), (5, 1.2, 0.9), (5, 0.1, 0.0)])
def test_a_guard_that_cannot_be_is_refused(n, alpha, level):
    with pytest.raises(InputError):
        false_alarm_interval(n, alpha, level)


def test_bands_of_means_hold_the_true_mean_about_as_often_as_they_say():
    holds = 0
    for seed in range(300):
        sample = np.random.default_rng(1000 + seed).normal(2.0, 3.0, 80)
        low, high = bootstrap(lambda drawn, s=sample: s[drawn].mean(), 80, seed=seed, level=0.9)
        holds += low <= 2.0 <= high
    assert 0.83 <= holds / 300 <= 0.95


def test_a_band_of_a_mean_has_the_width_of_the_normal_law():
    sample = np.random.default_rng(0).normal(size=2000)
    low, high = bootstrap(lambda drawn: sample[drawn].mean(), 2000, resamples=1000)
    error = sample.std() / np.sqrt(2000)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_bands_come_in_the_shape_of_the_statistic_and_skip_what_is_not_told():
    def statistic(drawn):
        lucky = np.nan if 0 in drawn else 1.0
        return [[lucky, np.nan, float(len(drawn))]]

    low, high = bootstrap(statistic, 4)
    assert low.shape == high.shape == (1, 3)
    assert low[0, 0] == high[0, 0] == 1.0
    assert np.isnan([low[0, 1], high[0, 1]]).all()
    assert low[0, 2] == 4.0


def test_the_same_seed_gives_the_same_band_and_another_gives_another():
    sample = np.random.default_rng(0).normal(size=50)
    bands = [bootstrap(lambda drawn: sample[drawn].mean(), 50, seed=s) for s in (3, 3, 4)]
    assert bands[0] == bands[1]
    assert bands[0] != bands[2]


@pytest.mark.parametrize(("n", "resamples"), [(0, 10), (10, 0)])
def test_a_band_of_nothing_is_refused(n, resamples):
    with pytest.raises(InputError):
        bootstrap(lambda drawn: 0.0, n, resamples=resamples)


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_draws_of_the_same_source_image_are_not_counted_as_independent(rate, alike):
    """Of 16 images 4 draws each; at `alike` 1 all draws of an image agree."""
    random, held, plain = np.random.default_rng(0), 0, 0
    sources = np.arange(64) % 16
    for _ in range(400):
        own = random.random(16) < rate
        if alike == 0:
            own = np.full(16, rate)
        elif alike < 1:
            times = (1 - alike) / alike
            own = random.beta(rate * times, (1 - rate) * times, 16)
        hits = random.random(64) < own[sources]
        low, high = clustered(hits, sources)
        held += low <= rate <= high
        low, high = wilson(int(hits.sum()), 64)
        plain += low <= rate <= high
    assert held / 400 >= 0.92
    if alike == 1:
        assert plain / 400 < 0.8


def test_independent_draws_have_wilsons_interval_and_agreeing_ones_that_of_their_sources():
    hits = np.arange(64) % 3 == 0
    assert clustered(hits, np.arange(64)) == wilson(int(hits.sum()), 64)
    assert clustered(np.ones(64), np.arange(64) % 16) == pytest.approx(wilson(16, 16))
    assert clustered(np.zeros(64), np.arange(64) % 16) == pytest.approx(wilson(0, 16))
