"""RESUME_BACKUP: keeps a copy of the job beside it, from which the next run restores a damaged one.

Each copy is made on a thread of its own, from a snapshot and in slices, with pauses as long as the
slices: commits go on meanwhile. The last one is made when the job is closed, so that a job at rest
loses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import ResumeError, as_exception, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.ports.clock import Clock, Timer, Waiter
    from scrapy_resume.store.contract.copies import OwnCopy

logger = logging.getLogger("scrapy_resume")

LONGEST_PAUSE_SECONDS: Final = 0.05
"""The longest pause between two slices of a copy."""

MARGIN: Final = 1.5
"""The next copy is begun so many times earlier as the last one took."""


class Backups:
    """The copies of one run. Does nothing if RESUME_BACKUP is 0."""

    def __init__(
        self,
        keep_copy: Callable[[Callable[[], bool]], OwnCopy | None],
        interval_seconds: float,
        clock: Clock,
        stats: StatsCollector | None,
    ) -> None:
        """``keep_copy`` makes a copy; see ``Store.keep_copy``."""
        self._keep_copy = keep_copy
        self._interval_seconds = interval_seconds
        self._clock = clock
        assert stats is not None
        self._stats = stats
        self._timer: Timer | None = None
        self._ended: Waiter[None] | None = None
        """Of the copy that is being made."""
        self._stopping = threading.Event()
        self._too_slow_told = False
        self._slice_began = 0.0

    def start(self, age_seconds: float | None) -> None:
        """Begin to make copies. ``age_seconds``: that of the copy that is there, if there is
        one."""
        if self._interval_seconds and not self._stopping.is_set():
            self._schedule(self._interval_seconds - (age_seconds or 0.0))

    def end(self) -> None:
        """Begin no more copies, and give up the one that is being made."""
        self._stopping.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def finish(self) -> None:
        """Make the last copy, when the job is closed; returns when it is there."""
        if not self._interval_seconds:
            return
        self.end()
        if self._ended is not None:
            await self._ended.wait()
        logger.info("The copy of the job is renewed (RESUME_BACKUP)")
        await self._begin(_goes_on).wait()

    def _schedule(self, seconds: float) -> None:
        self._timer = self._clock.call_later(max(0.0, seconds), self._begin, self._paces)

    def _begin(self, is_stopped: Callable[[], bool]) -> Waiter[None]:
        """Make a copy; the waiter is set when that has ended."""
        self._timer = None
        self._ended = ended = self._clock.waiter()
        threading.Thread(
            target=self._copy, args=(is_stopped,), name="scrapy-resume backup", daemon=True
        ).start()
        return ended

    def _copy(self, is_stopped: Callable[[], bool]) -> None:
        """On the thread of the copy."""
        self._slice_began = time.monotonic()
        try:
            copy = self._keep_copy(is_stopped)
        except BaseException as error:  # the run goes on, and the copy is tried again
            self._clock.post(self._failed, as_exception(error))
        else:
            self._clock.post(self._made, copy)

    def _paces(self) -> bool:
        """Pause as long as the last slice took. Returns whether the copying is to be given up."""
        took = time.monotonic() - self._slice_began
        stopping = self._stopping.wait(min(took, LONGEST_PAUSE_SECONDS))
        self._slice_began = time.monotonic()
        return stopping

    def _made(self, copy: OwnCopy | None) -> None:
        if copy is not None:
            self._stats.inc_value("resume/backups")
            logger.debug("The job is copied: %d bytes in %.1f s", copy.bytes, copy.took_seconds)
            self._tell_if_too_slow(copy.took_seconds)
        took = 0.0 if copy is None else copy.took_seconds
        # A crawl that copied all the time would do little else.
        self._copy_ended(max(self._interval_seconds - took - MARGIN * took, took))

    def _failed(self, error: Exception) -> None:
        self._stats.inc_value("resume/backup_failures")
        logger.warning(
            "The copy of the job (RESUME_BACKUP) could not be made: %s. The one before it stays; "
            "%s",
            error if isinstance(error, ResumeError) else describe(error),
            f"the next is tried in {self._interval_seconds:g} s"
            if not self._stopping.is_set()
            else "the next is made when the job is crawled again",
        )
        self._copy_ended(self._interval_seconds)

    def _copy_ended(self, seconds: float) -> None:
        if self._ended is not None:
            self._ended.set(None)
            self._ended = None
        if not self._stopping.is_set():
            self._schedule(seconds)

    def _tell_if_too_slow(self, took_seconds: float) -> None:
        if (1 + MARGIN) * took_seconds > self._interval_seconds and not self._too_slow_told:
            self._too_slow_told = True
            logger.warning(
                "A copy of the job takes %.1f s, so it cannot always be as new as RESUME_BACKUP "
                "(%g s) asks; a larger value costs the crawl less",
                took_seconds,
                self._interval_seconds,
            )


def _goes_on() -> bool:
    return False
