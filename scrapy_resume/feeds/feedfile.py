"""One file of a feed, from its first item to its delivery."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from itemadapter import ItemAdapter
from scrapy.exporters import (
    CsvItemExporter,
    JsonItemExporter,
    JsonLinesItemExporter,
    MarshalItemExporter,
    PickleItemExporter,
    PprintItemExporter,
    XmlItemExporter,
)
from scrapy.extensions.postprocessing import PostProcessingManager

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.record import FeedRecord, Phase, rewound
from scrapy_resume.feeds.sink import Sink, SinkStorage
from scrapy_resume.feeds.targets import free_name, local_path, target_of

if TYPE_CHECKING:
    from scrapy.extensions.feedexport import FeedSlot

    from scrapy_resume.feeds.context import Desk, FeedPlan
    from scrapy_resume.feeds.source import Portion
    from scrapy_resume.feeds.targets import Target

logger = logging.getLogger("scrapy_resume")

KNOWN_EXPORTERS: Final = frozenset(
    {
        CsvItemExporter,
        JsonItemExporter,
        JsonLinesItemExporter,
        MarshalItemExporter,
        PickleItemExporter,
        PprintItemExporter,
        XmlItemExporter,
    }
)
"""What they write of an item depends on the first item's fields at most. Any other exporter that
goes on with a file is shown all items of the file first."""


class StartOver(Exception):
    """What was written of the file is lost: it is written again from its first item."""


class FeedFile:
    """Exports items into one file, with Scrapy's slot, and knows how far it has come."""

    def __init__(self, desk: Desk, feed: FeedPlan, record: FeedRecord) -> None:
        self._desk = desk
        self._feed = feed
        self._limit: int = feed.options["batch_item_count"]
        self.record = record
        """As of the last moment at which the file held exactly the items up to ``through``."""
        self._opened = False
        self._sink: Sink
        self.slot: FeedSlot
        self._target: Target
        self._aim()

    def _aim(self) -> None:
        """A new slot and a new target for the record."""
        self.slot = self._feed.new_slot(self.record)
        self._storage = self.slot.storage
        self._sink = Sink(getattr(self._storage, "path", ""))
        self._target = target_of(self._storage, self._desk.place(self._feed), self.record)
        self._opened = False

    @property
    def partial(self) -> bool:
        """What was delivered stays delivered."""
        return self._target.partial

    # ---- going on

    async def take_up(self) -> None:
        """Find what was written before, and go on from there."""
        try:
            record = await self._desk.threaded(lambda: self._target.resume(self.record))
        except FeedFileChangedError as error:
            await self._leave_alone(error)
            return
        self.record = record
        self._opened = False
        if record.count:
            await self._go_on(record)

    async def _go_on(self, record: FeedRecord) -> None:
        """Have the exporter in the state that it was in after the record's items."""
        self._start_exporter()
        exporter = self.slot.exporter
        assert exporter is not None
        if type(exporter) in KNOWN_EXPORTERS:
            exporter.export_item(dict.fromkeys(record.fields))
        else:
            through = record.start
            while (portion := await self._desk.source.after(through, record.through)) is not None:
                through = portion.through
                for item in filter(self._accepts, portion.items):
                    self._export(item)
                self._sink.begin_at(0)
        self._sink.begin_at(record.claim.end)
        self._opened = True

    async def _leave_alone(self, error: FeedFileChangedError) -> None:
        """Somebody else has changed what was written: write another file."""
        path = local_path(self._storage, self.record)
        assert path is not None
        other = free_name(path)
        logger.error(
            "Feed %s: %s. It is left as it is; the whole feed is written to %s.",
            self.record.uri,
            error,
            other,
        )
        self.record = replace(rewound(self.record), path=str(other), begun=False, base=None)
        # Before the note beside it goes: without one, all that is there may count as the job's.
        await self._keep(self.record)
        self._target.forget()
        self._aim()

    @property
    def has_other_options(self) -> bool:
        """What is written was written with other options of the feed."""
        return self.record.options != self._feed.digest

    @property
    def is_stale(self) -> bool:
        """The store has taken items back since the file was begun."""
        return self.record.count > 0 and self.record.superseded != self._desk.source.superseded

    async def start_over(self) -> None:
        """Write the file again, from its first item, as the store has the items now."""
        self._target.close()
        self.record = replace(rewound(self.record), options=self._feed.digest)
        await self._keep(self.record)
        self._aim()
        await self.take_up()

    # ---- items

    def _accepts(self, item: Any) -> bool:
        try:
            return bool(self.slot.filter.accepts(item))
        except Exception:
            # A filter of the user's. As Scrapy does: the item is missing, and the log says so.
            self._desk.item_failed(self.record.uri)
            return False

    async def take(self, portion: Portion) -> int:
        """Export the items of a portion, as many as the file may hold. Returns the id of the
        last one that is dealt with."""
        record = self.record
        count, fields, through = record.count, record.fields, portion.through
        for item_id, item in zip(portion.ids, portion.items, strict=True):
            if not self._accepts(item):
                continue
            if not self._opened:
                await self._open(portion.superseded)
            self._export(item)
            fields = fields if count else tuple(ItemAdapter(item).field_names())
            count += 1
            if self._limit and count >= self._limit:
                through = item_id
                break
        if self._opened:
            await self._write(self._sink.take())
        kept = replace(self.record, count=count, fields=fields, through=through)
        self.record = self._target.note(kept)
        self._desk.note(self._feed, self.record)
        return through

    def _export(self, item: Any) -> None:
        mark = self._sink.mark()
        assert self.slot.exporter is not None
        try:
            self.slot.exporter.export_item(item)
        except Exception:
            # As Scrapy does: the item is missing in this feed, and the log says so.
            self._sink.undo(mark)
            self._desk.item_failed(self.record.uri)

    @property
    def full(self) -> bool:
        """The batch has all its items."""
        return bool(self._limit) and self.record.count >= self._limit

    async def _keep(self, record: FeedRecord) -> None:
        """Wait until the store has the record."""
        self._desk.note(self._feed, record)
        await self._desk.kept()

    async def _open(self, superseded: int) -> None:
        """Begin the file, once the store knows of it."""
        self.record = replace(self.record, phase=Phase.open, superseded=superseded)
        await self._keep(self.record)
        while True:
            try:
                self.record = self._target.open(self.record)
                break
            except OSError as error:
                await self._desk.patience(self.record.uri, error)
        self.record = self._target.note(self.record)
        self._sink.begin_at(self._target.offset)
        self._start_exporter()
        self._opened = True

    def _start_exporter(self) -> None:
        self.slot.storage = SinkStorage(self._sink)
        try:
            self.slot.start_exporting()
        finally:
            self.slot.storage = self._storage

    async def _write(self, chunk: bytes) -> None:
        while True:
            try:
                self._target.write(chunk)
            except FeedFileChangedError as error:
                raise self._lost(error) from error
            except OSError as error:
                await self._desk.patience(self.record.uri, error)
                if not self._target.goes_on:
                    raise StartOver from error
                chunk = b""
            else:
                self._desk.well(self.record.uri)
                return

    def _lost(self, error: FeedFileChangedError) -> StartOver:
        logger.warning("Feed %s: %s; it is written again.", self.record.uri, error)
        return StartOver()

    # ---- the end

    async def end(self) -> bool:
        """End the format and deliver the file. Returns whether there was anything to deliver."""
        wanted = self.slot.store_empty and self.record.batch == 1
        if not self.record.count and not wanted and self.record.phase is not Phase.stored:
            return False
        if not self._opened:
            await self._open(self._desk.source.superseded)
        self.slot.finish_exporting()
        if isinstance(self.slot.file, PostProcessingManager):
            self.slot.file.close()  # flushes; the sink behind it stays open
        ending = self._sink.take()
        await self._write(ending)
        self.slot.itemcount = self.record.count
        while True:
            try:
                record = await self._target.deliver(self.record, len(ending))
                break
            except FeedFileChangedError as error:
                raise self._lost(error) from error
            except OSError as error:
                await self._desk.patience(self.record.uri, error)
        if self.partial:
            record = replace(record, start=record.through)
        self.record = replace(record, phase=Phase.stored)
        self._desk.note(self._feed, self.record)
        return True

    def close(self) -> None:
        """Let go of everything."""
        self._target.close()

    def let_go(self) -> None:
        """The job is completed, or the file is never opened again: have the store know that it
        holds all, and nothing of it has to be looked for beside the file."""
        self.record = replace(self.record, noted=False)
        self._desk.note(self._feed, self.record)

    def forget(self) -> None:
        """Once the store knows: clear away what stands beside the file."""
        self._target.forget()
