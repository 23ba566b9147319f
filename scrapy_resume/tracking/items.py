"""Items of open requests. They are kept with their row, and become visible with its finish."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from scrapy_resume.errors import ItemNotRecordableError, describe, message_of
from scrapy_resume.model import EVERY_RUN_ITEM, State, digest
from scrapy_resume.ports.clock import leaves_event_loop
from scrapy_resume.store.contract import ItemRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.model import JobKey
    from scrapy_resume.ports.clock import Clock, Timer
    from scrapy_resume.store.contract import NewStep

logger = logging.getLogger("scrapy_resume")

SPILL_ITEMS: Final = 1_000
SPILL_BYTES: Final = 1 << 20
"""When one open request has more items, or so many bytes of them, they are spilled to the store."""

HELD_BYTES: Final = 4 << 20
"""Bytes of items, of requests that wait for unrecorded requests below them, beyond which they are
spilled."""

OPEN_ITEMS: Final = 1_000
OPEN_BYTES: Final = 2 << 20
"""Items of open requests in memory, by number or bytes, at which no more requests are
dispatched."""

BACKPRESSURE_SECONDS: Final = 1.0
"""Above these limits, one request is dispatched each time that so long has passed."""


class ItemSteps(Protocol):
    """The steps that items have."""

    def begin(self, item: Any, payload: str) -> tuple[Sequence[NewStep], str]:
        """The steps of an item that has left the pipelines, and its payload: as it was given, or
        without what is only there for steps."""


class OpenItems:
    """Serializes items as they leave the pipelines, and keeps them with their rows."""

    def __init__(
        self,
        job: JobKey,
        codec: Codec,
        stats: StatsCollector,
        item_key: Callable[[Any], str | None] | None,
        committer: Committer,
        clock: Clock,
        steps: ItemSteps | None = None,
    ) -> None:
        """``steps``: those of the crawl's items; ``None``: there are none."""
        self._job_key = str(job).encode("utf-8", "surrogatepass")
        self._codec = codec
        self._stats = stats
        self._item_key = item_key
        self._committer = committer
        self._clock = clock
        self._steps = steps
        self._held_bytes = 0
        self._open_items = 0
        self._open_bytes = 0
        self._timer: Timer | None = None
        self._lets_one_through = False
        self._keeps_originals = False
        self.not_recordable = 0
        """Number of items that this run could not serialize: they are not stored."""

    def keep_originals(self) -> None:
        """Keep each item beside its encoded form from now on, for feeds that need the object."""
        self._keeps_originals = True

    def begin(self, row: Row) -> int:
        """An item enters the pipelines. Returns its number among the row's items, from 0."""
        row.items_begun += 1
        return row.items_begun - 1

    def key_of(self, row: Row, occurrence: int) -> str:
        """The key of the row's item number ``occurrence``: 40 hexadecimal digits, the same in each
        replay of the row."""
        return digest(self._job_key, row.key, occurrence.to_bytes(8, "big")).hex()

    def add(self, row: Row, occurrence: int, item: Any) -> None:
        """An item has passed the pipelines.

        If it cannot be serialized, its request fails, with an error that names type and field. So
        it does with any other error, of the item's own code or for want of memory: the handlers of
        ``item_scraped`` are called where an error is logged, and nothing else comes of it.
        """
        try:
            payload = self._codec.encode_item(item)
            key = self._key(item)
            steps: Sequence[NewStep] = ()
            if self._steps is not None:
                steps, payload = self._steps.begin(item, payload)
        except BaseException as error:  # of the user's codec or RESUME_ITEM_KEY too
            if leaves_event_loop(error):
                raise
            self.lost(row, error)
            return
        if key is None and row.every_run:
            key = EVERY_RUN_ITEM + self.key_of(row, occurrence)
        original = item if self._keeps_originals else None
        if steps:
            stable_key = self.key_of(row, occurrence) if key is None else key
            record = ItemRecord(occurrence, payload, key, original, steps, stable_key)
        else:
            record = ItemRecord(occurrence, payload, key, original)
        row.items.append(record)
        row.item_bytes += len(payload)
        self._open_items += 1
        self._open_bytes += len(payload)
        if len(row.items) > SPILL_ITEMS or row.item_bytes >= SPILL_BYTES:
            self._spill(row)

    def lost(self, row: Row, error: BaseException) -> None:
        """An item of the row cannot be serialized, so the row fails."""
        row.set_outcome(State.failed, type(error).__name__, message_of(error))
        row.items_failed += 1
        self.not_recordable += 1
        self._stats.inc_value("resume/items/not_recordable")
        known = isinstance(error, ItemNotRecordableError)
        logger.error(
            "An item of %s cannot be serialized: %s",
            row.url or "start()",
            error if known else describe(error),
            exc_info=None if known else error,
        )

    def _key(self, item: Any) -> str | None:
        """The key that RESUME_ITEM_KEY gives an item; ``None``: none."""
        if self._item_key is None:
            return None
        try:
            return self._item_key(item)
        except Exception as error:
            raise ItemNotRecordableError(
                f"RESUME_ITEM_KEY gives no key for a {type(item).__name__}: "
                f"{type(error).__name__}: {message_of(error)}. Every item needs one, or a key of "
                "None."
            ) from error

    def start_waiting(self, row: Row) -> None:
        """A row waits for unrecorded rows below it. Spills its items if too many bytes wait so."""
        self._held_bytes += row.item_bytes
        if self._held_bytes > HELD_BYTES:
            self._held_bytes -= row.item_bytes
            self._spill(row)

    def stop_waiting(self, row: Row) -> None:
        """A row no longer waits for rows below it."""
        self._held_bytes -= row.item_bytes

    def ended(self, row: Row) -> None:
        """A row is finished: its items go to the store with the next batch."""
        self._open_items -= len(row.items)
        self._open_bytes -= row.item_bytes

    def applies_backpressure(self, wake: Callable[[], None]) -> bool:
        """Whether no request should be dispatched, since open requests hold too many items.

        Every ``BACKPRESSURE_SECONDS`` one request is let through, and ``wake`` is called for it: a
        callback may wait for a request that it has yielded.
        """
        if self._open_items < OPEN_ITEMS and self._open_bytes < OPEN_BYTES:
            return False
        if self._lets_one_through:
            self._lets_one_through = False
            return False
        if self._timer is None:
            self._timer = self._clock.call_later(BACKPRESSURE_SECONDS, self._let_one_through, wake)
        return True

    def _let_one_through(self, wake: Callable[[], None]) -> None:
        self._timer = None
        self._lets_one_through = True
        wake()

    def _spill(self, row: Row) -> None:
        """Move the row's items to the store provisionally. They stay invisible until its finish."""
        for item in row.items:
            self._committer.begin_entry().spills.append((row.id, item))
        self._open_items -= len(row.items)
        row.items = []
        self._open_bytes -= row.item_bytes
        row.item_bytes = 0
        row.spilled = True
