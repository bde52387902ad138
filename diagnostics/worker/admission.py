"""Who may compute now: a few at a time, short questions before long ones, and people in turn."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from diagnostics.errors import BusyError
from diagnostics.text import counted

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 10.0  # after which a long question goes before short ones too
DEFAULT_SECONDS = 2.0  # of a question, while none was answered
WEIGHT = 0.3  # of the latest question in the mean


@dataclass(frozen=True)
class Wait:
    """Why a question waits, and how long.

    Args:
        before: How many questions go before it.
        seconds: How long that is likely to take.
        reason: Why it has no turn yet.
    """

    before: int
    seconds: float
    reason: str


WaitCallback: TypeAlias = Callable[[Wait], None]


@dataclass(eq=False)
class _Ticket:
    owner: int
    long: bool
    number: int
    queued: float
    started: float = 0.0


class Admission:
    """Lets so many questions compute at once.

    Long questions leave a slot free for short ones. Of those that wait, short ones go first
    unless a long one has waited for ten seconds, and among them the person who has least running,
    and whose last turn is longest ago.

    Args:
        slots: How many compute at once.
        per_owner: How many of one person compute at once.
        max_waiting: How many may wait, and how many of one person (a tenth of it).
    """

    def __init__(self, slots: int, per_owner: int = 2, max_waiting: int = 50) -> None:
        self._slots, self._per_owner, self._max_waiting = max(1, slots), per_owner, max_waiting
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._running: list[_Ticket] = []
        self._served: dict[int, int] = {}  # when a person last had a turn, as a number
        self._count = 0
        self._seconds = {False: DEFAULT_SECONDS, True: 5 * DEFAULT_SECONDS}

    @contextmanager
    def slot(
        self, owner: int, *, long: bool, on_wait: WaitCallback | None = None
    ) -> Iterator[None]:
        """Wait for a slot and hold it.

        Args:
            owner: Whose question it is.
            long: Whether it may take long.
            on_wait: Called while it waits, with why and how long. An exception out of it gives up
                the wait.

        Raises:
            BusyError: When too many wait already.
        """
        ticket = self._queue(owner, long)
        try:
            self._wait(ticket, on_wait)
            started = time.monotonic()
            yield
            self._learn(long, time.monotonic() - started)
        finally:
            with self._changed:
                for tickets in (self._waiting, self._running):
                    if ticket in tickets:
                        tickets.remove(ticket)
                self._changed.notify_all()

    def _queue(self, owner: int, long: bool) -> _Ticket:
        with self._changed:
            of_owner = sum(ticket.owner == owner for ticket in self._waiting)
            most_of_owner = max(1, self._max_waiting // 10)
            if len(self._waiting) >= self._max_waiting or of_owner >= most_of_owner:
                line = counted(len(self._waiting), "question")
                raise BusyError(
                    f"The server is busy: {line} in line already. Try again in a moment."
                )
            self._count += 1
            ticket = _Ticket(owner, long, self._count, time.monotonic())
            self._waiting.append(ticket)
            return ticket

    def _wait(self, ticket: _Ticket, on_wait: WaitCallback | None) -> None:
        while True:
            with self._changed:
                if self._next() is ticket:
                    self._waiting.remove(ticket)
                    self._running.append(ticket)
                    ticket.started = time.monotonic()
                    self._count += 1
                    self._served[ticket.owner] = self._count
                    self._changed.notify_all()
                    return
                before = self._order().index(ticket)
                seconds = self._free_in() + before * self._seconds[ticket.long] / self._slots
                wait = Wait(before, seconds, self._reason(ticket))
                self._changed.wait(POLL_SECONDS)
            if on_wait is not None:
                on_wait(wait)

    def _reason(self, ticket: _Ticket) -> str:
        """Say why a question has no turn yet."""
        own = sum(other.owner == ticket.owner for other in self._running)
        if own >= self._per_owner:
            return f"you have {counted(own, 'question')} under way already"
        if len(self._running) >= self._slots:
            return f"the server answers {counted(self._slots, 'question')} at a time"
        if ticket.long and not self._may_run(ticket):
            return "long questions leave one turn free for short ones"
        return "shorter questions and people who waited longer go first"

    def _free_in(self) -> float:
        """Return after how many seconds the next slot is likely to be free."""
        now = time.monotonic()
        left = [self._seconds[ticket.long] - (now - ticket.started) for ticket in self._running]
        return max(POLL_SECONDS, min(left, default=0.0))

    def _next(self) -> _Ticket | None:
        """Return who takes the next free slot; None where nobody may."""
        if len(self._running) >= self._slots:
            return None
        return next((ticket for ticket in self._order() if self._may_run(ticket)), None)

    def _may_run(self, ticket: _Ticket) -> bool:
        of_owner = sum(other.owner == ticket.owner for other in self._running)
        long = sum(other.long for other in self._running)
        return of_owner < self._per_owner and not (ticket.long and long >= max(1, self._slots - 1))

    def _order(self) -> list[_Ticket]:
        running, now = Counter(ticket.owner for ticket in self._running), time.monotonic()
        return sorted(
            self._waiting,
            key=lambda ticket: (
                ticket.long and now - ticket.queued < PATIENCE_SECONDS,
                running[ticket.owner],
                self._served.get(ticket.owner, 0),
                ticket.number,
            ),
        )

    def _learn(self, long: bool, seconds: float) -> None:
        with self._changed:
            self._seconds[long] += WEIGHT * (seconds - self._seconds[long])
