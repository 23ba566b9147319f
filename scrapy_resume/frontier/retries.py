"""How long a failed attempt waits before the next one. No I/O."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock

JITTER: Final = 0.25
"""A wait is up to so much longer, as a part of it: what failed together does not come back
together."""

DOUBLINGS: Final = 60
"""Beyond it nothing grows any more; floats would overflow."""

LATE_SECONDS: Final = 0.005
"""Added to a timer, which may fire a little early by another clock."""

LONGEST_TIMER_SECONDS: Final = 3_600.0


def seconds_until(moment: float, now: float) -> float:
    """How long a timer is to run that is for ``moment`` (both in seconds since the epoch): at most
    LONGEST_TIMER_SECONDS, after which another one is needed."""
    return min(max(0.0, moment - now) + LATE_SECONDS, LONGEST_TIMER_SECONDS)


class Backoff:
    """Waits that double with each failure in a row.

    ``first_seconds`` is the first one, 0: none at all; ``longest_seconds`` bounds them all.
    """

    def __init__(self, first_seconds: float, longest_seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds

    def seconds(self, failures: int) -> float:
        """The wait after so many failures in a row, from 1."""
        grown = self._first_seconds * 2.0 ** min(max(failures - 1, 0), DOUBLINGS)
        wait_seconds = grown * random.uniform(1, 1 + JITTER)
        if wait_seconds <= self._longest_seconds:
            return wait_seconds
        return self._longest_seconds * random.uniform(1 - JITTER, 1)

    def not_before(self, request: Request, row: Row | None) -> float:
        """When a request may be fetched that comes of ``row``: seconds since the epoch.

        0: at any time. It waits if it is a retry: if its ``retry_times`` is more than that of
        the request it comes of, whoever raised it. What the site has said of when to come back
        holds too.
        """
        retries = retries_of(request)
        if row is None or retries <= row.retry_times:
            return 0.0
        now = self._clock.time()
        due = now + self.seconds(retries) if self._first_seconds else 0.0
        return max(due, row.retry_after if row.retry_after > now else 0.0)


def retries_of(request: Request) -> int:
    """How often the request was retried, as Scrapy's retry middleware counts."""
    retries = request.meta.get("retry_times", 0)
    return retries if isinstance(retries, int) else 0
