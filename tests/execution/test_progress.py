"""How far a request is: the time that is left, and the pace of reports."""

from __future__ import annotations

import pytest

from diagnostics.execution import progress
from diagnostics.execution.progress import ProgressReporter
from diagnostics.schema.request import Result


@pytest.fixture
def clock(monkeypatch):
    """The time, in seconds, that tests set by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def test_the_remaining_time_follows_from_the_time_that_the_images_took(clock):
    reports = []
    reporter = ProgressReporter(reports.append)
    clock(5)
    reporter.report("Opening the model", 0.1)
    assert reports[-1].seconds_left is None
    clock(5)
    report = reporter.part(0.0, 0.5)
    clock(4)
    report("Asking", 0.4)  # a fifth of all images in 4 s, whatever was done before them
    assert reports[-1].seconds_left == pytest.approx(16)
    clock(2)
    reporter.part(0.5, 0.5)("Asking once more", 0.5)
    assert reports[-1].seconds_left == pytest.approx(2)
    assert reporter.seconds == pytest.approx(16)


def test_of_the_first_few_images_no_time_is_estimated(clock):
    reports = []
    report = ProgressReporter(reports.append).part(0.0, 1.0)
    clock(1)
    report("Asking", 0.02)
    assert reports[-1].seconds_left is None


def test_images_take_the_progress_from_a_fifth_to_nine_tenths(clock):
    reports = []
    reporter = ProgressReporter(reports.append)
    for done, expected in ((0.0, 0.55), (1.0, 0.9)):
        reporter.part(0.5, 0.5)(f"Asking, {done}", done)
        assert reports[-1].done == pytest.approx(expected)


def test_one_activity_is_not_reported_again_at_once(clock):
    reports = []
    reporter = ProgressReporter(reports.append)
    for seconds in (0, 0.06, 0.06, 0.06):
        clock(seconds)
        reporter.report("Asking", 0.5)
    assert len(reports) == 2
    reporter.report("Sending", 0.9)
    assert len(reports) == 3


def test_partial_results_are_made_only_when_they_are_reported(clock):
    reports, made = [], []
    reporter = ProgressReporter(reports.append)

    def make():
        made.append(1)
        return Result("", {}, {}, 0.0, {})

    for seconds in (0, 0.3, 0.3):
        clock(seconds)
        reporter.partial(make)
    assert len(made) == len([one for one in reports if one.partial]) == 2
    ProgressReporter(None).partial(make)
    assert len(made) == 2
