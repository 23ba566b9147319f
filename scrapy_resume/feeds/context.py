"""What the feeds of a crawl share."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapy_resume.commits.store_thread import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    StoreThread,
)
from scrapy_resume.feeds.record import FeedRecord, encode_record
from scrapy_resume.feeds.targets import FeedPlace
from scrapy_resume.ports.clock import pause
from scrapy_resume.store.contract import FeedNote

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.extensions.feedexport import FeedSlot

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.feeds.source import CommittedItems
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.store.contract import Batch

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)

PASSES: Final = (*NO_ROOM, errno.EAGAIN)
"""What may pass without anybody touching the crawl; all other errors of a feed's file stay."""


class FeedsAbandonedError(Exception):
    """The run ends at once: what the feeds hold is for the next run to find."""


@dataclass(frozen=True)
class FeedPlan:
    """One entry of FEEDS."""

    name: str
    """The URI, with its parameters unfilled: a feed is the same over runs by it."""
    options: dict[str, Any]
    digest: str
    """Of the options that decide what the feed holds."""
    new_uri: Callable[[FeedSlot | None], str]
    """The URI of the batch after that of the slot; ``None``: of the first."""
    new_slot: Callable[[FeedRecord], FeedSlot]
    run: int = 0
    """The run whose part the feed is, which ends with it; 0: it holds the items of all, and later
    runs go on with it."""


class Desk:
    """The way of the feeds to the store, to a thread for files, and to the crawl."""

    def __init__(
        self,
        spider: Spider,
        source: CommittedItems,
        outbox: Committer,
        clock: Clock,
        owner: str,
        fence: bool,
    ) -> None:
        self.source = source
        self._spider = spider
        self._outbox = outbox
        self._owner = owner
        self._fence = fence
        self._clock = clock
        self._thread = StoreThread("scrapy-resume feeds", clock)
        self._notes: dict[tuple[str, int], tuple[FeedRecord, bool]] = {}
        self._out: dict[str, float] = {}
        self._writers: dict[str, tuple[Path, int]] = {}
        """By feed: the local file that it is at, and how many others were there before it."""
        self.hold: Callable[[bool], None] = lambda held: None
        """Have the crawl hand out no requests, or go on."""
        self.item_failed: Callable[[str], None] = lambda uri: None
        """Called within the ``except`` of an export that failed, with the feed's URI."""
        self.deadline: float | None = None
        """When a closing crawl waits no longer, on the monotonic clock; ``None``: it is not."""
        self.abandoned = False
        """The run ends at once."""

    def place(self, feed: FeedPlan) -> FeedPlace:
        """What a target has to know."""
        return FeedPlace(
            spider=self._spider,
            owner=partial(self._owner_of, feed.name),
            threaded=self.threaded,
            post_processed="postprocessing" in feed.options,
            overwrite=bool(feed.options.get("overwrite", False)),
            fence=self._fence,
        )

    def _owner_of(self, feed: str, path: Path) -> str:
        """The job; another for the second feed of a job that goes into the same file."""
        known, number = self._writers.get(feed, (None, 0))
        if known != path:
            number = sum(other == path for other, _ in self._writers.values())
            self._writers[feed] = (path, number)
        return f"{self._owner} {number}" if number else self._owner

    async def threaded(self, call: Callable[[], T]) -> T:
        """Run a call in the thread for files. Raises ``FeedsAbandonedError`` when it has ended."""
        if self.abandoned:
            raise FeedsAbandonedError
        answer: Deferred[T] = Deferred()
        self._thread.submit(call, answer.callback, answer.errback, lambda error: None)
        return await maybe_deferred_to_future(answer)

    # ---- the store

    def note(self, feed: FeedPlan, record: FeedRecord, *, settled: bool = False) -> None:
        """The next batch takes the record along. Settled: no run will want to know it."""
        self._notes[feed.name, record.batch] = (record, settled)

    async def kept(self) -> None:
        """Wait until the store has what was noted. Raises ``FeedsAbandonedError``."""
        self._outbox.note()
        if not await self._outbox.kept():
            raise FeedsAbandonedError

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go how far the feeds have come."""
        notes, self._notes = self._notes, {}
        batch.feeds = [
            FeedNote(name, number, encode_record(record), settled)
            for (name, number), (record, settled) in notes.items()
        ]

    # ---- trouble

    async def patience(self, uri: str, error: OSError) -> None:
        """Wait a little if there was no room, or others have the file; any other error is raised
        again.

        The crawl waits meanwhile: what it would give has no place to go to.
        """
        if error.errno not in PASSES or self._past_deadline():
            raise error
        pause_seconds = self._out.get(uri, FIRST_PAUSE_SECONDS)
        if uri not in self._out:
            until = "there is room" if error.errno in NO_ROOM else "they are done"
            logger.warning("Feed %s: %s. The crawl waits, and goes on when %s.", uri, error, until)
            self.hold(True)
        self._out[uri] = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        await pause(self._clock, pause_seconds)

    def _past_deadline(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def well(self, uri: str) -> None:
        """The feed can be written."""
        if uri in self._out:
            del self._out[uri]
            logger.info("Feed %s: it can be written again", uri)
            self.hold(bool(self._out))

    def close(self) -> None:
        """No feed is left."""
        self._thread.stop()
