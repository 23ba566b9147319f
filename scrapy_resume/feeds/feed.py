"""One entry of FEEDS over a run: follows the committed items, file after file."""

from __future__ import annotations

import logging
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future

from scrapy_resume.feeds.context import Desk, FeedPlan, FeedsAbandonedError
from scrapy_resume.feeds.feedfile import FeedFile, StartOver
from scrapy_resume.feeds.record import FeedRecord
from scrapy_resume.feeds.source import Portion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from scrapy.extensions.feedexport import FeedSlot
    from twisted.internet.defer import Deferred

logger = logging.getLogger("scrapy_resume")

REWRITE_SECONDS: Final = 60.0
"""A feed that holds items which the store has no more is not rewritten more often than that
while the crawl runs; it always is before the job pauses or completes."""

REWRITE_SHARE: Final = 20
"""Nor more often than so many times what rewriting it takes."""


class Feed:
    """Writes the committed items into one file after the other."""

    def __init__(
        self,
        desk: Desk,
        plan: FeedPlan,
        records: Sequence[FeedRecord],
        ended: Callable[[FeedSlot, Exception | None], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._plan = plan
        *self._unsettled, current = records or [self._first()]
        self._tell_ended = ended
        if plan.run and not records:
            # With the run's first batch: should it die, others know of a part to complete.
            desk.note(plan, current)
        self.file = FeedFile(desk, plan, current)
        self.failed = False
        """The feed lacks items, or was not delivered; the log says why."""
        self._deliveries: list[Deferred[None]] = []
        self._rewritten_at = time.monotonic()
        self._rewrite_pause = REWRITE_SECONDS

    def _first(self) -> FeedRecord:
        return FeedRecord(self._plan.new_uri(None), self._plan.digest, run=self._plan.run)

    async def follow(self) -> None:
        """Run until no more items will come; then deliver the last file."""
        try:
            await self._settle_old()
            await self._take_up(self.file)
            await self._follow()
            if self._plan.run:
                await self._deliver_batch(self.file, None)
            else:
                await self._deliver(self.file)
            for delivery in self._deliveries:
                await maybe_deferred_to_future(delivery)
        except FeedsAbandonedError:
            pass  # the next run finds what there is
        except Exception as error:
            self._give_up(error)
        finally:
            self.file.close()

    def _give_up(self, error: Exception) -> None:
        self.failed = True
        known = isinstance(error, OSError)
        logger.error(
            "Feed %s cannot be written: %s. Its items are in the store: when that is mended, the "
            "same command writes it.",
            self.file.record.uri,
            error,
            exc_info=None if known else error,
        )

    async def _settle_old(self) -> None:
        """Deliver the batches that earlier runs have filled and not delivered."""
        for record, follower in pairwise([*self._unsettled, self.file.record]):
            file = FeedFile(self._desk, self._plan, record)
            await self._take_up(file)
            await self._fill(file, follower.start)
            await self._deliver_batch(file, follower.start)

    async def _take_up(self, file: FeedFile) -> None:
        await file.take_up()
        if file.has_other_options:
            await file.start_over()

    async def _fill(self, file: FeedFile, through: int | None) -> None:
        """Export what a file still lacks."""
        while (portion := await self._next(file, through)) is not None:
            try:
                await file.take(portion)
            except StartOver:
                await file.start_over()

    async def _next(self, file: FeedFile, through: int | None = None) -> Portion | None:
        portion = await self._desk.source.after(file.record.through, through)
        if self._desk.abandoned:
            raise FeedsAbandonedError
        return portion

    async def _follow(self) -> None:
        while True:
            if self.file.full and self.file.is_stale:
                await self._start_over()  # what is delivered stays as it is
            elif self.file.full:
                self._begin_next_batch()
            portion = await self._next(self.file)
            if self._is_stale(at_end=portion is None):
                await self._start_over()
            elif portion is None:
                return
            else:
                await self._take(portion)

    async def _take(self, portion: Portion) -> None:
        try:
            await self.file.take(portion)
        except StartOver:
            await self._start_over()

    # ---- files that are written again

    def _is_stale(self, *, at_end: bool) -> bool:
        """The file holds items that the store has no more, and it is time to mend that."""
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
        """The file is full: deliver it, meanwhile go on with the next."""
        file, record = self.file, self.file.record
        self._deliveries.append(deferred_from_coro(self._deliver_batch(file, record.through)))
        self._deliveries = [delivery for delivery in self._deliveries if not delivery.called]
        self.file = FeedFile(
            self._desk,
            self._plan,
            FeedRecord(
                self._plan.new_uri(file.slot),
                self._plan.digest,
                batch=record.batch + 1,
                run=record.run,
                start=record.through,
                through=record.through,
                superseded=record.superseded,
            ),
        )
        # Before the full one is settled: the store must know of one to go on with.
        self._desk.note(self._plan, self.file.record)

    async def _deliver_batch(self, file: FeedFile, through: int | None) -> None:
        """A batch that is delivered is never opened again."""
        try:
            if await self._deliver(file, through):
                # The store knows whose bytes they are before the note beside them goes.
                file.let_go()
                await self._desk.kept()
                file.forget()
                self._desk.note(self._plan, file.record, settled=True)
                await self._desk.kept()
        except FeedsAbandonedError:
            file.close()

    async def _deliver(self, file: FeedFile, through: int | None = None) -> bool:
        """Whether the file is where it belongs."""
        error: Exception | None = None
        delivered = False
        while not delivered and error is None:
            try:
                if not await file.end():
                    return True
                delivered = True
            except FeedsAbandonedError:
                raise
            except StartOver:
                await file.start_over()
                await self._fill(file, through)
            except Exception as trouble:
                error = trouble
                self.failed = True
        await self._tell_ended(file.slot, error)
        return delivered
