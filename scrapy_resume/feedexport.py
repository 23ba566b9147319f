"""The feed exporter of a crawl that opens a job: it writes the committed items."""

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

from scrapy_resume.databases.address import FORMAT
from scrapy_resume.databases.beside_files import FeedsTogether, is_of_database
from scrapy_resume.engine.feed_slots import SlotMakingExporter
from scrapy_resume.errors import FeedFileChangedError, ResumeError, message_of
from scrapy_resume.extensions import run_of
from scrapy_resume.feeds.committed_items import CommittedItems, ItemsOfRun
from scrapy_resume.feeds.context import FeedContext, FeedPlan
from scrapy_resume.feeds.feed import Feed
from scrapy_resume.feeds.feed_record import FeedRecord, decode_record
from scrapy_resume.feeds.left_feeds import LeftFile, left_files
from scrapy_resume.feeds.recorded_place import is_of_feed
from scrapy_resume.model import digest
from scrapy_resume.ports.clock import pause
from scrapy_resume.run.worker_name import worker_name
from scrapy_resume.settings.masking import without_password
from scrapy_resume.store import open_location

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

    from scrapy_resume.databases.feeds_of_run import DatabaseFeeds
    from scrapy_resume.model import JobKey
    from scrapy_resume.run.crawl_run import CrawlRun
    from scrapy_resume.store.contract import Batch, Committed, FeedNote, SharedJobStore

logger = logging.getLogger("scrapy_resume")
scrapy_logger = logging.getLogger("scrapy.extensions.feedexport")
"""What Scrapy's exporter says of a feed at its end is said in its name: people filter by that."""

BESIDE_CONTENT: Final = frozenset({"overwrite", "uri_params", "store_empty", "batch_item_count"})
"""Feed options on which a file's content does not depend. If any other option is changed, the
file is rewritten."""

SHOWS_VALUES_ONLY: Final = frozenset(
    {CsvItemExporter, JsonItemExporter, JsonLinesItemExporter, XmlItemExporter}
)
"""Exporters that write the same bytes for equal items. (Pickle and marshal write an object that an
item holds twice only once.)"""

LEAVING_POLL_SECONDS: Final = 0.2
"""Interval at which the last worker asks the store whether others still deliver their parts."""

# Since Scrapy 2.14.1 a URI may contain percent signs that are no placeholders.
_fill_uri = getattr(feedexport, "apply_uri_params", operator.mod)


class ResumeFeedExporter(SlotMakingExporter):
    """Replaces Scrapy's exporter; in a crawl that opens no job it behaves as Scrapy's does.

    The options of FEEDS, the exporters, storages, signals and stats are Scrapy's own.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeFeedExporter:
        """Raises ``NotConfigured`` if FEEDS is empty."""
        exporter = cls(crawler)
        # Only when all extensions are made is it known whether the crawl opens a job.
        crawler.signals.connect(exporter.open_spider, signals.spider_opened)
        return exporter

    def _join(self, run: CrawlRun, spider: Spider) -> None:
        self._run = run
        self._spider = spider
        self._contexts: list[FeedContext] = []
        self._part = run.session.run if has_parts(run) else 0
        """The number of the run if each run writes a part of its own; 0: feeds have no parts."""
        self._source = self._source_of(self._part)
        self._context = self._new_context(self._source, fence=run.settings.force)
        self._followers: list[Feed] = []
        self._left: list[LeftFile] = []
        self._unopened: dict[str, Exception] = {}
        """Feeds that cannot be written at all, and why."""
        self._filtering: set[str] = set()
        """The feeds of whose files one has Scrapy's filter."""
        self._following: list[Deferred[None]] = []
        self._databases = self._database_feeds(run)
        together = FeedsTogether([self, self._databases]) if self._databases else self
        run.listeners.attach_feeds(together)
        run.session.feeds = [note for note in run.session.feeds if not is_of_database(note)]
        formats = {self.exporters[options["format"]] for options in self.feeds.values()}
        if not formats <= SHOWS_VALUES_ONLY:
            run.tracker.items.keep_originals()

    def _database_feeds(self, run: CrawlRun) -> DatabaseFeeds | None:
        """The feeds that are databases, taken out of those that are files."""
        databases = {uri: one for uri, one in self.feeds.items() if one["format"] == FORMAT}
        self.feeds = {uri: one for uri, one in self.feeds.items() if uri not in databases}
        if not databases:
            return None
        from scrapy_resume.databases.build import JobOfFeeds, Wanted, build_feeds

        wanted = [
            Wanted(uri, options, self.filters[uri].accepts) for uri, options in databases.items()
        ]
        return build_feeds(
            wanted,
            partial(self.uri_parameters, slot=None),
            JobOfFeeds(
                run.job,
                run.parts.thread,
                run.parts.clock,
                run.codec,
                run.settings,
                self._spider.name,
                worker_name(),
            ),
            nothing_open=lambda: run.tracker.counts.nothing_open,
            item_failed=partial(self._count, "resume/feeds/items_failed"),
        )

    def _count(self, stat: str) -> None:
        assert self.crawler.stats is not None
        self.crawler.stats.inc_value(stat)

    def _source_of(self, part: int) -> CommittedItems:
        run = self._run
        if not part:
            return CommittedItems(run.job, run.parts.thread, run.codec)
        return ItemsOfRun(cast("SharedJobStore", run.job), run.parts.thread, run.codec, part)

    def _new_context(self, source: CommittedItems, *, fence: bool) -> FeedContext:
        run = self._run
        owner = _owner(run.session.job, run.session.created_at)
        name = run.session.job.name.encode("utf-8", "backslashreplace").decode()
        context = FeedContext(
            self._spider,
            source,
            run.committer,
            run.parts.clock,
            owner=owner,
            place=f"{without_password(run.settings.store)} {name}",
            lives=self._has_job_of,
            fence=fence,
            hold=self._hold_dispatch,
            item_failed=self._item_failed,
        )
        self._contexts.append(context)
        return context

    def _has_job_of(self, owner: str) -> bool:
        """Whether the store has the job that has written a note beside a feed."""
        run = self._run
        store = open_location(run.settings.store)
        try:
            known = [
                _owner(key, store.summary(key).created_at)
                for key in store.jobs()
                if key.name == run.session.job.name
            ]
        except ResumeError as error:
            logger.warning("It is not known whether the store has %s: %s", owner, error)
            return True
        # A job that writes one file as several feeds has numbered them.
        return any(owner == one or owner.startswith(f"{one} ") for one in known)

    def _hold_dispatch(self, held: bool) -> None:
        """Dispatch no requests while ``held``: a feed cannot be written now."""
        if held:
            self._run.tracker.hold_dispatch("feeds")
        else:
            self._run.tracker.resume_dispatch("feeds")

    # ---- what the run calls

    def open_spider(self, spider: Spider) -> None:
        """Go on with the feeds where earlier runs have left them."""
        run = run_of(self.crawler)
        if run is None:
            self.crawler.signals.connect(self.item_scraped, signals.item_scraped)
            self.crawler.signals.connect(self.close_spider, signals.spider_closed)
            super().open_spider(spider)
            return
        self.begin(run, spider)

    def begin(self, run: CrawlRun, spider: Spider) -> None:
        """Go on with the feeds of a job where its earlier runs have left them."""
        self._join(run, spider)
        if self._databases:
            self._databases.begin()
        if self._part or not run.session.sharing.shared:
            self._begin_following([] if self._part else run.session.feeds)

    def _begin_following(self, notes: Iterable[FeedNote]) -> None:
        records = _by_feed(notes)
        for template in self.feeds:
            plan = self._plan(template, self._part)
            self._follow(self._context, plan, records.get(plan.name, ()))

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

    def _follow(self, context: FeedContext, plan: FeedPlan, records: Sequence[FeedRecord]) -> None:
        foreign = [record for record in records if not self._is_of_feed(record, plan)]
        if foreign:
            error = FeedFileChangedError(
                f"the store has recorded {foreign[0].path or foreign[0].uri} for it, which is no "
                "file of that feed: somebody else has written to the job. Nothing is written. "
                "Restore the job from a backup, or export its items: scrapy resume export"
            )
            self._unopened[plan.name] = error
            logger.error("Feed %s: %s", plan.name, error)
            return
        try:
            feed = Feed(context, plan, records, self._slot_ended)
        except Exception as error:
            # A name that no file can have, or a storage or function of the user's that raises. An
            # error of this handler would be logged only: the job would be completed without it.
            self._unopened[plan.name] = error
            logger.error(
                "Feed %s cannot be opened: %s. Its items are in the store: when the cause is "
                "removed, the same command writes it.",
                plan.name,
                message_of(error),
                exc_info=None if isinstance(error, OSError) else error,
            )
            return
        self._followers.append(feed)
        self._following.append(deferred_from_coro(feed.follow()))

    def _is_of_feed(self, record: FeedRecord, plan: FeedPlan) -> bool:
        def filled(text: str) -> str:
            uri: str = _fill_uri(text, self.uri_parameters(plan.options, None))
            return uri

        return is_of_feed(record, plan.name, filled)

    def _complete_parts_of_dead_workers(self, notes: Iterable[FeedNote]) -> None:
        """Cut back, complete and deliver the parts of workers that have died."""
        contexts: dict[int, FeedContext] = {}
        for name, records in _by_feed(notes).items():
            part = records[0].run
            templates = [one for one in self.feeds if part_name(one, part) == name]
            if not part or part == self._part:
                continue
            if not templates:
                logger.warning(
                    "Feed %s of run %d is not in this crawl's FEEDS: it is not completed",
                    name,
                    part,
                )
                continue
            if part not in contexts:
                contexts[part] = self._new_context(self._source_of(part), fence=False)
                contexts[part].source.end()
            self._follow(contexts[part], self._plan(templates[0], part), records)

    def complete(self, batch: Batch) -> None:
        """Add the feeds' records to a batch that is about to be sent to the store."""
        for context in self._contexts:
            context.complete(batch)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""
        self._source.committed(batch, answer)

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver all feeds. Returns whether each of them is complete.

        Waits at most ``timeout_seconds`` for room on a full disk. If several workers shared the
        job, the feeds are written only now, when the order of their items is final. If each
        worker writes a part of its own, the parts of workers that have died are completed too.
        """
        if self._part:
            self._complete_parts_of_dead_workers(await self._parts_left())
        elif self._run.session.sharing.shared:
            await self._source.look_up_last()
            self._begin_following(self._run.session.feeds)
        return await self._deliver(timeout_seconds)

    async def _parts_left(self) -> list[FeedNote]:
        """Wait until every other run has ended, then look which parts are not delivered.

        A run that leaves the job delivers its own part: two that write one file would spoil it. It
        ends, or is dead and is ended, within RESUME_CLOSE_TIMEOUT and RESUME_ORPHAN_TIMEOUT.
        """
        while (notes := await self._source.feeds_left()) is None:
            await pause(self._run.parts.clock, LEAVING_POLL_SECONDS)
        return notes

    async def leave(self, timeout_seconds: float) -> bool:
        """Leave the job while other workers go on with it: deliver this run's own parts only.
        The last worker delivers the feeds. Returns whether the parts are complete."""
        return await self._deliver(timeout_seconds)

    async def _deliver(self, timeout_seconds: float) -> bool:
        for context in self._contexts:
            context.deadline = time.monotonic() + timeout_seconds
        self._source.end()
        for feed in self._following:
            await maybe_deferred_to_future(feed)
        self._close_contexts()
        await self.crawler.signals.send_catch_log_async(signals.feed_exporter_closed)
        return not self.undelivered()

    def knows(self, name: str) -> bool:
        """See ``Feeds``. The parts of other runs are those of the same feeds."""
        runs = range(self._run.session.run + 1 if self._part else 1)
        return any(part_name(one, run) == name for one in self.feeds for run in runs)

    def undelivered(self) -> dict[str, Exception | None]:
        """The feeds that are not delivered, and why; see ``Feeds``."""
        owed = {feed.name: feed.error for feed in self._followers if not feed.delivered}
        return {**self._unopened, **owed}

    def _close_contexts(self) -> None:
        for context in self._contexts:
            context.close()

    def abandon(self) -> None:
        """Write nothing more, because the run ends at once."""
        for context in self._contexts:
            context.abandoned = True
        self._source.end()
        self._close_contexts()

    def save_without_notes(self) -> None:
        """Save records that need no ownership notes: the job is about to be completed."""
        for feed in self._followers:
            feed.file.save_without_note()
        if not self._part:
            run, known = self._run, self._context.written()
            owner = _owner(run.session.job, run.session.created_at)
            gone = [note for note in run.session.feeds if note.feed not in self.feeds]
            self._left = list(left_files(gone, owner, self._context.place, known))
        for left in self._left:
            self._context.save_left(left.feed, left.record)

    def remove_notes(self) -> None:
        """Remove the ownership notes, after the store has committed the records of
        ``save_without_notes``. (Those of parts were removed when the parts were delivered.)"""
        for feed in self._followers:
            if not feed.file.record.run:
                feed.file.remove_note()
        for left in self._left:
            left.note_file.remove()

    # ---- Scrapy's slots

    def _new_uri(self, template: str, part: int, slot: FeedSlot | None) -> str:
        params = self.uri_parameters(self.feeds[template], slot)
        uri: str = _fill_uri(part_name(template, part), params)
        return uri

    def _new_slot(self, template: str, record: FeedRecord) -> FeedSlot:
        uri = record.path or record.uri
        options = self.feeds[template]
        slot = self.open_slot(template, options, record.batch, uri)
        if template in self._filtering:
            # Scrapy has made one filter for each feed. It has seen items that this file will be
            # offered again.
            slot.filter = self.new_filter(options)
        self._filtering.add(template)
        return slot

    def _item_failed(self, uri: str) -> None:
        """Log an item that a filter or an exporter has failed on; the traceback shows which."""
        logger.error("Feed %s: an item cannot be exported", uri, exc_info=True)
        self._count("resume/feeds/items_failed")

    async def _slot_ended(self, slot: FeedSlot, error: Exception | None) -> None:
        kind = type(slot.storage).__name__
        what = f"{slot.format} feed ({slot.itemcount} items) in: {slot.uri}"
        outcome = "success" if error is None else "failed"
        extra = {"spider": self.crawler.spider}
        if error is None:
            scrapy_logger.info("Stored %s", what, extra=extra)
        else:
            scrapy_logger.error("Error storing %s", what, exc_info=error, extra=extra)
        self._count(f"feedexport/{outcome}_count/{kind}")
        await self.crawler.signals.send_catch_log_async(signals.feed_slot_closed, slot=slot)


def _owner(job: JobKey, created_at: float) -> str:
    name = str(job).encode("utf-8", "backslashreplace").decode()
    return f"{name} of {created_at!r}"


def has_parts(run: CrawlRun) -> bool:
    """Whether each worker of the job writes a part of the feeds of its own."""
    return run.session.sharing.shared and run.settings.feeds == "parts"


def part_name(template: str, part: int) -> str:
    """The URI of a part, with its parameters unfilled: ``items.part-3.jsonl`` for run 3.

    Standard output keeps its URI: its parts need no names.
    """
    if not part or template.startswith("stdout:"):
        return template
    folder, slash, name = template.rpartition("/")
    stem, dot, suffix = name[1:].partition(".")
    return f"{folder}{slash}{name[:1]}{stem}.part-{part}{dot}{suffix}"


def _by_feed(notes: Iterable[FeedNote]) -> dict[str, list[FeedRecord]]:
    records: dict[str, list[FeedRecord]] = {}
    for note in notes:
        if is_of_database(note):
            continue
        records.setdefault(note.feed, []).append(decode_record(note.record))
    return records


def _digest(options: dict[str, Any]) -> str:
    relevant = sorted((name, options[name]) for name in options.keys() - BESIDE_CONTENT)
    text = json.dumps(relevant, default=_named)
    return digest(text.encode()).hex()


def _named(value: Any) -> str:
    """The import path of a class or function, ``repr`` of anything else."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name is not None else repr(value)
