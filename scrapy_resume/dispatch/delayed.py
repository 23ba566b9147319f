"""Requests whose time has not come: the store is asked when it has, and how long is too long.

Delayed requests are in the store and cost no memory here; those that have to run in this
process (``Row.not_before``) are held here.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from scrapy.utils.asyncio import call_later

from scrapy_resume.frontier.retries import seconds_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.utils.asyncio import CallLaterResult

    from scrapy_resume.frontier.row import Row

logger = logging.getLogger("scrapy_resume")

LATER: Final = "resume_later"
"""The close reason of a run that had nothing but delayed requests left."""

OVERDUE_SECONDS: Final = 0.2
"""Until the store is asked again for what it should have given."""


class DelayedRows:
    """What waits for its time, and for how long there has been nothing else to do."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._next_due = 0.0
        self._timer: CallLaterResult | None = None
        self._rows: dict[int, tuple[Row, CallLaterResult]] = {}
        self._since: float | None = None
        """Since when nothing else was left, on the monotonic clock."""
        self._ended = False
        # Filled by the crawl that puts the parts together.
        self.ask: Callable[[], None] = lambda: None
        """Have the store look for what is due."""
        self.put: Callable[[Row], None] = lambda _: None
        """A row may be handed out."""
        self.hosts_due: Callable[[], float] = lambda: 0.0
        """When the first host that is left alone may be asked again; 0: none is."""
        self.close: Callable[[str], None] = lambda _: None
        """Close the spider for that reason."""

    def __len__(self) -> int:
        """Rows that are held here."""
        return len(self._rows)

    def hold(self, row: Row) -> None:
        """Keep a row until its time has come; then it is put where it can be handed out."""
        timer = call_later(seconds_until(row.not_before), self._release, row)
        self._rows[row.id] = (row, timer)

    def _release(self, row: Row) -> None:
        del self._rows[row.id]
        if row.not_before > time.time():
            self.hold(row)
        else:
            self.put(row)

    def due(self, moment: float) -> None:
        """The store's first delayed row is due at that time; 0: none is delayed."""
        if moment == self._next_due or self._ended:
            return
        self._stop_timer()
        self._next_due = moment
        if moment:
            # The clock of the store's machine may be behind: not again at once.
            overdue = moment <= time.time()
            seconds = OVERDUE_SECONDS if overdue else seconds_until(moment)
            self._timer = call_later(seconds, self._now_due)

    def _now_due(self) -> None:
        self._timer = None
        self._next_due = 0.0
        self.ask()

    def look(self, nothing_else: bool, delayed: int) -> None:
        """``nothing_else``: all that is left waits for its time; ``delayed``: how many rows in the
        store. To be called every second or so."""
        if not nothing_else:
            self._since = None
            return
        now = time.monotonic()
        if self._since is None:
            self._since = now
            logger.info("Nothing is left but %s", self._what_waits(delayed))
        patience_seconds = self._patience_seconds - (now - self._since)
        if seconds_until(self._first_due()) > max(patience_seconds, 0.0):
            logger.info(
                "The spider is closed (RESUME_RETRY_WAIT is %g s): nothing is left but %s. The "
                "same command goes on with them.",
                self._patience_seconds,
                self._what_waits(delayed),
            )
            self.close(LATER)

    def _first_due(self) -> float:
        moments = [row.not_before for row, _ in self._rows.values()]
        moments += [moment for moment in (self._next_due, self.hosts_due()) if moment]
        return min(moments, default=0.0)

    def _what_waits(self, delayed: int) -> str:
        first = self._first_due()
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first))
        return (
            f"{delayed + len(self._rows)} requests that wait for their next attempt; the first "
            f"is due at {when}, in {seconds_until(first):.1f} s"
        )

    def end(self) -> None:
        """Nothing is handed out any more."""
        self._ended = True
        self._stop_timer()
        for _, timer in self._rows.values():
            timer.cancel()
        self._rows.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
