"""The committed items, in the order in which they became visible, as they do so."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.store.contract import (
        Batch,
        Committed,
        FeedNote,
        ItemRecord,
        JobStore,
        SharedJobStore,
    )

T = TypeVar("T")

PORTION: Final = 250
"""Items that a feed is given at once: a few milliseconds of the event loop's time."""

logger = logging.getLogger("scrapy_resume")

KEPT_ITEMS: Final = 4_000
"""Items that are kept for feeds that have not had them yet; older ones are read from the store."""


class Portion(NamedTuple):
    """Items that follow one another."""

    ids: Sequence[int]
    items: Sequence[Any]
    through: int
    """All items up to this id are in it or came before."""
    superseded: int
    """The job's count of superseded items when the portion was read."""


class _Recent(NamedTuple):
    first: int
    records: Sequence[ItemRecord]


class CommittedItems:
    """What feeds read. Nothing is decoded, or kept, as long as there is no feed."""

    def __init__(self, job: JobStore, thread: StoreThread, codec: Codec) -> None:
        self._job = job
        self._thread = thread
        self._codec = codec
        self._recent: deque[_Recent] = deque()
        self._kept = 0
        self._waiting: list[Deferred[None]] = []
        self.last = job.session.items.last_id
        """The id of the last item."""
        self.superseded = job.session.items.superseded
        """How many items the job has taken back so far."""
        self.ended = False
        """No more items will come."""

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept, with its items."""
        unchanged = answer.items.superseded == self.superseded
        self.superseded = answer.items.superseded
        if not unchanged:
            self._recent.clear()
            self._kept = 0
        if answer.items.last_id <= self.last:
            # Shared stores don't tell it with a commit: it stays as it was looked up.
            return
        records = [item for finish in batch.finishes for item in finish.items]
        spilled = any(finish.spilled for finish in batch.finishes)
        if unchanged and not spilled and len(records) == answer.items.given:
            self._keep(_Recent(self.last + 1, records))
        self.last = answer.items.last_id
        self._tell()

    def _keep(self, recent: _Recent) -> None:
        self._recent.append(recent)
        self._kept += len(recent.records)
        while self._kept > KEPT_ITEMS and len(self._recent) > 1:
            self._kept -= len(self._recent.popleft().records)

    async def left(self) -> list[FeedNote]:
        """Nothing: a job of one worker at a time goes on with its files."""
        return []

    async def look_up(self) -> None:
        """Ask the store for the last item: for a job of many workers, when no other is left."""
        self.last = await self._ask(self._job.last_item)

    async def _ask(self, call: Callable[[], T]) -> T:
        answer: Deferred[T] = Deferred()
        self._thread.submit(call, answer.callback, answer.errback, lambda error: None)
        return await maybe_deferred_to_future(answer)

    def end(self) -> None:
        """No more items will come: who waits for some gets ``None``."""
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    async def after(self, item_id: int, through: int | None = None) -> Portion | None:
        """The items after that one, or after it and up to ``through``.

        Waits until there are some. ``None``: there are no more, and none will come.
        """
        while item_id >= (self.last if through is None else through):
            if self.ended or through is not None:
                return None
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await maybe_deferred_to_future(waiter)
        return self._in_memory(item_id, through) or await self._stored(item_id, through)

    def _in_memory(self, item_id: int, through: int | None) -> Portion | None:
        for first, records in self._recent:
            if first <= item_id + 1 < first + len(records):
                offset = item_id + 1 - first
                count = PORTION if through is None else min(PORTION, through - item_id)
                wanted = records[offset : offset + count]
                ids = range(item_id + 1, item_id + 1 + len(wanted))
                items = [self._item(record) for record in wanted]
                return Portion(ids, items, ids[-1], self.superseded)
        return None

    def _item(self, record: ItemRecord) -> Any:
        """The very item that left the pipelines: some formats show whether two of its values
        are one object. Unless it was changed since."""
        item = self._codec.decode_item(record.payload)
        return record.original if _same(record.original, item) else item

    async def _stored(self, item_id: int, through: int | None) -> Portion:
        last = self.last if through is None else through
        superseded = self.superseded
        rows = await self._ask(lambda: self._job.items_after(item_id, last, PORTION))
        return Portion(
            [row.id for row in rows],
            [self._codec.decode_item(row.payload) for row in rows],
            rows[-1].id if len(rows) == PORTION else last,
            superseded,
        )


class ItemsOfRun(CommittedItems):
    """Those that one run of many has stored: what its part of a feed holds.

    Between their ids are those of others, so all are read from the store.
    """

    def __init__(self, job: SharedJobStore, thread: StoreThread, codec: Codec, run: int) -> None:
        super().__init__(job, thread, codec)
        self._shared_job = job
        self._run = run
        self.last = 0
        """The id of the last item that was read by anybody."""
        self._has_more = True

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept, with its items."""
        self.superseded = answer.items.superseded
        if answer.items.given:
            self._has_more = True
            self._tell()

    async def left(self) -> list[FeedNote]:
        """Ask the store for files that other runs have left."""
        return await self._ask(self._shared_job.feeds_left)

    async def after(self, item_id: int, through: int | None = None) -> Portion | None:
        """As those of all."""
        while through is None or item_id < through:
            if through is not None or self._has_more or item_id < self.last:
                portion = await self._read(item_id, through)
                if portion is not None or through is not None:
                    return portion
            elif self.ended:
                return None
            else:
                waiter: Deferred[None] = Deferred()
                self._waiting.append(waiter)
                await maybe_deferred_to_future(waiter)
        return None

    async def _read(self, item_id: int, through: int | None) -> Portion | None:
        superseded, self._has_more = self.superseded, False
        last = self.last
        job, run = self._shared_job, self._run
        rows = await self._ask(lambda: job.items_of_run(run, item_id, PORTION))
        self._has_more |= len(rows) == PORTION
        self.last = max([self.last, *(row.id for row in rows)])
        wanted = [row for row in rows if through is None or row.id <= through]
        if not wanted:
            # What another feed has read is gone since: it was taken back.
            behind = through is None and item_id < last
            return Portion([], [], last, superseded) if behind else None
        items = [self._codec.decode_item(row.payload) for row in wanted]
        return Portion([row.id for row in wanted], items, wanted[-1].id, superseded)


def _same(original: Any, item: Any) -> bool:
    try:
        return type(original) is type(item) and bool(original == item)
    except Exception:
        # An item of the user's whose comparison fails. The stored one is right in any case.
        logger.debug("An item cannot be compared with its stored form", exc_info=True)
        return False
