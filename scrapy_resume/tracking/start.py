"""``start()`` in this run: the row that its requests and items belong to, and its progress."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.frontier.row import Row, admission_of
from scrapy_resume.model import NO_PARENT, START, Kind, digest

if TYPE_CHECKING:
    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.ports.clock import Clock, Waiter
    from scrapy_resume.tracking.row_ids import IdSequence
    from scrapy_resume.tracking.start_history import StartHistory

START_BELOW_LIMIT: Final = 2_000
"""Unfinished items and unrecorded requests of ``start()`` at which it waits (backpressure)."""

HELD_LIMIT: Final = 1_000
"""Items of which it is not decided yet whether an earlier run gave them with other contents."""


class Start:
    """Tracks what ``start()`` has yielded, until all of it is finished."""

    def __init__(
        self,
        ids: IdSequence,
        codec: Codec,
        committer: Committer,
        clock: Clock,
        history: StartHistory,
        *,
        began: bool,
    ) -> None:
        """``began``: this run has begun the job, so no earlier run knows any item."""
        self._began = began
        self._history = history
        self._earlier: int | None = None
        """How many items earlier runs gave and this run has not given yet; ``None``: not asked."""
        self._met = 0
        """How many items this run has given that earlier runs gave with the same contents."""
        self._held: list[tuple[Any, Row]] = []
        """Items with unknown contents that may be those of earlier runs."""
        self._ids = ids
        self._codec = codec
        self._committer = committer
        self._clock = clock
        self.row = Row(START, digest(b"start"), recorded=True, parent=NO_PARENT)
        """The parent of all that ``start()`` yields."""
        self.exhausted = False
        """``start()`` has ended without an error in this run, or an earlier run has exhausted
        it."""
        self.over = False
        """``start()`` has ended, with or without an error, or was not to be run."""
        self.items_in_hand = 0
        """Items of ``start()``, and items of unknown origin, in the pipelines."""
        self.answers: dict[int, Waiter[bool]] = {}
        """By row id: waiters for the store's answers whether an item is new."""
        self._room: Waiter[None] | None = None
        self._frozen = False

    async def admit_item(self, item: Any) -> tuple[Any, Row] | None:
        """The next item that goes to the pipelines, and its row, when ``start()`` yields ``item``;
        ``None``: none does, since an earlier run has given it, or the run is being shut down.

        If ``start()`` came to its end in an earlier run, as many items as it gave then are known,
        whatever they hold: a time stamp makes no item new. So an item with unknown contents is held
        back until there are more of them than earlier items that were not met again.

        Raises ``ItemNotRecordableError``.
        """
        content = self._codec.encode_item(item).encode("utf-8", "surrogatepass")
        row = Row(self._ids.new(), digest(b"start item", content), recorded=False, parent=START)
        row.kind = Kind.start_item
        if self._frozen:
            return None
        is_new = await self._is_new(row)
        if not self._history.exhausted:
            return self._admitted(item, row) if is_new and not self._frozen else None
        if is_new:
            if self._earlier is None:
                self._earlier = await self._history.item_count()
            self._held.append((item, row))
        else:
            self._met += 1
        return self._surplus()

    def _surplus(self) -> tuple[Any, Row] | None:
        """The latest item that is held back, if there are more than may be earlier ones."""
        if self._earlier is None or self._frozen:
            return None
        if len(self._held) > max(self._earlier - self._met, 0):
            return self._admitted(*self._held.pop())
        if len(self._held) > HELD_LIMIT:
            del self._held[0]
            self._earlier -= 1
        return None

    def _admitted(self, item: Any, row: Row) -> tuple[Any, Row]:
        row.in_engine = True
        row.anchor = self.row
        self.row.open_below += 1
        self.items_in_hand += 1
        return item, row

    def orphan_item(self) -> Row:
        """A row for an item of unknown origin. It is stored when it has passed the pipelines."""
        row = Row(self._ids.new(), os.urandom(20), recorded=False)
        row.kind = Kind.start_item
        row.in_engine = True
        self.items_in_hand += 1
        return row

    def unstorable_item(self) -> Row:
        """A row for an item that cannot be serialized: it records the loss, once over all runs."""
        row = Row(self._ids.new(), digest(b"unstorable start item"), recorded=False, parent=START)
        row.kind = Kind.start_item
        return row

    async def _is_new(self, row: Row) -> bool:
        """Ask the store whether no earlier run has the item. It counts equal items."""
        if self._began:
            return True
        waiter: Waiter[bool] = self._clock.waiter()
        self.answers[row.id] = waiter
        self._committer.begin_entry().arrivals.append(
            admission_of(row, row.id, row.identity, record=False)
        )
        self._committer.send_soon()
        return await waiter.wait()

    async def wait_for_room(self) -> None:
        """Wait while the committer is full, or too much of ``start()`` is unfinished."""
        await self._committer.wait_for_room()
        while self.row.open_below >= START_BELOW_LIMIT and not self._frozen:
            self._room = self._clock.waiter()
            await self._room.wait()

    def child_finished(self) -> None:
        """Something that ``start()`` yielded is finished."""
        if self.row.open_below < START_BELOW_LIMIT // 2:
            self._stop_waiting()

    def freeze(self) -> None:
        """Nothing more is accepted: let ``start()`` go on if it waits."""
        self._frozen = True
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        waiter, self._room = self._room, None
        if waiter is not None:
            waiter.set(None)

    def finish(self) -> None:
        """Record that ``start()`` is exhausted, if all that it yielded is finished."""
        if self.exhausted and not self.row.open_below:
            self._committer.begin_entry().start_exhausted = True
