"""Deadlines of many attempts, with one timer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from scrapy_resume.frontier.retries import LATE_SECONDS

if TYPE_CHECKING:
    from scrapy_resume.ports.clock import Clock, Timer

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Calls ``passed`` with each one whose deadline has passed. The timer is set for the earliest
    deadline, and is not moved when that attempt ends: most end long before."""

    def __init__(self, clock: Clock, passed: Callable[[T], None]) -> None:
        self._clock = clock
        self._passed = passed
        self._deadlines: dict[T, float] = {}
        self._timer: Timer | None = None
        self._timer_due = 0.0

    def add(self, attempt: T, seconds: float) -> None:
        """An attempt begins, or gets more time."""
        now = self._clock.monotonic()
        deadline = self._deadlines[attempt] = now + seconds
        if self._timer is None or deadline < self._timer_due:
            self._set_timer(deadline, now)

    def remove(self, attempt: T) -> None:
        """An attempt has ended."""
        self._deadlines.pop(attempt, None)

    def end(self) -> None:
        """Stop the timer."""
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, deadline: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = deadline
        self._timer = self._clock.call_later(max(0.0, deadline - now) + LATE_SECONDS, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        late = [attempt for attempt, deadline in self._deadlines.items() if deadline <= now]
        for attempt in late:
            del self._deadlines[attempt]
        if self._deadlines:
            self._set_timer(min(self._deadlines.values()), now)
        for attempt in late:
            self._passed(attempt)
