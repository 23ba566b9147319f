"""The delay between a failed attempt and the next one. No I/O."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock

JITTER: Final = 0.25
"""A delay is lengthened at random by up to this part of it, so that requests that failed together
are not retried together."""

DOUBLINGS: Final = 60
"""After so many doublings the delay does not grow any more, since floats would overflow."""

LATE_SECONDS: Final = 0.005
"""Added to timers, since a timer may fire slightly early by another clock."""

LONGEST_TIMER_SECONDS: Final = 3_600.0
"""So that a timer notices within an hour that the machine was asleep, or its clock was set."""


def seconds_until(moment: float, now: float) -> float:
    """The duration of a timer for ``moment``; both times are seconds since the epoch.

    At most ``LONGEST_TIMER_SECONDS``: if ``moment`` has not come then, another timer is needed.
    """
    return min(max(0.0, moment - now) + LATE_SECONDS, LONGEST_TIMER_SECONDS)


class Backoff:
    """Delays that double with each failure in a row, from ``first_seconds`` (0: no delay) up to
    ``longest_seconds``."""

    def __init__(self, first_seconds: float, longest_seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds

    def seconds(self, failures: int) -> float:
        """The delay after so many failures in a row, counted from 1."""
        grown = self._first_seconds * 2.0 ** min(max(failures - 1, 0), DOUBLINGS)
        wait_seconds = grown * random.uniform(1, 1 + JITTER)
        if wait_seconds <= self._longest_seconds:
            return wait_seconds
        return self._longest_seconds * random.uniform(1 - JITTER, 1)

    def not_before(self, request: Request, row: Row | None) -> float:
        """When a request may be fetched, in seconds since the epoch; 0: at any time.

        ``row`` is the row that it continues, or its parent; ``None``: unknown. The request is
        delayed if it is a retry, that is, if its ``retry_times`` is higher than that of the row's
        request, whoever has raised it. The row's ``Retry-After`` applies too.
        """
        retries = retries_of(request)
        if row is None or retries <= row.retry_times:
            return 0.0
        now = self._clock.time()
        due = now + self.seconds(retries) if self._first_seconds else 0.0
        return max(due, row.retry_after if row.retry_after > now else 0.0)


def retries_of(request: Request) -> int:
    """How often the request was retried, as counted by Scrapy's retry middleware in ``meta``."""
    retries = request.meta.get("retry_times", 0)
    return retries if isinstance(retries, int) else 0
