"""Logs that a host is waited for: once for each wait, not for each request that waits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from scrapy_resume.frontier.lru import RecentMap
from scrapy_resume.settings.masking import masked_text

if TYPE_CHECKING:
    from scrapy_resume.ports.clock import Clock

logger = logging.getLogger("scrapy_resume")

HOSTS_REMEMBERED: Final = 2_000

SAME_WAIT_SECONDS: Final = 1.0
"""A wait that ends no later than this after one that was logged is the same: it was asked for by
another request."""

GROWTH: Final = 1.3
"""While the other requests of a host go on, a longer wait of one of them is logged if it is longer
by this factor, which is more than what jitter adds to a delay."""

QUIET_SECONDS: Final = 60.0
"""After so long without a wait, the next one is logged whatever its length."""


class _Wait(NamedTuple):
    """The last wait for a host that was logged."""

    until: float
    """In seconds since the epoch."""
    seconds: float


class WaitLog:
    """What was logged of each host. The least recent hosts are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits: RecentMap[str, _Wait] = RecentMap(HOSTS_REMEMBERED)
        self._troubles: RecentMap[str, str] = RecentMap(HOSTS_REMEMBERED)

    def trouble(self, host: str, how: str) -> None:
        """What the host answered last that was no success, or how it did not answer."""
        self._troubles.put(host, how.rstrip(". "))

    def host_waits(self, host: str, until: float) -> None:
        """No request of the host is sent before ``until`` (seconds since the epoch)."""
        last = self._waits.get(host)
        if last is None or until > last.until + SAME_WAIT_SECONDS:
            self._log(host, until, "")

    def request_waits(self, host: str, until: float) -> None:
        """A request of the host is tried again after ``until``; others are sent before."""
        last, now = self._waits.get(host), self._clock.time()
        if (
            last is None
            or now > last.until + QUIET_SECONDS
            or (until > last.until + SAME_WAIT_SECONDS and until - now > GROWTH * last.seconds)
        ):
            self._log(host, until, "; its other requests go on")

    def announced(self, host: str, until: float) -> None:
        """The wait was logged elsewhere."""
        self._waits.put(host, _Wait(until, max(0.0, until - self._clock.time())))

    def _log(self, host: str, until: float, more: str) -> None:
        self.announced(host, until)
        logger.info(
            "waiting %s for host %s: %s%s",
            shown_seconds(until - self._clock.time()),
            host,
            masked_text(self._troubles.get(host) or "as was noted before this run"),
            more,
        )


def shown_seconds(seconds: float) -> str:
    """``15 s``; ``1.5 s`` below ten."""
    digits = 0 if seconds >= 10 else 1
    return f"{max(seconds, 0.1):.{digits}f}".removesuffix(".0") + " s"
