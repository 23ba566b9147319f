"""Converts times between a run's clock and the store's.

A run's clock is not set while it lasts (``ports.clock.SteadyTime``), and it may be wrong. The
store's clock is that of the database's server, or this machine's, and may be set at any time. Times
are stored by the store's clock, by which every run reads them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from scrapy_resume.store.contract import StepAttempt, StepRelease
from scrapy_resume.store.contract.waits import shifted_host

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.store.contract import Batch, Committed, HostNote

logger = logging.getLogger("scrapy_resume")

TOLERANCE_SECONDS: Final = 1.0
"""Clocks that differ by less than this count as equal. (Times that are converted back and forth
would change a little each time.)"""


Timed = TypeVar("Timed", StepAttempt, StepRelease)


def _shifted(timed: Timed, seconds: float) -> Timed:
    return timed._replace(not_before=timed.not_before + seconds) if timed.not_before else timed


class StoreTime:
    """By how much the store's clock is ahead of the run's."""

    def __init__(self, store_now: float, clock: Clock) -> None:
        """``store_now``: the time by the store's clock a moment ago; 0: unknown."""
        self._clock = clock
        self._ahead_seconds = 0.0
        if store_now:
            self._compare(store_now, store_now)

    def answered(self, store_now: float, sent_at: float) -> bool:
        """The store has answered what was sent at ``sent_at`` (on the monotonic clock), and did it
        when its clock showed ``store_now`` (0: unknown). Returns whether a clock has leapt."""
        if not store_now:
            return False
        took_seconds = max(0.0, self._clock.monotonic() - sent_at)
        return self._compare(store_now, store_now + took_seconds)

    def _compare(self, earliest: float, latest: float) -> bool:
        """The store's clock shows a time between these now."""
        here = self._clock.time() + self._ahead_seconds
        if earliest - TOLERANCE_SECONDS <= here <= latest + TOLERANCE_SECONDS:
            return False
        leap_seconds = (earliest + latest) / 2 - here
        self._ahead_seconds += leap_seconds
        logger.debug("The store's clock and this run's have moved apart by %.1f s", leap_seconds)
        return True

    def to_store(self, batch: Batch) -> None:
        """Convert the times of a batch that is about to be sent."""
        ahead_seconds = self._ahead_seconds
        if not ahead_seconds:
            return
        for arrival in batch.arrivals:
            if arrival.not_before:
                arrival.not_before += ahead_seconds
        batch.releases = [
            release._replace(not_before=release.not_before + ahead_seconds)
            if release.not_before
            else release
            for release in batch.releases
        ]
        batch.hosts = [shifted_host(note, ahead_seconds) for note in batch.hosts]
        if not batch.steps.is_empty:
            batch.steps.changes = [
                change._replace(
                    attempts=[_shifted(attempt, ahead_seconds) for attempt in change.attempts]
                )
                for change in batch.steps.changes
            ]
            batch.steps.releases = [
                _shifted(release, ahead_seconds) for release in batch.steps.releases
            ]

    def from_store(self, answer: Committed) -> None:
        """Convert the times of an answer."""
        if answer.next_due and self._ahead_seconds:
            answer.next_due -= self._ahead_seconds
        if answer.steps.next_due and self._ahead_seconds:
            answer.steps.next_due -= self._ahead_seconds
        answer.sharing.hosts = self.hosts_from_store(answer.sharing.hosts)

    def hosts_from_store(self, notes: Iterable[HostNote]) -> list[HostNote]:
        """Convert the times of records that the store has returned."""
        if not self._ahead_seconds:
            return list(notes)
        return [shifted_host(note, -self._ahead_seconds) for note in notes]
