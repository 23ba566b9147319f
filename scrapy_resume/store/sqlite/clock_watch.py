"""Notices when the machine's clock is set while a run owns a job."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from scrapy_resume.ports.clock import elapsed_seconds

LEAP_SECONDS: Final = 2.0
"""A clock that has moved by more than this against the time that has passed was set. (It may also
be slewed, by half a second in a thousand at most.)"""


class Reading(NamedTuple):
    """The time of day, and that of a clock that cannot be set, at one moment."""

    now: float
    elapsed: float


class ClockWatch:
    """Compares the clock with what it showed at the last commit."""

    def __init__(self) -> None:
        self._last = self._read()
        self._next = self._last

    def _read(self) -> Reading:
        return Reading(time.time(), elapsed_seconds())

    def leap(self) -> float:
        """By how many seconds the clock was set since the last commit; 0: it was not."""
        self._next = self._read()
        now, elapsed = self._next
        leap_seconds = (now - self._last.now) - (elapsed - self._last.elapsed)
        return leap_seconds if abs(leap_seconds) > LEAP_SECONDS else 0.0

    def committed(self) -> None:
        """What follows from the last leap is kept."""
        self._last = self._next
