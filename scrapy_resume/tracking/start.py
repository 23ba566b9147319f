"""``start()`` in this run: what it yields belongs to a row of its own, and how far it has come."""

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

START_BELOW_LIMIT: Final = 2_000
"""Unrecorded requests and items of ``start()`` in hand at which it waits for their end."""


class Start:
    """The requests and items of ``start()`` that are not whole yet."""

    def __init__(
        self, began: bool, ids: IdSequence, codec: Codec, committer: Committer, clock: Clock
    ) -> None:
        """``began``: this run began the job, so that everything is new."""
        self._began = began
        self._ids = ids
        self._codec = codec
        self._committer = committer
        self._clock = clock
        self.row = Row(START, digest(b"start"), recorded=True, parent=NO_PARENT)
        """The parent of what it yields."""
        self.exhausted = False
        """It came to its end in this run, or was not to be run again."""
        self.over = False
        """It is not running: it is over, or was not to be run."""
        self.items_in_hand = 0
        """Items of its own in the pipelines."""
        self.answers: dict[int, Waiter[bool]] = {}
        """Questions to the store about items, by id: is it new?"""
        self._room: Waiter[None] | None = None
        self._frozen = False

    async def admit_item(self, item: Any) -> Row | None:
        """The row of an item that it yielded; ``None``: an earlier run has stored what it gave.

        Raises ``ItemNotRecordableError``.
        """
        content = self._codec.encode_item(item).encode("utf-8", "surrogatepass")
        row = Row(self._ids.new(), digest(b"start item", content), recorded=False, parent=START)
        row.kind = Kind.start_item
        if self._frozen or not await self._is_new(row):
            return None
        row.in_engine = True
        row.anchor = self.row
        self.row.open_below += 1
        self.items_in_hand += 1
        return row

    def orphan_item(self) -> Row:
        """The row of an item that nothing known has yielded: it is stored once it is through."""
        row = Row(self._ids.new(), os.urandom(20), recorded=False)
        row.kind = Kind.start_item
        row.in_engine = True
        self.items_in_hand += 1
        return row

    async def _is_new(self, row: Row) -> bool:
        """Whether no earlier run knows that item. Equal items are counted by the store."""
        if self._began:
            return True
        waiter: Waiter[bool] = self._clock.waiter()
        self.answers[row.id] = waiter
        self._committer.note().arrivals.append(
            admission_of(row, row.id, row.identity, record=False)
        )
        self._committer.hurry()
        return await waiter.wait()

    async def room(self) -> None:
        """Wait while much is on its way to the store, or runs from memory."""
        await self._committer.room()
        while self.row.open_below >= START_BELOW_LIMIT and not self._frozen:
            self._room = self._clock.waiter()
            await self._room.wait()

    def closed_below(self) -> None:
        """Something that it yielded is whole."""
        if self.row.open_below < START_BELOW_LIMIT // 2:
            self._go_on()

    def freeze(self) -> None:
        """Nothing is accepted any more: it waits for nothing either."""
        self._frozen = True
        self._go_on()

    def _go_on(self) -> None:
        waiter, self._room = self._room, None
        if waiter is not None:
            waiter.set(None)

    def close(self) -> None:
        """Note that it is exhausted, when all that it yielded is whole."""
        if self.exhausted and not self.row.open_below:
            self._committer.note().start_exhausted = True
