"""How long a failed attempt waits before the next one. No I/O."""

from __future__ import annotations

import random
import time
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

    from scrapy_resume.frontier.row import Row

JITTER: Final = 0.25
"""A wait is up to so much longer, as a part of it: what failed together does not come back
together."""

DOUBLINGS: Final = 60
"""Beyond it nothing grows any more; floats would overflow."""

LONGEST_RETRY_AFTER_SECONDS: Final = 86_400.0
"""A site that asks for more than a day is believed to mean a day."""

RETRY_AFTER_CODES: Final = frozenset({429, 503})
"""RFC 6585 section 4 and RFC 9110 section 10.2.3: where ``Retry-After`` says how long a client
should wait before it asks again. (With a redirect it says something else.)"""


LATE_SECONDS: Final = 0.005
"""Added to a timer, which may fire a little early by another clock."""

LONGEST_TIMER_SECONDS: Final = 3_600.0


def seconds_until(moment: float) -> float:
    """For a timer: until that time (seconds since the epoch), or a while on the way to it."""
    return min(max(0.0, moment - time.time()) + LATE_SECONDS, LONGEST_TIMER_SECONDS)


class Backoff:
    """Waits that double with each failure in a row.

    ``first_seconds`` is the first one, 0: none at all; ``longest_seconds`` bounds them all.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
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
        now = time.time()
        due = now + self.seconds(retries) if self._first_seconds else 0.0
        return max(due, row.retry_after if row.retry_after > now else 0.0)


def retries_of(request: Request) -> int:
    """How often the request was retried, as Scrapy's retry middleware counts."""
    retries = request.meta.get("retry_times", 0)
    return retries if isinstance(retries, int) else 0


def retry_after(response: Response) -> float:
    """When the site wants to be asked again: seconds since the epoch. 0: it doesn't say.

    ``Retry-After`` in seconds or as a date (RFC 9110, section 10.2.3), at most a day. A date is
    by the site's clock: what counts is how far it is from the response's own ``Date``.
    """
    if response.status not in RETRY_AFTER_CODES:
        return 0.0
    value = _header(response, b"Retry-After")
    now = time.time()
    if value.isascii() and value.isdecimal():
        seconds = float(value[:12])
    elif date := _moment(value):
        seconds = date - (_moment(_header(response, b"Date")) or now)
    else:
        return 0.0
    return now + min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else 0.0


def _header(response: Response, name: bytes) -> str:
    value = response.headers.get(name)
    return "" if value is None else value.decode("latin-1").strip()


def _moment(text: str) -> float:
    """A date in seconds since the epoch; 0: it makes no sense. Without a zone it is UTC."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0.0
