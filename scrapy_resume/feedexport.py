"""Scrapy's feed export, in place of its own: the feeds are a view of the committed items."""

from __future__ import annotations

import json
import logging
import operator
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from scrapy import signals
from scrapy.exporters import (
    CsvItemExporter,
    JsonItemExporter,
    JsonLinesItemExporter,
    XmlItemExporter,
)
from scrapy.extensions import feedexport
from scrapy.extensions.feedexport import FeedSlot
from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future

from scrapy_resume.engine.feed_slots import SlotMakingExporter
from scrapy_resume.extensions import run_of
from scrapy_resume.feeds.context import Desk, FeedPlan
from scrapy_resume.feeds.feed import Feed
from scrapy_resume.feeds.record import FeedRecord, decode_record
from scrapy_resume.feeds.source import CommittedItems, ItemsOfRun
from scrapy_resume.model import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

    from scrapy_resume.run.crawl_run import CrawlRun
    from scrapy_resume.store.contract import Batch, Committed, FeedNote, SharedJobStore

logger = logging.getLogger("scrapy_resume")

BESIDE_CONTENT: Final = frozenset({"overwrite", "uri_params", "store_empty", "batch_item_count"})
"""Feed options that do not decide what a feed's file holds: all others do."""

SHOWS_VALUES_ONLY: Final = frozenset(
    {CsvItemExporter, JsonItemExporter, JsonLinesItemExporter, XmlItemExporter}
)
"""Exporters that write the same for an item as for an equal one. (Pickle and marshal write an
object that is there twice once.)"""

# Since Scrapy 2.14.1 a URI may hold percent signs that are no placeholders.
_fill_uri = getattr(feedexport, "apply_uri_params", operator.mod)


class ResumeFeedExporter(SlotMakingExporter):
    """The feeds of a crawl that opens a job. In any other it is Scrapy's own exporter.

    All options of FEEDS, exporters and storages are Scrapy's; so are the signals and the stats.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeFeedExporter:
        """Raises ``NotConfigured`` without feeds."""
        exporter = cls(crawler)
        # Whether there is a job is not known before all extensions are there.
        crawler.signals.connect(exporter.open_spider, signals.spider_opened)
        return exporter

    def _join(self, run: CrawlRun, spider: Spider) -> None:
        self._run = run
        self._spider = spider
        self._desks: list[Desk] = []
        self._part = run.session.run if has_parts(run) else 0
        """The run whose part is written while it crawls; 0: the feeds are not in parts."""
        self._source = self._source_of(self._part)
        self._desk = self._new_desk(self._source, fence=run.settings.force)
        self._followers: list[Feed] = []
        self._following: list[Deferred[None]] = []
        run.listeners.feeds = self
        formats = {self.exporters[options["format"]] for options in self.feeds.values()}
        run.tracker.items.keeps_originals = not formats <= SHOWS_VALUES_ONLY

    def _source_of(self, part: int) -> CommittedItems:
        run = self._run
        if not part:
            return CommittedItems(run.job, run.parts.thread, run.codec)
        return ItemsOfRun(cast("SharedJobStore", run.job), run.parts.thread, run.codec, part)

    def _new_desk(self, source: CommittedItems, *, fence: bool) -> Desk:
        run = self._run
        owner = f"{run.session.job} of {run.session.created_at!r}"
        desk = Desk(self._spider, source, run.committer, run.parts.clock, owner, fence=fence)
        desk.hold = partial(run.tracker.hold, "feeds")
        desk.item_failed = self._item_failed
        self._desks.append(desk)
        return desk

    # ---- what the run calls

    def open_spider(self, spider: Spider) -> None:
        """Go on with the feeds where earlier runs left them."""
        run = run_of(self.crawler)
        if run is None:
            self.crawler.signals.connect(self.item_scraped, signals.item_scraped)
            self.crawler.signals.connect(self.close_spider, signals.spider_closed)
            super().open_spider(spider)
            return
        self._join(run, spider)
        if self._part or not run.session.sharing.shared:
            self._begin_following([] if self._part else run.session.feeds)

    def _begin_following(self, notes: Iterable[FeedNote]) -> None:
        records = _by_feed(notes)
        for template in self.feeds:
            plan = self._plan(template, self._part)
            self._follow(self._desk, plan, records.get(plan.name, ()))

    def _plan(self, template: str, part: int) -> FeedPlan:
        options = self.feeds[template]
        return FeedPlan(
            name=part_name(template, part),
            options=options,
            digest=_digest(options),
            new_uri=partial(self._new_uri, template, part),
            new_slot=partial(self._new_slot, template),
            run=part,
        )

    def _follow(self, desk: Desk, plan: FeedPlan, records: Sequence[FeedRecord]) -> None:
        feed = Feed(desk, plan, records, self._slot_ended)
        self._followers.append(feed)
        self._following.append(deferred_from_coro(feed.follow()))

    def _follow_what_is_left(self, notes: Iterable[FeedNote]) -> None:
        """Parts of workers that have died: they are cut back, completed, and delivered."""
        desks: dict[int, Desk] = {}
        for name, records in _by_feed(notes).items():
            part = records[0].run
            templates = [one for one in self.feeds if part_name(one, part) == name]
            if not part or part == self._part:
                continue
            if not templates:
                logger.warning("Feed %s of run %d is not this crawl's: it is left", name, part)
                continue
            if part not in desks:
                desks[part] = self._new_desk(self._source_of(part), fence=False)
                desks[part].source.end()
            self._follow(desks[part], self._plan(templates[0], part), records)

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go how far the feeds have come."""
        for desk in self._desks:
            desk.complete(batch)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept."""
        self._source.committed(batch, answer)

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver all feeds. Returns whether each of them is whole.

        Waits at most so long for room on a disk that is full. Where several workers were on the
        job, nothing was written so far: their items are in order only now. Where each has a part
        of its own, those of workers that have died are completed too.
        """
        if self._part:
            self._follow_what_is_left(await self._source.left())
        elif self._run.session.sharing.shared:
            await self._source.look_up()
            self._begin_following(self._run.session.feeds)
        return await self._deliver(timeout_seconds)

    async def leave(self, timeout_seconds: float) -> bool:
        """Others go on with the job: the last of them delivers the feeds. A part of the run's own
        is delivered; returns whether it is whole."""
        return await self._deliver(timeout_seconds)

    async def _deliver(self, timeout_seconds: float) -> bool:
        for desk in self._desks:
            desk.deadline = time.monotonic() + timeout_seconds
        self._source.end()
        for feed in self._following:
            await maybe_deferred_to_future(feed)
        self._close_desks()
        await self.crawler.signals.send_catch_log_async(signals.feed_exporter_closed)
        return not any(feed.failed for feed in self._followers)

    def _close_desks(self) -> None:
        for desk in self._desks:
            desk.close()

    def abandon(self) -> None:
        """The run ends at once: write nothing more."""
        for desk in self._desks:
            desk.abandoned = True
        self._source.end()
        self._close_desks()

    def let_go(self) -> None:
        """The job is about to be completed: the next batch says that nothing beside the files has
        to be looked at any more."""
        for feed in self._followers:
            feed.file.let_go()

    def forget(self) -> None:
        """The store knows that: clear away what stands beside the files. (Beside parts nothing
        does any more: they ended with their runs.)"""
        for feed in self._followers:
            if not feed.file.record.run:
                feed.file.forget()

    # ---- Scrapy's slots

    def _new_uri(self, template: str, part: int, slot: FeedSlot | None) -> str:
        params = self.uri_parameters(self.feeds[template], slot)
        uri: str = _fill_uri(part_name(template, part), params)
        return uri

    def _new_slot(self, template: str, record: FeedRecord) -> FeedSlot:
        uri = record.path or record.uri
        return self.open_slot(template, self.feeds[template], record.batch, uri)

    def _item_failed(self, uri: str) -> None:
        """Scrapy's words are those of its signal dispatcher; the item is named by the traceback."""
        logger.error("Feed %s: an item cannot be exported", uri, exc_info=True)
        assert self.crawler.stats is not None
        self.crawler.stats.inc_value("resume/feeds/items_failed")

    async def _slot_ended(self, slot: FeedSlot, error: Exception | None) -> None:
        kind = type(slot.storage).__name__
        what = f"{slot.format} feed ({slot.itemcount} items) in: {slot.uri}"
        outcome = "success" if error is None else "failed"
        if error is None:
            logger.info("Stored %s", what)
        else:
            logger.error("Error storing %s", what, exc_info=error)
        assert self.crawler.stats is not None
        self.crawler.stats.inc_value(f"feedexport/{outcome}_count/{kind}")
        await self.crawler.signals.send_catch_log_async(signals.feed_slot_closed, slot=slot)


def has_parts(run: CrawlRun) -> bool:
    """Whether each worker of the job writes a part of the feeds of its own."""
    return run.session.sharing.shared and run.settings.feeds == "parts"


def part_name(template: str, part: int) -> str:
    """The URI of a part, its parameters unfilled: ``items.part-3.jsonl`` for run 3.

    Standard output has no parts to be told from one another.
    """
    if not part or template.startswith("stdout:"):
        return template
    folder, slash, name = template.rpartition("/")
    stem, dot, suffix = name[1:].partition(".")
    return f"{folder}{slash}{name[:1]}{stem}.part-{part}{dot}{suffix}"


def _by_feed(notes: Iterable[FeedNote]) -> dict[str, list[FeedRecord]]:
    records: dict[str, list[FeedRecord]] = {}
    for note in notes:
        records.setdefault(note.feed, []).append(decode_record(note.record))
    return records


def _digest(options: dict[str, Any]) -> str:
    chosen = sorted((name, options[name]) for name in options.keys() - BESIDE_CONTENT)
    text = json.dumps(chosen, default=_named)
    return digest(text.encode()).hex()


def _named(value: Any) -> str:
    """A class or function by its name; of anything else, what Python shows of it."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name is not None else repr(value)
