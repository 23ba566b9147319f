"""Delayed requests: when the next one is due, and how long a run waits with nothing else to do.

Delayed requests are in the store and cost no memory here; those that have to run in this
process (``Row.not_before``) are held here.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.retries import seconds_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.politeness.host_breaker import HostBreakers
    from scrapy_resume.ports.clock import Clock, Timer
    from scrapy_resume.ports.engine import Engine

logger = logging.getLogger("scrapy_resume")

LATER: Final = "resume_later"
"""The close reason of a run that had nothing but delayed requests left."""

OVERDUE_SECONDS: Final = 0.2
"""Until the store is asked again for a row that it should have given."""


class DelayedRows:
    """Rows that are not due yet, and for how long there has been nothing else to do."""

    def __init__(
        self,
        patience_seconds: float,
        breakers: HostBreakers,
        committer: Committer,
        engine: Engine,
        clock: Clock,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._breakers = breakers
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._next_due = 0.0
        self._timer: Timer | None = None
        self._rows: dict[int, tuple[Row, Timer]] = {}
        self._since: float | None = None
        """Since when nothing else was left, on the monotonic clock."""
        self._ended = False

    def __len__(self) -> int:
        """Rows that are held here."""
        return len(self._rows)

    def hold(self, row: Row, release: Callable[[Row], None]) -> None:
        """Keep a row until it is due, then ``release`` it."""
        seconds = seconds_until(row.not_before, self._clock.time())
        timer = self._clock.call_later(seconds, self._look_at, row, release)
        self._rows[row.id] = (row, timer)

    def _look_at(self, row: Row, release: Callable[[Row], None]) -> None:
        del self._rows[row.id]
        if row.not_before > self._clock.time():
            self.hold(row, release)
        else:
            release(row)

    def next_due(self, moment: float) -> None:
        """The store's first delayed row is due at that time (seconds since the epoch); 0: none is
        delayed. A batch is sent then, which leases it."""
        if moment == self._next_due or self._ended:
            return
        self._stop_timer()
        self._next_due = moment
        if moment:
            # The clock of the store's machine may be behind: not again at once.
            now = self._clock.time()
            seconds = OVERDUE_SECONDS if moment <= now else seconds_until(moment, now)
            self._timer = self._clock.call_later(seconds, self._now_due)

    def _now_due(self) -> None:
        self._timer = None
        self._next_due = 0.0
        self._committer.hurry()

    def look(self, nothing_else: bool, delayed: int) -> None:
        """Close the spider if it has waited for too long, or would have to; called every second
        or so. ``nothing_else``: all that is left is delayed; ``delayed``: rows in the store."""
        if not nothing_else:
            self._since = None
            return
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
            logger.info("Nothing is left but %s", self._what_waits(delayed))
        patience_seconds = self._patience_seconds - (now - self._since)
        if self._seconds_until(self._first_due()) > max(patience_seconds, 0.0):
            logger.info(
                "The spider is closed (RESUME_RETRY_WAIT is %g s): nothing is left but %s. The "
                "same command goes on with them.",
                self._patience_seconds,
                self._what_waits(delayed),
            )
            self._engine.close_spider(LATER)

    def _seconds_until(self, moment: float) -> float:
        return seconds_until(moment, self._clock.time())

    def _first_due(self) -> float:
        moments = [row.not_before for row, _ in self._rows.values()]
        moments += [moment for moment in (self._next_due, self._breakers.next_due) if moment]
        return min(moments, default=0.0)

    def _what_waits(self, delayed: int) -> str:
        first = self._first_due()
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first))
        return (
            f"{delayed + len(self._rows)} requests that wait for their next attempt; the first "
            f"is due at {when}, in {self._seconds_until(first):.1f} s"
        )

    def end(self) -> None:
        """Nothing is dispatched any more."""
        self._ended = True
        self._stop_timer()
        for _, timer in self._rows.values():
            timer.cancel()
        self._rows.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
