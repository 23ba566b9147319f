"""Notices when the machine's clock is set while a run owns a job."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from scrapy_resume.ports.clock import elapsed_seconds

LEAP_SECONDS: Final = 2.0
"""A clock that has moved by more than this against the time that has passed was set. (It may also
be slewed, by half a second in a thousand at most.)"""


class Reading(NamedTuple):
    """What the clocks show at one moment, in seconds."""

    now: float
    system: float
    """The system's clock. It differs from ``now`` where a program has replaced ``time.time``."""
    elapsed: float
    """A clock that is never set."""


class ClockWatch:
    """Compares the clock with what it showed at the last commit."""

    def __init__(self) -> None:
        self._last = self._read()
        self._next = self._last

    def _read(self) -> Reading:
        return Reading(time.time(), time.clock_gettime(time.CLOCK_REALTIME), elapsed_seconds())

    def leap(self) -> float:
        """By how many seconds the clock was set since the last commit; 0: it was not.

        A leap forward that the system's clock has not made is taken for time that has passed.
        """
        reading = self._read()
        now, system, elapsed = (new - old for new, old in zip(reading, self._last, strict=True))
        leap_seconds = now - elapsed
        if leap_seconds > LEAP_SECONDS and system - elapsed <= LEAP_SECONDS:
            return 0.0
        self._next = reading
        return leap_seconds if abs(leap_seconds) > LEAP_SECONDS else 0.0

    def committed(self) -> None:
        """What follows from the last leap is kept."""
        self._last = self._next
