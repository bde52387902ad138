"""Who may compute now: a few at a time, short questions before long ones, and people in turn."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from diagnostics.errors import BusyError

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 10.0  # after which a long question goes before short ones too
USUAL_SECONDS = 2.0  # of a question, while none was answered
WEIGHT = 0.3  # of the latest question in the mean

Told = Callable[[int, float], None]


@dataclass(eq=False)
class _Ticket:
    owner: int
    long: bool
    number: int
    asked: float
    started: float = 0.0


class Admission:
    """Lets so many questions compute at once.

    Long questions leave one place free for short ones. Of those that wait, short ones go first
    unless a long one has waited for ten seconds, and among them the person who has least running,
    and whose last turn is longest ago.

    Args:
        places: How many compute at once.
        per_owner: How many of one person compute at once.
        most_waiting: How many may wait, and how many of one person (a tenth of it).
    """

    def __init__(self, places: int, per_owner: int = 2, most_waiting: int = 50) -> None:
        self._places, self._per_owner, self._most = max(1, places), per_owner, most_waiting
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._running: list[_Ticket] = []
        self._served: dict[int, int] = {}  # when a person last had a turn, as a number
        self._count = 0
        self._seconds = {False: USUAL_SECONDS, True: 5 * USUAL_SECONDS}

    @contextmanager
    def place(self, owner: int, *, long: bool, tell: Told | None = None) -> Iterator[None]:
        """Wait for a place and hold it.

        Args:
            owner: Whose question it is.
            long: Whether it may take long.
            tell: Called while it waits, with how many go before it and the seconds that may take.
                An exception out of it gives up the wait.

        Raises:
            BusyError: When too many wait already.
        """
        ticket = self._queued(owner, long)
        try:
            self._wait(ticket, tell)
            started = time.monotonic()
            yield
            self._learn(long, time.monotonic() - started)
        finally:
            with self._changed:
                for tickets in (self._waiting, self._running):
                    if ticket in tickets:
                        tickets.remove(ticket)
                self._changed.notify_all()

    def _queued(self, owner: int, long: bool) -> _Ticket:
        with self._changed:
            own = sum(one.owner == owner for one in self._waiting)
            if len(self._waiting) >= self._most or own >= max(1, self._most // 10):
                raise BusyError(
                    f"The server is busy: {len(self._waiting)} questions wait already. Try again "
                    "in a moment."
                )
            self._count += 1
            ticket = _Ticket(owner, long, self._count, time.monotonic())
            self._waiting.append(ticket)
            return ticket

    def _wait(self, ticket: _Ticket, tell: Told | None) -> None:
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
                left = self._free_in() + before * self._seconds[ticket.long] / self._places
                self._changed.wait(POLL_SECONDS)
            if tell is not None:
                tell(before, left)

    def _free_in(self) -> float:
        """Return after how many seconds the next place is likely to be free."""
        now = time.monotonic()
        left = [self._seconds[one.long] - (now - one.started) for one in self._running]
        return max(POLL_SECONDS, min(left, default=0.0))

    def _next(self) -> _Ticket | None:
        """Return who takes the next free place; None where nobody may."""
        if len(self._running) >= self._places:
            return None
        return next((one for one in self._order() if self._may_run(one)), None)

    def _may_run(self, ticket: _Ticket) -> bool:
        own = sum(one.owner == ticket.owner for one in self._running)
        long = sum(one.long for one in self._running)
        return own < self._per_owner and not (ticket.long and long >= max(1, self._places - 1))

    def _order(self) -> list[_Ticket]:
        own, now = Counter(one.owner for one in self._running), time.monotonic()
        return sorted(
            self._waiting,
            key=lambda one: (
                one.long and now - one.asked < PATIENCE_SECONDS,
                own[one.owner],
                self._served.get(one.owner, 0),
                one.number,
            ),
        )

    def _learn(self, long: bool, seconds: float) -> None:
        with self._changed:
            self._seconds[long] += WEIGHT * (seconds - self._seconds[long])
