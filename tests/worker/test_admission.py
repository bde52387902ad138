"""Turns: short questions before long ones, people in turn, and a limit to waiting."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from diagnostics.errors import BusyError
from diagnostics.worker import Admission

ONE, TWO, THREE = 1, 2, 3


class Person:
    """Asks for places from a thread for each, and notes the order in which they come."""

    def __init__(self, admission, order):
        self.admission, self.order = admission, order

    def ask(self, owner, name, *, long=False):
        waits, release = threading.Event(), threading.Event()

        def work():
            with self.admission.slot(owner, long=long, on_wait=lambda *_: waits.set()):
                self.order.append(name)
                waits.set()
                release.wait(10)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert waits.wait(5)
        return release, thread


@pytest.fixture
def order():
    return []


def until(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_no_more_than_the_places_compute_at_once(order):
    person = Person(Admission(2, per_owner=9), order)
    first, _ = person.ask(ONE, "a")
    person.ask(TWO, "b")
    person.ask(THREE, "c")
    time.sleep(0.2)
    assert order == ["a", "b"]
    first.set()
    until(lambda: order == ["a", "b", "c"])


def test_short_questions_go_before_long_ones_that_came_earlier(order):
    person = Person(Admission(1, per_owner=9), order)
    running, _ = person.ask(ONE, "running")
    person.ask(TWO, "long", long=True)
    short, _ = person.ask(THREE, "short")
    running.set()
    until(lambda: order == ["running", "short"])
    short.set()
    until(lambda: order == ["running", "short", "long"])


def test_long_questions_leave_a_place_for_short_ones(order):
    person = Person(Admission(2, per_owner=9), order)
    person.ask(ONE, "long", long=True)
    person.ask(TWO, "another long", long=True)
    person.ask(THREE, "short")
    time.sleep(0.2)
    assert order == ["long", "short"]


def test_people_take_turns_however_many_questions_one_has(order):
    person = Person(Admission(1, per_owner=9), order)
    running, _ = person.ask(ONE, "one's first")
    releases = [person.ask(ONE, f"one's {n}")[0] for n in ("second", "third")]
    other, _ = person.ask(TWO, "two's first")
    running.set()
    until(lambda: order[1:] == ["two's first"])
    other.set()
    until(lambda: order[2:] == ["one's second"])
    releases[0].set()
    until(lambda: order[3:] == ["one's third"])


def test_one_person_has_only_so_many_places(order):
    person = Person(Admission(3, per_owner=1), order)
    person.ask(ONE, "first")
    person.ask(ONE, "second")
    person.ask(TWO, "other")
    time.sleep(0.2)
    assert order == ["first", "other"]


def test_too_many_who_wait_are_told_so():
    admission = Admission(1, max_waiting=10)
    with ExitStack() as stack:
        stack.enter_context(admission.slot(ONE, long=False))
        person = Person(admission, [])
        person.ask(TWO, "waits")
        with (
            pytest.raises(BusyError, match="1 question in line already"),
            admission.slot(TWO, long=False),
        ):
            pass


def test_how_many_are_before_and_how_long_it_takes_is_told():
    admission = Admission(1)
    for _ in range(20):  # so that the mean is known
        with admission.slot(ONE, long=False):
            time.sleep(0.02)
    reports = []
    with admission.slot(ONE, long=False):
        person = Person(admission, [])
        person.ask(TWO, "before")

        def tell(wait):
            reports.append(wait)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), admission.slot(THREE, long=False, on_wait=tell):
            pass
    assert reports[0].before == 1
    assert 0.02 < reports[0].seconds < 1


@pytest.mark.parametrize(
    ("slots", "running", "owner", "long", "reason"),
    [
        (1, [(ONE, False)], TWO, False, "the server answers 1 question at a time"),
        (3, [(ONE, False), (ONE, False)], ONE, False, "you have 2 questions under way already"),
        (2, [(ONE, True)], TWO, True, "long questions leave one turn free for short ones"),
    ],
)
def test_a_wait_says_why(slots, running, owner, long, reason):
    admission = Admission(slots)
    reasons = []

    def tell(wait):
        reasons.append(wait.reason)
        raise KeyboardInterrupt

    with ExitStack() as stack:
        for other, is_long in running:
            stack.enter_context(admission.slot(other, long=is_long))
        with (
            pytest.raises(KeyboardInterrupt),
            admission.slot(owner, long=long, on_wait=tell),
        ):
            pass
    assert reasons == [reason]


def test_whoever_gives_up_leaves_the_queue(order):
    admission = Admission(1)

    def impatient(*_):
        raise TimeoutError

    with admission.slot(ONE, long=False):
        for _ in range(6):
            with pytest.raises(TimeoutError), admission.slot(TWO, long=False, on_wait=impatient):
                pass
    with admission.slot(TWO, long=False):
        order.append("done")
    assert order == ["done"]


def test_an_error_gives_the_place_back():
    admission = Admission(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), admission.slot(ONE, long=True):
            raise ValueError("mine")
