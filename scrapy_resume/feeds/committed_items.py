"""The committed items, in the order in which they became visible: what feeds read and wait for."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapy_resume.errors import UntrustedNameError
from scrapy_resume.feeds.thread_call import call_in_thread

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
"""The most items that a feed is given at once: exporting them takes the event loop a few
milliseconds."""

logger = logging.getLogger("scrapy_resume")

KEPT_ITEMS: Final = 1_000
"""The most items that are kept in memory for the feeds; older ones are read from the store."""


class Portion(NamedTuple):
    """Consecutive items."""

    ids: Sequence[int]
    items: Sequence[Any]
    through: int
    """No item with an id up to this one follows."""
    superseded: int
    """The job's count of superseded items when the portion was read."""


class _Recent(NamedTuple):
    """The items of one commit, kept in memory."""

    first: int
    """The id of the first one; the others have the ids that follow."""
    records: Sequence[ItemRecord]


class CommittedItems:
    """The items of a job that has one worker at a time."""

    def __init__(self, job: JobStore, thread: StoreThread, codec: Codec) -> None:
        self._job = job
        self._thread = thread
        self._codec = codec
        self._recent: deque[_Recent] = deque()
        self._kept = 0
        self._waiting: list[Deferred[None]] = []
        self.last = job.session.items.last_id
        """The id of the last committed item."""
        self.superseded = job.session.items.superseded
        """The number of items that the job has superseded so far."""
        self.ended = False
        """No more items will come."""

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed: its items are given to the feeds that wait for some."""
        unchanged = answer.items.superseded == self.superseded
        self.superseded = answer.items.superseded
        if not unchanged:
            self._recent.clear()
            self._kept = 0
        if answer.items.last_id <= self.last:
            # A shared store does not give the id with a commit; ``look_up_last`` asks for it.
            return
        records = [item for finish in batch.finishes for item in finish.items]
        spilled = any(finish.spilled for finish in batch.finishes)
        stepped = answer.steps.counts and any(item.steps for item in records)
        from_memory = unchanged and not spilled and not stepped and not batch.steps.changes
        if from_memory and len(records) == answer.items.given:
            self._keep(_Recent(self.last + 1, records))
        self.last = answer.items.last_id
        self._wake_feeds()

    def _keep(self, recent: _Recent) -> None:
        self._recent.append(recent)
        self._kept += len(recent.records)
        while self._kept > KEPT_ITEMS and len(self._recent) > 1:
            self._kept -= len(self._recent.popleft().records)

    async def feeds_left(self) -> list[FeedNote] | None:
        """Empty: a job of one worker at a time goes on with its own files."""
        return []

    async def look_up_last(self) -> None:
        """Ask the store for ``last``: for a job of many workers, when no other worker is left."""
        self.last = await self._ask(self._job.last_item)

    async def _ask(self, call: Callable[[], T]) -> T:
        return await call_in_thread(self._thread, call)

    def end(self) -> None:
        """No more items will come: feeds that wait for some get ``None``."""
        self.ended = True
        self._wake_feeds()

    def _wake_feeds(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    async def _wait(self) -> None:
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        await maybe_deferred_to_future(waiter)

    async def after(self, item_id: int, through: int | None = None) -> Portion | None:
        """The items after ``item_id``, or those after it and up to ``through``.

        Waits until there are some. ``None``: there are none, and none will come.
        """
        while item_id >= (self.last if through is None else through):
            if self.ended or through is not None:
                return None
            await self._wait()
        return self._in_memory(item_id, through) or await self._stored(item_id, through)

    def _in_memory(self, item_id: int, through: int | None) -> Portion | None:
        for first, records in self._recent:
            if first <= item_id + 1 < first + len(records):
                offset = item_id + 1 - first
                count = PORTION if through is None else min(PORTION, through - item_id)
                wanted = records[offset : offset + count]
                ids = range(item_id + 1, item_id + 1 + len(wanted))
                items = [self._item(record) for record in wanted]
                return Portion(ids, items, through=ids[-1], superseded=self.superseded)
        return None

    def _item(self, record: ItemRecord) -> Any:
        """The object that left the pipelines, unless it was changed since: pickle and marshal
        write whether two of its values are the same object."""
        try:
            item = self._codec.decode_item(record.payload)
        except UntrustedNameError:
            if self._codec.encode_item(record.original) != record.payload:
                raise
            return record.original
        return record.original if _same(record.original, item) else item

    async def _stored(self, item_id: int, through: int | None) -> Portion:
        last = self.last if through is None else through
        superseded = self.superseded
        rows = await self._ask(lambda: self._job.items_after(item_id, last, PORTION))
        return Portion(
            [row.id for row in rows],
            [self._codec.decode_item(row.payload) for row in rows],
            through=rows[-1].id if len(rows) == PORTION else last,
            superseded=superseded,
        )


class ItemsOfRun(CommittedItems):
    """The items that one of several concurrent runs has stored: the content of its feed part.

    The ids of other runs' items lie between theirs, so all of them are read from the store.
    """

    def __init__(self, job: SharedJobStore, thread: StoreThread, codec: Codec, run: int) -> None:
        super().__init__(job, thread, codec)
        self._shared_job = job
        self._run = run
        self.last = 0
        """The id of the last item that any feed has read, in this process or in an earlier one."""
        self._has_more = True

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed: its items are given to the feeds that wait for some."""
        self.superseded = answer.items.superseded
        if answer.items.given:
            self._has_more = True
            self._wake_feeds()

    async def feeds_left(self) -> list[FeedNote] | None:
        """The files that runs which have died did not complete, as the store has them; ``None``:
        other runs still live."""
        return await self._ask(self._shared_job.feeds_left)

    async def after(self, item_id: int, through: int | None = None) -> Portion | None:
        """As for a job of one worker at a time, but only the items of this run."""
        while through is None or item_id < through:
            if through is not None or self._has_more or item_id < self.last:
                portion = await self._read(item_id, through)
                if portion is not None or through is not None:
                    return portion
            elif self.ended:
                return None
            else:
                await self._wait()
        return None

    async def _read(self, item_id: int, through: int | None) -> Portion | None:
        superseded, self._has_more = self.superseded, False
        last = self.last
        job, run = self._shared_job, self._run
        rows = await self._ask(lambda: job.items_of_run(run, item_id, PORTION))
        self._has_more |= len(rows) == PORTION
        # ``item_id``: a file that earlier runs have written is read on from there, but if it has to
        # be written again, from its first item.
        self.last = max([self.last, item_id, *(row.id for row in rows)])
        wanted = [row for row in rows if through is None or row.id <= through]
        if not wanted:
            # Items that another feed has read were superseded since.
            behind = through is None and item_id < last
            return Portion([], [], through=last, superseded=superseded) if behind else None
        return Portion(
            [row.id for row in wanted],
            [self._codec.decode_item(row.payload) for row in wanted],
            through=wanted[-1].id,
            superseded=superseded,
        )


def _same(original: Any, item: Any) -> bool:
    try:
        return type(original) is type(item) and bool(original == item)
    except Exception:
        # The user's item class raised in its comparison. The decoded item is right in any case.
        logger.debug("An item cannot be compared with its stored form", exc_info=True)
        return False
