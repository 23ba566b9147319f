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
from scrapy.extensions.feedexport import ItemFilter
from scrapy.extensions.postprocessing import PostProcessingManager

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.destination import destination_of, free_name, local_path
from scrapy_resume.feeds.export_buffer import BufferStorage, ExportBuffer
from scrapy_resume.feeds.feed_record import FeedRecord, Phase, rewound
from scrapy_resume.feeds.json_lines import is_plain, quick_export
from scrapy_resume.ports.clock import leaves_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.extensions.feedexport import FeedSlot

    from scrapy_resume.feeds.committed_items import Portion
    from scrapy_resume.feeds.context import FeedContext, FeedPlan
    from scrapy_resume.feeds.destination import Destination

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
"""Exporters whose output for an item depends on no earlier item, except on the fields of the first.
Any other exporter that goes on with a file is given all earlier items of the file first."""


class StartOver(Exception):
    """What was written of the file is lost: it has to be rewritten from its first item."""


class FeedFile:
    """Exports items into one file with Scrapy's slot, and tracks the progress in a record."""

    def __init__(self, context: FeedContext, feed: FeedPlan, record: FeedRecord) -> None:
        self._context = context
        self._feed = feed
        self._limit: int = feed.options["batch_item_count"]
        self.record = record
        """As of the last moment when the file held exactly the items up to ``through``."""
        self._opened = False
        self._quick_export: Callable[[dict[str, Any]], None] | None = None
        """``None``: the exporter exports all items."""
        self._buffer: ExportBuffer
        self.slot: FeedSlot
        self._destination: Destination
        self._set_up()

    def _set_up(self) -> None:
        """Make a new slot and a new destination for the record."""
        self.slot = self._feed.new_slot(self.record)
        self._storage = self.slot.storage
        self._buffer = ExportBuffer(getattr(self._storage, "path", ""))
        options = self._context.destination_options(self._feed)
        self._destination = destination_of(self._storage, options, self.record)
        self._opened = False

    # ---- resuming

    async def resume(self) -> None:
        """Find what earlier runs have written, and go on from there."""
        try:
            record = await self._context.in_thread(lambda: self._destination.resume(self.record))
        except FeedFileChangedError as error:
            await self._leave_alone(error)
            return
        self.record = record
        self._opened = False
        await self._go_on(record)

    async def _go_on(self, record: FeedRecord) -> None:
        """Bring filter and exporter into the state that they had after the record's items."""
        if not record.count:
            await self._show_earlier_items(record, exporter_remembers=False)
            return
        self._start_exporter()
        exporter = self.slot.exporter
        assert exporter is not None
        known = type(exporter) in KNOWN_EXPORTERS
        if known:
            exporter.export_item(dict.fromkeys(record.fields))
        await self._show_earlier_items(record, exporter_remembers=not known)
        self._buffer.begin_at(record.claim.end)
        self._opened = True

    async def _show_earlier_items(self, record: FeedRecord, *, exporter_remembers: bool) -> None:
        """Show the feed's items so far to a filter of the user's, which may remember them, and
        those of this file to an exporter that does."""
        filter_remembers = type(self.slot.filter) is not ItemFilter
        if not (filter_remembers or exporter_remembers):
            return
        source, through = self._context.source, 0 if filter_remembers else record.start
        while (portion := await source.after(through, record.through)) is not None:
            through = portion.through
            for item_id, item in zip(portion.ids, portion.items, strict=True):
                if self._accepts(item) and exporter_remembers and item_id > record.start:
                    self._export_item(item)
            self._buffer.begin_at(0)

    def take_filter_of(self, file: FeedFile) -> None:
        """Go on with the filter of the file before this one: it belongs to the whole feed."""
        self.slot.filter = file.slot.filter

    async def _leave_alone(self, error: FeedFileChangedError) -> None:
        """Write another file, because somebody else has changed what was written to this one."""
        path = local_path(self._storage, self.record)
        assert path is not None
        other = free_name(path)
        logger.error(
            "Feed %s: %s. The file is left as it is; the whole feed is written to %s.",
            self.record.uri,
            error,
            other,
        )
        self.record = replace(rewound(self.record), path=str(other), begun=False, base=None)
        # Before the ownership note is removed: without it the whole file may count as the job's.
        await self._save(self.record)
        self._destination.remove_note()
        self._set_up()
        await self._go_on(self.record)

    @property
    def has_other_options(self) -> bool:
        """The file was written with other options of the feed than it has now."""
        return self.record.options != self._feed.digest

    @property
    def is_stale(self) -> bool:
        """Items were superseded since the file was begun, so it may hold some of them."""
        return self.record.count > 0 and self.record.superseded != self._context.source.superseded

    async def start_over(self) -> None:
        """Begin to rewrite the file from its first item, with the items that the store has now."""
        self._destination.close()
        self.record = replace(rewound(self.record), options=self._feed.digest)
        await self._save(self.record)
        self._set_up()
        await self.resume()

    # ---- items

    def _accepts(self, item: Any) -> bool:
        try:
            return bool(self.slot.filter.accepts(item))
        except BaseException as error:
            # The user's filter raised. As in Scrapy, the item is left out and the log says so.
            if leaves_event_loop(error):
                raise
            self._context.item_failed(self.record.uri)
            return False

    async def export(self, portion: Portion) -> None:
        """Export the items of a portion, as many as the batch may hold."""
        count, fields, through = self.record.count, self.record.fields, portion.through
        for item_id, item in zip(portion.ids, portion.items, strict=True):
            if not self._accepts(item):
                continue
            if not self._opened:
                await self._open(portion.superseded)
            self._export_item(item)
            fields = fields if count else tuple(ItemAdapter(item).field_names())
            count += 1
            if self._limit and count >= self._limit:
                through = item_id
                break
        if self._opened:
            await self._write(self._buffer.take())
        record = replace(self.record, count=count, fields=fields, through=through)
        self.record = self._destination.updated(record)
        self._context.save(self._feed, self.record)

    def _export_item(self, item: Any) -> None:
        mark = self._buffer.mark()
        try:
            if self._quick_export is not None and is_plain(item):
                self._quick_export(item)
            else:
                assert self.slot.exporter is not None
                self.slot.exporter.export_item(item)
        except BaseException as error:
            # As in Scrapy, the item is left out of this feed and the log says so.
            if leaves_event_loop(error):
                raise
            self._buffer.undo(mark)
            self._context.item_failed(self.record.uri)

    @property
    def is_full(self) -> bool:
        """The batch has as many items as it may hold."""
        return bool(self._limit) and self.record.count >= self._limit

    async def _save(self, record: FeedRecord) -> None:
        """Wait until the store has committed the record, and has synced it: what is done to the
        file next may survive a power cut."""
        self._context.save(self._feed, record, durable=True)
        await self._context.saved()

    async def _open(self, superseded: int) -> None:
        """Begin the file, after the store has committed its record."""
        planned = self._destination.planned(self.record)
        self.record = replace(planned, phase=Phase.open, superseded=superseded)
        await self._save(self.record)
        while True:
            try:
                self.record = await self._destination.open(self.record)
                break
            except OSError as error:
                await self._context.wait_or_raise(self.record.uri, error)
        self.record = self._destination.updated(self.record)
        self._buffer.begin_at(self._destination.offset)
        self._start_exporter()
        self._opened = True

    def _start_exporter(self) -> None:
        self.slot.storage = BufferStorage(self._buffer)
        try:
            self.slot.start_exporting()
        finally:
            self.slot.storage = self._storage
        self._quick_export = quick_export(self.slot.exporter)

    async def _write(self, chunk: bytes) -> None:
        while True:
            try:
                self._destination.write(chunk)
            except FeedFileChangedError as error:
                raise self._lost(error) from error
            except OSError as error:
                await self._context.wait_or_raise(self.record.uri, error)
                if not self._destination.can_finish_write:
                    raise StartOver from error
                chunk = b""
            else:
                self._context.can_be_written(self.record.uri)
                return

    def _lost(self, error: FeedFileChangedError) -> StartOver:
        logger.warning("Feed %s: %s; it is written again.", self.record.uri, error)
        return StartOver()

    # ---- the end

    async def finish(self) -> bool:
        """End the format and deliver the file. Returns whether there was anything to deliver."""
        wanted = self.slot.store_empty and self.record.batch == 1
        if not self.record.count and not wanted and self.record.phase is not Phase.stored:
            return False
        if not self._opened:
            await self._open(self._context.source.superseded)
        self.slot.finish_exporting()
        if isinstance(self.slot.file, PostProcessingManager):
            self.slot.file.close()  # flushes into the buffer, which stays open
        ending = self._buffer.take()
        await self._write(ending)
        self.slot.itemcount = self.record.count
        while True:
            try:
                record = await self._destination.deliver(self.record, len(ending))
                break
            except FeedFileChangedError as error:
                raise self._lost(error) from error
            except OSError as error:
                await self._context.wait_or_raise(self.record.uri, error)
        if self._destination.keeps_deliveries:
            record = replace(record, start=record.through)
        self.record = replace(record, phase=Phase.stored)
        # An upload that the store forgets would be repeated.
        self._context.save(self._feed, self.record, durable=True)
        return True

    async def rest(self) -> None:
        """The file, if it was delivered, is left as it is until the job is resumed."""
        try:
            await self._context.in_thread(self._destination.rest)
        except OSError as error:
            logger.warning(
                "Feed %s is whole, but the note beside it cannot be written: %s. What other "
                "programs append to it may be lost if the job is resumed after a restart.",
                self.record.uri,
                error,
            )

    def close(self) -> None:
        """Release all resources."""
        self._destination.close()

    def save_without_note(self) -> None:
        """Save a record that does not need the ownership note: the job is completed, or the file
        is never opened again."""
        self.record = replace(self.record, noted=False)
        self._context.save(self._feed, self.record, durable=True)

    def remove_note(self) -> None:
        """Remove the ownership note, after the store has committed ``save_without_note``."""
        self._destination.remove_note()
