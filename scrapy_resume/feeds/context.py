"""What the feeds of a crawl share: the way to the store, a thread for files, waiting for a disk."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from scrapy_resume.commits.store_thread import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    StoreThread,
)
from scrapy_resume.feeds.destination import DestinationOptions
from scrapy_resume.feeds.feed_record import FeedRecord, encode_record
from scrapy_resume.feeds.thread_call import call_in_thread
from scrapy_resume.ports.clock import pause
from scrapy_resume.store.contract import FeedNote

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.extensions.feedexport import FeedSlot

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.feeds.committed_items import CommittedItems
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.store.contract import Batch

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""The disk is full, or the user's quota is."""

TEMPORARY: Final = (*NO_ROOM, errno.EAGAIN)
"""Errors of a feed's file that may go away while the crawl waits; all others make the feed fail."""


class FeedsAbandonedError(Exception):
    """The run ends at once; the next run finds what the feeds hold."""


@dataclass(frozen=True)
class FeedPlan:
    """One entry of FEEDS."""

    name: str
    """The URI with its parameters unfilled: it identifies the feed over all runs of the job."""
    options: dict[str, Any]
    digest: str
    """A digest of the options on which the feed's content depends."""
    new_uri: Callable[[FeedSlot | None], str]
    """The URI of the batch after that of the slot; for ``None``, that of the first batch."""
    new_slot: Callable[[FeedRecord], FeedSlot]
    run: int = 0
    """The run whose part the feed is; 0: it holds the items of all runs, and later runs go on
    writing it."""


class FeedContext:
    """Serves the feeds of one run that read the same items.

    Made while the event loop runs. ``owner``: a text that tells this job from all others.
    ``place``: where the job is recorded. ``lives``: whether the store has the job of another owner.
    ``fence``: the job was taken over by force, and a live process may still be writing to its
    files. ``hold``: called with true to have the crawl hand out no requests, with false to let it
    go on. ``item_failed``: called with the feed's URI, within the ``except`` clause, when an
    export fails.
    """

    def __init__(
        self,
        spider: Spider,
        source: CommittedItems,
        committer: Committer,
        clock: Clock,
        *,
        owner: str,
        place: str = "",
        lives: Callable[[str], bool] = lambda _: True,
        fence: bool,
        hold: Callable[[bool], None],
        item_failed: Callable[[str], None],
    ) -> None:
        # Eight: what the feeds need of the crawl and of the job, and two ways back to the crawl.
        self.source = source
        self.item_failed = item_failed
        self._hold = hold
        self._spider = spider
        self._committer = committer
        self._owner = owner
        self.place = place
        self._lives = lives
        self._fence = fence
        self._clock = clock
        self._thread = StoreThread("scrapy-resume feeds", clock)
        self._unsaved: dict[tuple[str, int], tuple[FeedRecord, bool]] = {}
        """Feed and batch → its record, and whether it is settled."""
        self._durable = False
        """The next batch has to survive a power cut."""
        self._blocked: dict[str, float] = {}
        """URI of a feed that cannot be written → seconds to wait before the next attempt."""
        self._writers: dict[str, tuple[Path, int]] = {}
        """Feed → the local file that it writes, and how many feeds of the job wrote it before."""
        self._known: set[str] = set()
        """The feeds that have asked for a destination."""
        self.deadline: float | None = None
        """The time on the monotonic clock after which a closing crawl stops waiting; ``None``: the
        crawl is not closing."""
        self.abandoned = False
        """The run ends at once."""

    def destination_options(self, feed: FeedPlan) -> DestinationOptions:
        """The options for a destination of the feed's."""
        is_first = feed.name not in self._known
        self._known.add(feed.name)
        return DestinationOptions(
            spider=self._spider,
            owner=partial(self._owner_of, feed.name),
            in_thread=self.in_thread,
            post_processed="postprocessing" in feed.options,
            overwrite=bool(feed.options.get("overwrite", False)),
            fence=self._fence,
            is_first=is_first,
            place=self.place,
            lives=self._lives,
        )

    def _owner_of(self, feed: str, path: Path) -> str:
        """The job's owner text, with a number if another feed of the job writes the same file."""
        known, number = self._writers.get(feed, (None, 0))
        if known != path:
            number = sum(other == path for other, _ in self._writers.values())
            self._writers[feed] = (path, number)
        return f"{self._owner} {number}" if number else self._owner

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run a call in the thread for files. Raises ``FeedsAbandonedError`` once the run ends."""
        if self.abandoned:
            raise FeedsAbandonedError
        return await call_in_thread(self._thread, call)

    # ---- the store

    def save(
        self,
        feed: FeedPlan,
        record: FeedRecord,
        *,
        settled: bool = False,
        durable: bool = False,
    ) -> None:
        """Put the record into the next batch.

        ``settled``: no later run needs it. ``durable``: the batch has to survive a power cut,
        because what is done to the file afterwards may.
        """
        self._unsaved[feed.name, record.batch] = (record, settled)
        self._durable |= durable

    def save_left(self, feed: str, record: FeedRecord) -> None:
        """Put the record of a feed that no run goes on with into the next batch."""
        self._unsaved[feed, record.batch] = (record, False)
        self._durable = True

    def written(self) -> list[Path]:
        """The local files that the feeds of this run write."""
        return [path for path, _ in self._writers.values()]

    async def saved(self) -> None:
        """Wait until the store has committed what was saved. Raises ``FeedsAbandonedError``."""
        self._committer.begin_entry()
        if not await self._committer.wait_committed():
            raise FeedsAbandonedError

    def complete(self, batch: Batch) -> None:
        """Add the feeds' records to a batch that is about to be sent to the store."""
        unsaved, self._unsaved = self._unsaved, {}
        durable, self._durable = self._durable, False
        batch.durable |= durable
        batch.feeds += [
            FeedNote(feed=name, batch=batch_id, record=encode_record(record), settled=settled)
            for (name, batch_id), (record, settled) in unsaved.items()
        ]

    # ---- trouble

    async def wait_or_raise(self, uri: str, error: OSError) -> None:
        """Wait a little if the disk was full or another job had locked the file; raise any other
        error again, and raise this one too once a closing crawl has waited long enough.

        From the first call until ``can_be_written`` the crawl hands out no requests, because its
        items could not be written.
        """
        if error.errno not in TEMPORARY or self._past_deadline():
            raise error
        pause_seconds = self._blocked.get(uri, FIRST_PAUSE_SECONDS)
        if uri not in self._blocked:
            until = "there is room" if error.errno in NO_ROOM else "they are done"
            logger.warning("Feed %s: %s. The crawl waits, and goes on when %s.", uri, error, until)
            self._hold(True)
        self._blocked[uri] = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        await pause(self._clock, pause_seconds)

    def _past_deadline(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def can_be_written(self, uri: str) -> None:
        """A write has succeeded: let the crawl go on unless another feed still waits."""
        if uri in self._blocked:
            del self._blocked[uri]
            logger.info("Feed %s: it can be written again", uri)
            self._hold(bool(self._blocked))

    def close(self) -> None:
        """Stop the thread for files."""
        self._thread.stop()
