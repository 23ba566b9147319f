"""Delayed requests: when the next one is due, and how long a run waits if nothing else is left.

Most delayed requests are in the store and take no memory here. Those that have to run in this
process are held here until ``Row.not_before``.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.retries import seconds_until
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.politeness.host_breaker import HostBreakers
    from scrapy_resume.ports.clock import Clock, Timer
    from scrapy_resume.ports.engine import Engine

logger = logging.getLogger("scrapy_resume")

LATER: Final = "resume_later"
"""The close reason of a run in which only delayed requests were left."""

OVERDUE_SECONDS: Final = 0.2
"""The pause before the store is asked again for a row that is due but was not leased: the clock of
the store's machine may be behind."""


class DelayedRows:
    """Holds rows until they are due, and closes the spider if it would wait for too long."""

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
        """Since when only delayed requests are left, on the monotonic clock; ``None``: others
        are."""
        self._ended = False

    def __len__(self) -> int:
        """Number of rows that are held here."""
        return len(self._rows)

    def hold(self, row: Row, when_due: Callable[[Row], None]) -> None:
        """Keep a row until it is due, then call ``when_due(row)``."""
        seconds = seconds_until(row.not_before, self._clock.time())
        timer = self._clock.call_later(seconds, self._check_due, row, when_due)
        self._rows[row.id] = (row, timer)

    def _check_due(self, row: Row, when_due: Callable[[Row], None]) -> None:
        del self._rows[row.id]
        if row.not_before > self._clock.time():
            self.hold(row, when_due)
        else:
            when_due(row)

    def set_next_due(self, moment: float) -> None:
        """The first delayed row in the store is due at ``moment`` (seconds since the epoch; 0: none
        is delayed). A batch is sent then, which leases the row."""
        if moment == self._next_due or self._ended:
            return
        self._stop_timer()
        self._next_due = moment
        if moment:
            now = self._clock.time()
            seconds = OVERDUE_SECONDS if moment <= now else seconds_until(moment, now)
            self._timer = self._clock.call_later(seconds, self._lease_due)

    def _lease_due(self) -> None:
        self._timer = None
        self._next_due = 0.0
        self._committer.send_soon()

    def restart_patience(self) -> None:
        """Requests are left that are not delayed."""
        self._since = None

    def close_if_too_long(
        self, stored_count: int, step_count: int = 0, steps_due: float = 0.0
    ) -> None:
        """Only what is delayed is left: close the spider if it has waited, or would have to wait,
        for longer than RESUME_RETRY_WAIT. To be called about once a second.

        ``stored_count``: number of delayed rows in the store. ``step_count``: number of delayed
        steps of items; the first of them is due at ``steps_due``.
        """
        now = self._clock.monotonic()
        first = self._first_due(steps_due)
        if self._since is None:
            self._since = now
            logger.info(
                "Nothing is left but %s", self._description(stored_count, step_count, first)
            )
        patience_seconds = self._patience_seconds - (now - self._since)
        if self._seconds_until(first) > max(patience_seconds, 0.0):
            logger.info(
                "The spider is closed (RESUME_RETRY_WAIT is %g s): nothing is left but %s. Run the "
                "same command again to go on with them.",
                self._patience_seconds,
                self._description(stored_count, step_count, first),
            )
            self._engine.close_spider(LATER)

    def _seconds_until(self, moment: float) -> float:
        return seconds_until(moment, self._clock.time())

    def _first_due(self, steps_due: float) -> float:
        moments = [row.not_before for row, _ in self._rows.values()]
        others = (self._next_due, self._breakers.next_due, steps_due)
        moments += [moment for moment in others if moment]
        return min(moments, default=0.0)

    def _description(self, stored_count: int, step_count: int, first: float) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first))
        requests = stored_count + len(self._rows)
        count = requests + step_count
        parts = [counted(requests, "request")] if requests or not step_count else []
        if step_count:
            parts.append(f"{counted(step_count, 'step')} of items")
        waiting = "that waits for its" if count == 1 else "that wait for their"
        seconds = self._seconds_until(first)
        return (
            f"{' and '.join(parts)} {waiting} next attempt; the first is due at {when}, in "
            f"{seconds:.1f} s"
        )

    def end(self) -> None:
        """Stop all timers: nothing more is dispatched."""
        self._ended = True
        self._stop_timer()
        for _, timer in self._rows.values():
            timer.cancel()
        self._rows.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
