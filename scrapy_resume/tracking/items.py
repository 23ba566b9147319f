"""Items of open requests: kept with their row, visible with its finish."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ItemNotRecordableError
from scrapy_resume.model import EVERY_RUN_ITEM, State, digest
from scrapy_resume.store.contract import ItemRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.model import JobKey
    from scrapy_resume.ports.clock import Clock, Timer

logger = logging.getLogger("scrapy_resume")

SPILL_ITEMS: Final = 1_000
SPILL_BYTES: Final = 1 << 20
"""Items of one open request above either are written down provisionally."""

HELD_BYTES: Final = 4 << 20
"""Items of requests that wait for unrecorded ones below them, before they are spilled."""

OPEN_ITEMS: Final = 1_000
OPEN_BYTES: Final = 2 << 20
"""Items of open requests at which (either) no more requests are handed out."""

CROWDED_SECONDS: Final = 1.0
"""Then one is handed out all the same each time that so long has passed."""


class OpenItems:
    """Encodes items as they leave the pipelines and keeps them with their rows."""

    def __init__(
        self,
        job: JobKey,
        codec: Codec,
        stats: StatsCollector,
        item_key: Callable[[Any], str | None] | None,
        committer: Committer,
        clock: Clock,
    ) -> None:
        self._job_key = str(job).encode()
        self._codec = codec
        self._stats = stats
        self._item_key = item_key
        self._committer = committer
        self._clock = clock
        self._held_bytes = 0
        self._open_items = 0
        self._open_bytes = 0
        self._timer: Timer | None = None
        self._lets_one_through = False
        self.keeps_originals = False
        """Feeds want the items themselves, too."""

    def begin(self, row: Row) -> int:
        """An item goes into the pipelines. Returns its occurrence among the row's."""
        row.yielded += 1
        return row.yielded - 1

    def key_of(self, row: Row, occurrence: int) -> str:
        """A key that is the same however often the row is replayed: 40 hex digits."""
        return digest(self._job_key, row.key, occurrence.to_bytes(8, "big")).hex()

    def add(self, row: Row, occurrence: int, item: Any) -> None:
        """An item has come through the pipelines.

        One that cannot be written down makes its request fail, with type and field named.
        """
        try:
            payload = self._codec.encode_item(item)
            key = self._key(item)
        except ItemNotRecordableError as error:
            row.settle(State.failed, type(error).__name__, str(error))
            row.item_errors += 1
            self._stats.inc_value("resume/items/not_recordable")
            logger.error("An item of %s cannot be written down: %s", row.url or "start()", error)
            return
        if key is None and row.every_run:
            key = EVERY_RUN_ITEM + self.key_of(row, occurrence)
        original = item if self.keeps_originals else None
        row.items.append(ItemRecord(occurrence, payload, key, original))
        row.item_bytes += len(payload)
        self._open_items += 1
        self._open_bytes += len(payload)
        if len(row.items) > SPILL_ITEMS or row.item_bytes >= SPILL_BYTES:
            self._spill(row)

    def _key(self, item: Any) -> str | None:
        """What RESUME_ITEM_KEY makes of an item."""
        if self._item_key is None:
            return None
        try:
            return self._item_key(item)
        except Exception as error:
            raise ItemNotRecordableError(
                f"RESUME_ITEM_KEY gives no key for a {type(item).__name__}: "
                f"{type(error).__name__}: {error}. Every item needs one, or a key of None."
            ) from error

    def hold(self, row: Row) -> None:
        """A row waits for others: its items must not fill the memory meanwhile."""
        self._held_bytes += row.item_bytes
        if self._held_bytes > HELD_BYTES:
            self._held_bytes -= row.item_bytes
            self._spill(row)

    def unhold(self, row: Row) -> None:
        """It waits no more."""
        self._held_bytes -= row.item_bytes

    def ended(self, row: Row) -> None:
        """The row is finished: its items are on their way to the store."""
        self._open_items -= len(row.items)
        self._open_bytes -= row.item_bytes

    def crowded(self, wake: Callable[[], None]) -> bool:
        """So much has been yielded by open requests that they should be finished before others
        begin. Now and then one is let through all the same: a callback may wait for a request
        that it has yielded."""
        if self._open_items < OPEN_ITEMS and self._open_bytes < OPEN_BYTES:
            return False
        if self._lets_one_through:
            self._lets_one_through = False
            return False
        if self._timer is None:
            self._timer = self._clock.call_later(CROWDED_SECONDS, self._let_one_through, wake)
        return True

    def _let_one_through(self, wake: Callable[[], None]) -> None:
        self._timer = None
        self._lets_one_through = True
        wake()

    def _spill(self, row: Row) -> None:
        """Write items down provisionally: nothing shows them before the row's finish."""
        for item in row.items:
            self._committer.note().spills.append((row.id, item))
        self._open_items -= len(row.items)
        row.items = []
        self._open_bytes -= row.item_bytes
        row.item_bytes = 0
        row.spilled = True
