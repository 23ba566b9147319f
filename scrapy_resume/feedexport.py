"""Scrapy's feed export, in place of its own: the feeds are a view of the committed items."""

from __future__ import annotations

import json
import logging
import operator
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from scrapy import signals
from scrapy.exporters import (
    CsvItemExporter,
    JsonItemExporter,
    JsonLinesItemExporter,
    XmlItemExporter,
)
from scrapy.extensions import feedexport
from scrapy.extensions.feedexport import FeedExporter, FeedSlot
from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future

from scrapy_resume.extensions import run_of
from scrapy_resume.feeds.desk import Desk, FeedPlan
from scrapy_resume.feeds.feed import Feed
from scrapy_resume.feeds.record import FeedRecord, decode_record
from scrapy_resume.feeds.source import CommittedItems
from scrapy_resume.model import digest
from scrapy_resume.storethread import post_to_loop

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

    from scrapy_resume.crawlrun import CrawlRun
    from scrapy_resume.store.contract import Batch, Committed

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


class ResumeFeedExporter(FeedExporter):
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
        self._source = CommittedItems(run.job, run.thread, run.codec)
        owner = f"{run.session.job} of {run.session.created_at!r}"
        self._desk = Desk(spider, self._source, run.outbox, owner, fence=run.settings.force)
        self._desk.hold = partial(run.ledger.hold, "feeds")
        self._desk.item_failed = self._item_failed
        self._desk.attach(post_to_loop())
        self._followers: list[Feed] = []
        self._following: list[Deferred[None]] = []
        run.feeds = self
        formats = {self.exporters[options["format"]] for options in self.feeds.values()}
        run.items.keeps_originals = not formats <= SHOWS_VALUES_ONLY

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
        if not run.session.shared:
            self._begin_following()

    def _begin_following(self) -> None:
        records: dict[str, list[FeedRecord]] = {}
        for note in self._run.session.feeds:
            records.setdefault(note.feed, []).append(decode_record(note.record))
        for template, options in self.feeds.items():
            plan = FeedPlan(
                name=template,
                options=options,
                digest=_digest(options),
                new_uri=partial(self._new_uri, template),
                new_slot=partial(self._new_slot, template),
            )
            feed = Feed(self._desk, plan, records.get(template, ()), self._slot_ended)
            self._followers.append(feed)
            self._following.append(deferred_from_coro(feed.follow()))

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go how far the feeds have come."""
        self._desk.complete(batch)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept."""
        self._source.committed(batch, answer)

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver all feeds. Returns whether each of them is whole.

        Waits at most so long for room on a disk that is full. Where several workers were on the
        job, nothing was written so far: their items are in order only now.
        """
        self._desk.deadline = time.monotonic() + timeout_seconds
        if self._run.session.shared:
            await self._source.look_up()
            self._begin_following()
        self._source.end()
        for feed in self._following:
            await maybe_deferred_to_future(feed)
        self._desk.close()
        await self.crawler.signals.send_catch_log_async(signals.feed_exporter_closed)
        return not any(feed.failed for feed in self._followers)

    def leave(self) -> None:
        """Others go on with the job: the last of them delivers the feeds."""
        self._desk.close()

    def abandon(self) -> None:
        """The run ends at once: write nothing more."""
        self._desk.abandoned = True
        self._source.end()
        self._desk.close()

    def let_go(self) -> None:
        """The job is about to be completed: the next batch says that nothing beside the files has
        to be looked at any more."""
        for feed in self._followers:
            feed.file.let_go()

    def forget(self) -> None:
        """The store knows that: clear away what stands beside the files."""
        for feed in self._followers:
            feed.file.forget()

    # ---- Scrapy's slots

    def _new_uri(self, template: str, slot: FeedSlot | None) -> str:
        spider = self.crawler.spider
        assert spider is not None
        params = self._get_uri_params(spider, self.feeds[template]["uri_params"], slot)
        uri: str = _fill_uri(template, params)
        return uri

    def _new_slot(self, template: str, record: FeedRecord) -> FeedSlot:
        spider = self.crawler.spider
        assert spider is not None
        return self._start_new_batch(
            batch_id=record.batch,
            uri=record.path or record.uri,
            feed_options=self.feeds[template],
            spider=spider,
            uri_template=template,
        )

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


def _digest(options: dict[str, Any]) -> str:
    chosen = sorted((name, options[name]) for name in options.keys() - BESIDE_CONTENT)
    text = json.dumps(chosen, default=_named)
    return digest(text.encode()).hex()


def _named(value: Any) -> str:
    """A class or function by its name; of anything else, what Python shows of it."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name is not None else repr(value)
