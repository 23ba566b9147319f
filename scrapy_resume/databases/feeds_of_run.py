"""All databases that are feeds of one run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from scrapy_resume.databases.database_feed import DatabaseFeed
from scrapy_resume.store.contract import Change, ChangePortion, FeedNote, LogMark

if TYPE_CHECKING:
    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.ports.clock import Clock, Waiter
    from scrapy_resume.store.contract import Batch, Committed, JobStore

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

NOTE_SECONDS: Final = 2.0
"""The shortest interval between two records of a feed; they are for reports alone."""


class JobSource:
    """The change log of an open job, asked on the store's thread."""

    def __init__(self, job: JobStore, thread: StoreThread, clock: Clock) -> None:
        self._job = job
        self._thread = thread
        self._clock = clock
        self.last = job.session.items.last_id

    async def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """At most ``count`` changes after the position."""
        portion = await self._ask(lambda: self._job.changes(position, count))
        self.last = max(self.last, *(mark.id for mark in portion.position), 0)
        return portion

    async def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Items by their ids."""
        return await self._ask(lambda: self._job.chosen(ids))

    async def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether it is a position of this job's history."""
        return await self._ask(lambda: self._job.holds(position))

    def last_id(self) -> int:
        """The highest id of a change that this process knows of."""
        return self.last

    async def _ask(self, call: Callable[[], T]) -> T:
        answer: Waiter[Any] = self._clock.waiter()
        self._thread.submit(
            call,
            lambda value: answer.set((value, None)),
            lambda error: answer.set((None, error)),
            lambda error: None,
        )
        value, error = await answer.wait()
        if error is not None:
            raise error
        result: T = value
        return result


class DatabaseFeeds:
    """See ``events.commit_listeners.Feeds``."""

    def __init__(
        self,
        feeds: Sequence[DatabaseFeed],
        source: JobSource,
        clock: Clock,
        unopened: Mapping[str, Exception],
    ) -> None:
        """``unopened``: feeds that cannot be written at all, and why."""
        self._feeds = feeds
        self._unopened = unopened
        self._source = source
        self._clock = clock
        self._superseded = 0
        self._running: list[Waiter[None]] = []
        self._noted: dict[str, str] = {}
        self._noted_at = -NOTE_SECONDS
        self._left = False

    def begin(self) -> None:
        """Follow the job from here on."""
        for feed in self._feeds:
            ended: Waiter[None] = self._clock.waiter()
            self._running.append(ended)
            self._clock.spawn(_followed(feed, ended))

    def complete(self, batch: Batch) -> None:
        """Add to a batch how far the feeds have come, now and then."""
        now = self._clock.monotonic()
        if now - self._noted_at < NOTE_SECONDS:
            return
        self._noted_at = now
        for feed in self._feeds:
            note = json.dumps({"database": {"position": feed.position(), "behind": feed.behind()}})
            if self._noted.get(feed.name) != note:
                self._noted[feed.name] = note
                batch.feeds.append(FeedNote(feed.name, 1, note, settled=False))

    def knows(self, name: str) -> bool:
        """Whether the name that a feed is noted by in the store is that of one of them."""
        return name in self._unopened or any(feed.name == name for feed in self._feeds)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed: it may have items, or take some back."""
        taken_back = answer.items.superseded != self._superseded
        self._superseded = answer.items.superseded
        self._source.last = max(self._source.last, answer.items.last_id)
        if answer.items.given or taken_back:
            for feed in self._feeds:
                feed.committed()

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver everything. Waits for a database that is out, at most ``timeout_seconds``."""
        return await self._end(timeout_seconds, final=True)

    async def leave(self, timeout_seconds: float) -> bool:
        """Other workers go on with the job: let them write the rest."""
        self._left = True
        await self._end(timeout_seconds, final=False)
        return True

    async def _end(self, timeout_seconds: float, *, final: bool) -> bool:
        for feed in self._feeds:
            feed.end(final=final)
        timers = [
            self._clock.call_later(timeout_seconds, self._give_up, feed, timeout_seconds)
            for feed in self._feeds
        ]
        for running in self._running:
            await running.wait()
        for timer in timers:
            timer.cancel()
        return not self.undelivered()

    def _give_up(self, feed: DatabaseFeed, timeout_seconds: float) -> None:
        """Whoever is out is given up; whoever is at work may take its time, and is looked at
        again."""
        feed.give_up_if_out()
        if not (feed.delivered or feed.left or feed.error):
            self._clock.call_later(timeout_seconds or 1.0, self._give_up, feed, timeout_seconds)

    def abandon(self) -> None:
        """Write nothing more, because the run ends at once."""
        for feed in self._feeds:
            feed.abandon()

    def undelivered(self) -> dict[str, Exception | None]:
        """The feeds that lack rows, and why."""
        owed = {
            feed.name: feed.error
            for feed in self._feeds
            if not feed.delivered and not (feed.left and self._left)
        }
        return {**self._unopened, **owed}

    def save_without_notes(self) -> None:
        """Nothing lies beside a database."""

    def remove_notes(self) -> None:
        """Nothing lies beside a database."""


async def _followed(feed: DatabaseFeed, ended: Waiter[None]) -> None:
    await feed.follow()
    if feed.delivered:
        logger.info("Stored sql feed (%d rows written) in: %s", feed.written, feed.name)
    ended.set(None)
