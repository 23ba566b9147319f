"""One entry of FEEDS over a run: writes the committed items, file after file.

    store → CommittedItems → Feed → FeedFile: exporter → ExportBuffer → Destination
                                    (Scrapy's FeedSlot)  bytes         a local file, an upload, …

Scrapy writes an item when it leaves the pipelines, so a replayed callback would write it twice.
Here an item is written after it was committed, in the order in which items became visible, and
the progress of each file is committed with the next batch.
"""

from __future__ import annotations

import logging
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future

from scrapy_resume.feeds.committed_items import Portion
from scrapy_resume.feeds.context import FeedContext, FeedPlan, FeedsAbandonedError
from scrapy_resume.feeds.feed_file import FeedFile, StartOver
from scrapy_resume.feeds.feed_record import FeedRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from scrapy.extensions.feedexport import FeedSlot
    from twisted.internet.defer import Deferred

logger = logging.getLogger("scrapy_resume")

REWRITE_SECONDS: Final = 60.0
"""The shortest interval at which a feed that holds superseded items is rewritten while the crawl
runs. Before the job pauses or completes it is rewritten in any case."""

REWRITE_SHARE: Final = 20
"""The interval is at least so many times as long as the last rewrite took."""


class Feed:
    """Writes the committed items into one file after the other (Scrapy's batches).

    ``records``: what earlier runs have saved of the feed's files, in the order of their batches.
    ``slot_ended``: called with a file's slot and the error of its delivery, or ``None``.
    """

    def __init__(
        self,
        context: FeedContext,
        plan: FeedPlan,
        records: Sequence[FeedRecord],
        slot_ended: Callable[[FeedSlot, Exception | None], Awaitable[None]],
    ) -> None:
        self._context = context
        self._plan = plan
        *self._undelivered, current = records or [self._first()]
        self._slot_ended = slot_ended
        if plan.run and not records:
            # In the run's first batch: if the run dies, other workers know of a part to complete.
            context.save(plan, current)
        self.file = FeedFile(context, plan, current)
        self.name = plan.name
        self.error: Exception | None = None
        """Why the feed lacks items, or was not delivered; ``None``: it has not failed."""
        self.delivered = False
        """All its files are complete and delivered."""
        self._deliveries: list[Deferred[None]] = []
        self._rewritten_at = time.monotonic()
        self._rewrite_pause = REWRITE_SECONDS

    def _first(self) -> FeedRecord:
        plan = self._plan
        return FeedRecord(uri=plan.new_uri(None), options=plan.digest, run=plan.run)

    async def follow(self) -> None:
        """Write items until no more will come, then deliver the last file."""
        try:
            await self._deliver_full_batches()
            await self._resume(self.file)
            await self._follow()
            if self._plan.run:
                await self._deliver_batch(self.file, None)
            else:
                await self._deliver(self.file)
                await self.file.rest()
            for delivery in self._deliveries:
                await maybe_deferred_to_future(delivery)
            self.delivered = self.error is None
        except FeedsAbandonedError:
            pass  # the next run finds the file as it is
        except Exception as error:
            self._give_up(error)
        finally:
            self.file.close()

    def _give_up(self, error: Exception) -> None:
        self.error = error
        known = isinstance(error, OSError)
        logger.error(
            "Feed %s cannot be written: %s. Its items are in the store: when the cause is removed, "
            "the same command writes it.",
            self.file.record.uri,
            error,
            exc_info=None if known else error,
        )

    async def _deliver_full_batches(self) -> None:
        """Deliver the batches that earlier runs have filled but not delivered."""
        for record, follower in pairwise([*self._undelivered, self.file.record]):
            file = FeedFile(self._context, self._plan, record)
            await self._resume(file)
            await self._fill(file, follower.start)
            await self._deliver_batch(file, follower.start)

    async def _resume(self, file: FeedFile) -> None:
        await file.resume()
        if file.has_other_options:
            await file.start_over()

    async def _fill(self, file: FeedFile, through: int | None) -> None:
        """Export the items that a file still lacks, up to the id ``through``."""
        while (portion := await self._next(file, through)) is not None:
            try:
                await file.export(portion)
            except StartOver:
                await file.start_over()

    async def _next(self, file: FeedFile, through: int | None = None) -> Portion | None:
        portion = await self._context.source.after(file.record.through, through)
        if self._context.abandoned:
            raise FeedsAbandonedError
        return portion

    async def _follow(self) -> None:
        while True:
            if self.file.is_full and self.file.is_stale:
                await self._start_over()  # before it is delivered: later it is not changed
            elif self.file.is_full:
                self._begin_next_batch()
            portion = await self._next(self.file)
            if self._is_stale(at_end=portion is None):
                await self._start_over()
            elif portion is None:
                return
            else:
                await self._export(portion)

    async def _export(self, portion: Portion) -> None:
        try:
            await self.file.export(portion)
        except StartOver:
            await self._start_over()

    # ---- files that are rewritten

    def _is_stale(self, *, at_end: bool) -> bool:
        """Whether the file holds superseded items, and the time to rewrite it has come."""
        if not self.file.is_stale:
            return False
        return at_end or time.monotonic() - self._rewritten_at >= self._rewrite_pause

    async def _start_over(self) -> None:
        began = time.monotonic()
        logger.info("Feed %s is written again from the store", self.file.record.uri)
        await self.file.start_over()
        self._rewritten_at = time.monotonic()
        self._rewrite_pause = max(REWRITE_SECONDS, REWRITE_SHARE * (self._rewritten_at - began))

    # ---- batches

    def _begin_next_batch(self) -> None:
        """Deliver the file, which is full, and meanwhile go on with the next one."""
        file, record = self.file, self.file.record
        self._deliveries.append(deferred_from_coro(self._deliver_batch(file, record.through)))
        self._deliveries = [delivery for delivery in self._deliveries if not delivery.called]
        following = FeedRecord(
            uri=self._plan.new_uri(file.slot),
            options=self._plan.digest,
            batch=record.batch + 1,
            run=record.run,
            start=record.through,
            through=record.through,
            superseded=record.superseded,
        )
        self.file = FeedFile(self._context, self._plan, following)
        self.file.take_filter_of(file)
        # Before the full one is settled: the store must know of a file to go on with.
        self._context.save(self._plan, self.file.record)

    async def _deliver_batch(self, file: FeedFile, through: int | None) -> None:
        """Deliver a batch. It is never opened again."""
        try:
            if await self._deliver(file, through):
                # The store must know whose bytes they are before the ownership note is removed.
                file.save_without_note()
                await self._context.saved()
                file.remove_note()
                self._context.save(self._plan, file.record, settled=True)
                await self._context.saved()
        except FeedsAbandonedError:
            file.close()

    async def _deliver(self, file: FeedFile, through: int | None = None) -> bool:
        """Returns whether the file was delivered or there was nothing to deliver."""
        error: Exception | None = None
        delivered = False
        while not delivered and error is None:
            try:
                if not await file.finish():
                    return True
                delivered = True
            except FeedsAbandonedError:
                raise
            except StartOver:
                await file.start_over()
                await self._fill(file, through)
            except Exception as failure:
                error = self.error = failure
        await self._slot_ended(file.slot, error)
        return delivered
