"""Requests that arrive at the scheduler: whose they are, whether they are new, where they go.

An ordinary request is known by its fingerprint. One with ``dont_filter`` is known by its
parent, its fingerprint and its occurrence among the parent's equal ones: so it runs as often
as plain Scrapy would run it, and a replay of the parent does not add it again. Those of
``start()`` are counted by the store, so that no list of them grows in memory.

A request that cannot be written down runs from memory; its anchor, the nearest row that is
recorded, stays open until it is whole (see docs/lineage.md).
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from scrapy.signals import request_dropped
from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapy_resume.errors import NotRecordableError
from scrapy_resume.frontier.delta import given_key, may_be_skipped
from scrapy_resume.frontier.dupefilter import DupeFilter
from scrapy_resume.frontier.fingerprints import fingerprints
from scrapy_resume.frontier.retries import retries_of
from scrapy_resume.frontier.row import (
    Row,
    admission_of,
    admitted_row,
    place_of,
    rank_of,
    storable_priority,
    unit_of,
)
from scrapy_resume.model import (
    NO_PARENT,
    START,
    Kind,
    State,
    digest,
    occurrence_identity,
    ordinary_identity,
    skipped_identity,
)
from scrapy_resume.store.contract import Admission, Continuation
from scrapy_resume.tracking.memory_only import MemoryOnlyLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.crawler import Crawler

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.retries import Backoff
    from scrapy_resume.settings.queue_order import QueueOrder
    from scrapy_resume.store.contract import Session

logger = logging.getLogger("scrapy_resume")

EVERY_RUN_KEY: Final = "resume_every_run"


class Admissions:
    """Turns requests into admissions, continuations, or rows that live in memory."""

    def __init__(
        self,
        crawler: Crawler,
        session: Session,
        codec: Codec,
        order: QueueOrder,
        frontier: LeaseBuffer,
        dispatcher: Dispatcher,
        committer: Committer,
        duplicate_log: Callable[[Request], None],
        backoff: Backoff,
    ) -> None:
        self._crawler = crawler
        self._began = session.began
        self._delta = session.delta
        self._codec = codec
        self._order = order
        self._frontier = frontier
        self._dispatcher = dispatcher
        dispatcher.page_of = self._page_of
        self._committer = committer
        self._log_duplicate = duplicate_log
        self._backoff = backoff
        assert crawler.request_fingerprinter is not None
        self._fingerprint = fingerprints(crawler.request_fingerprinter)
        self._next_id = session.ids.first
        self._id_step = session.ids.step
        self.dupefilter = DupeFilter(session.run)
        assert crawler.stats is not None
        self._stats = crawler.stats
        self._unrecorded = MemoryOnlyLog(crawler.stats)
        self.expected = dispatcher.expected
        """Arrivals that the store has not answered yet, by id."""
        self.expected_rows: dict[int, Row] = {}
        """Of those, the ones that are rows already: from memory, or continued."""
        self.item_waiters: dict[int, Deferred[bool]] = {}
        """Questions about items of ``start()``, by id: is it new?"""
        self.start = Row(START, digest(b"start"), recorded=True, parent=NO_PARENT)
        self.get_slot_key: Callable[[Request], str] = lambda _: ""

    def new_id(self) -> int:
        """An id that no row has had."""
        taken = self._next_id
        self._next_id += self._id_step
        self._committer.batch.next_id = self._next_id
        return taken

    def go_on_from(self, next_id: int) -> None:
        """Choose ids that are not below that one: other workers have come so far."""
        behind = next_id - self._next_id
        if behind > 0:
            self._next_id += -(-behind // self._id_step) * self._id_step

    def arrive(self, request: Request, parent: Row | None) -> bool:
        """Admit a request that ``parent`` yielded (``None``: nobody known).

        Returns False if it is known to be a duplicate. (Some are found later, by the store.)
        """
        meta = request.meta
        every_run = bool(meta.get(EVERY_RUN_KEY))
        fingerprint = self._fingerprint(request)
        ordinary = self._order.dedupe and not request.dont_filter
        skippable = self._delta and not every_run and may_be_skipped(request, parent)
        identity = b""
        if ordinary:
            identity = ordinary_identity(fingerprint)
            if every_run:
                identity = self.dupefilter.in_this_run(identity)
            if self.dupefilter.has(identity, skippable):
                self._log_duplicate(request)
                return False
        try:
            payload = self._codec.encode_request(request)
        except NotRecordableError as error:
            self._run_from_memory(request, parent, fingerprint, identity, error, skippable)
            return True
        if ordinary:
            # If it is skipped, the same one is new when it may not be.
            self.dupefilter.arrived(skipped_identity(identity) if skippable else identity)
        counted = False
        if not ordinary:
            identity, counted = self.dupefilter.of_unfiltered(parent, fingerprint, every_run)
        key = None if every_run else given_key(request, fingerprint, identity)
        self._admit(request, parent, identity, payload, counted, key, skippable)
        return True

    def _page_of(self, identity: bytes, request: Request) -> bytes | None:
        """What an ordinary request for the same is known by; ``None``: this one is not ordinary.

        ``identity`` is that of its row.
        """
        if not self._order.dedupe:
            return None
        page = ordinary_identity(self._fingerprint(request))
        # A retry has dont_filter too. (What a retry redirects to may be fetched once more.)
        return page if page == identity or not request.dont_filter else None

    def row_of(self, admission: Admission, request: Request) -> Row:
        """The row of an admission that the store has taken and this run keeps."""
        row = admitted_row(admission, request)
        row.lasting_key = self.dupefilter.lasting_key(row.identity)
        return row

    def _admit(
        self,
        request: Request,
        parent: Row | None,
        identity: bytes,
        payload: str,
        counted: bool,
        key: bytes | None,
        skippable: bool,
    ) -> None:
        row_id = self.new_id()
        meta = request.meta
        slot = self._frontier.queue_key(self.get_slot_key(request))
        _, start, seq = place_of(self._order, request, row_id)
        every_run = bool(meta.get(EVERY_RUN_KEY))
        if every_run:
            self._frontier.expect_every_run(row_id)
        self._frontier.expect(slot)
        self.expected[row_id] = request
        self._committer.note().arrivals.append(
            Admission(
                id=row_id,
                identity=identity,
                parent=parent.id if parent is not None else NO_PARENT,
                url=request.url,
                payload=payload,
                slot=slot,
                priority=storable_priority(request),
                start=start,
                seq=seq,
                unit=unit_of(request, parent, row_id),
                depth=meta.get("depth", 0),
                lease=every_run,
                counted=counted,
                every_run=every_run,
                not_before=0.0 if every_run else self._backoff.not_before(request, parent),
                given_key=key,
                may_be_skipped=skippable,
            )
        )

    def _run_from_memory(
        self,
        request: Request,
        parent: Row | None,
        fingerprint: bytes,
        identity: bytes,
        error: NotRecordableError,
        skippable: bool,
    ) -> None:
        """``identity`` is empty for a request that duplicates are not filtered from."""
        row_id = self.new_id()
        self._unrecorded.tell(request, parent, error)
        row = Row(row_id, identity, recorded=False)
        row.lasting_key = self.dupefilter.lasting_key(identity)
        if identity:
            self.dupefilter.keep(row, identity)
        elif parent is None:
            row.identity = os.urandom(20)
        else:
            row.identity = occurrence_identity(*parent.next_occurrence(fingerprint, b"memory"))
        row.given_key = given_key(request, fingerprint, row.identity)
        row.may_be_skipped = skippable
        row.not_before = self._backoff.not_before(request, parent)
        row.parent = parent.id if parent is not None else NO_PARENT
        row.unit = unit_of(request, parent, row_id)
        row.every_run = bool(request.meta.get(EVERY_RUN_KEY))
        if row.every_run:
            self._frontier.expect_every_run(row_id)
        if parent is not None and not parent.ended:
            row.anchor = parent
            parent.open_below += 1
        self._place(row, request)
        self._ask(row, request, row.identity)

    def _place(self, row: Row, request: Request) -> None:
        row.request = request
        row.url = request.url
        row.slot = self._frontier.queue_key(self.get_slot_key(request))
        row.priority = storable_priority(request)
        row.depth = request.meta.get("depth", 0)
        _, start, seq = place_of(self._order, request, row.id)
        row.rank = rank_of(row.priority, start, seq, row.every_run)

    def _ask(self, row: Row, request: Request, identity: bytes) -> None:
        """Ask the store whether an identity is known, without adding it."""
        asked = row.id if row.id not in self.expected else self.new_id()
        self._frontier.expect(row.slot)
        self.expected[asked] = request
        self.expected_rows[asked] = row
        self._committer.note().arrivals.append(admission_of(row, asked, identity, record=False))

    def start_item(self, item: Any) -> Row:
        """The row of an item that ``start()`` yielded. Raises ``ItemNotRecordableError``."""
        content = self._codec.encode_item(item).encode("utf-8", "surrogatepass")
        row = Row(self.new_id(), digest(b"start item", content), recorded=False, parent=START)
        row.kind = Kind.start_item
        return row

    def orphan_item(self) -> Row:
        """The row of an item that nothing known has yielded."""
        row = Row(self.new_id(), os.urandom(20), recorded=False)
        row.kind = Kind.start_item
        return row

    async def is_new(self, row: Row) -> bool:
        """Whether no earlier run knows that item of ``start()``.

        In the run that began the job every one is new. Equal items are told apart by the
        store, which counts them.
        """
        if self._began:
            return True
        waiter: Deferred[bool] = Deferred()
        self.item_waiters[row.id] = waiter
        question = admission_of(row, row.id, row.identity, record=False)
        self._committer.note().arrivals.append(question)
        self._committer.hurry()
        return await maybe_deferred_to_future(waiter)

    def go_on(self, row: Row, request: Request) -> bool:
        """A row goes on as another request: a retry, a redirect.

        Returns False if that is a duplicate, which ends the row.
        """
        identity: bytes | None = None
        again, row.again = row.again is request, None
        if self._order.dedupe and not request.dont_filter and not again:
            identity = ordinary_identity(self._fingerprint(request))
            if self.dupefilter.has(identity):
                self._log_duplicate(request)
                row.forget_outcome()
                row.settle(State.ignored, "duplicate")
                return False
        row.not_before = self._backoff.not_before(request, row)
        failed = retries_of(request) > row.retry_times
        row.may_be_skipped = False
        row.forget_outcome()
        payload: str | None = None
        if row.recorded:
            try:
                payload = self._codec.encode_request(request)
            except NotRecordableError as error:
                self._unrecorded.tell(request, row, error)
        if payload is None:
            self._go_on_from_memory(row, request, identity)
            return True
        if identity is not None:
            self.dupefilter.arrived(identity)
        self._continue(row, request, payload, identity, failed)
        return True

    def _go_on_from_memory(self, row: Row, request: Request, identity: bytes | None) -> None:
        self._place(row, request)
        if identity is None:
            self._dispatcher.put(row)
            return
        self.dupefilter.keep(row, identity)
        self._ask(row, request, identity)

    def _continue(
        self, row: Row, request: Request, payload: str, identity: bytes | None, failed: bool
    ) -> None:
        order_id = self.new_id()
        slot = self._frontier.queue_key(self.get_slot_key(request))
        _, start, seq = place_of(self._order, request, order_id)
        pinned = row.every_run or row.open_below > 0 or row is self._dispatcher.alone
        self._frontier.expect(slot)
        asked_again = row.url == request.url
        row.url, row.slot, row.priority = request.url, slot, storable_priority(request)
        row.rank = rank_of(row.priority, start, seq, row.every_run)
        row.request = request
        self.expected[row.id] = request
        self.expected_rows[row.id] = row
        self._committer.note().arrivals.append(
            Continuation(
                id=row.id,
                url=request.url,
                payload=payload,
                slot=slot,
                priority=row.priority,
                start=start,
                seq=seq,
                attempts=row.attempts,
                identity=identity,
                lease=pinned,
                not_before=row.not_before,
                failed=failed,
                again=asked_again,
            )
        )

    def found_duplicate(self, arrival: Admission | Continuation, request: Request) -> None:
        """The store knew a request that the engine believed to be scheduled."""
        if isinstance(arrival, Admission):
            self._frontier.drop_every_run(arrival.id)
            if arrival.parent == START:
                self._stats.inc_value("resume/start/known")
        if not request.dont_filter:
            self._log_duplicate(request)
            self._tell_dropped(request)

    def skipped(self, request: Request, row: Row | None) -> None:
        """An earlier number has what a new request would give; ``row``: it runs from memory."""
        logger.debug("Skipped, as an earlier crawl has its items: %s", request)
        self._stats.inc_value("resume/delta/skipped")
        self._tell_dropped(request)
        if row is not None:
            self.dupefilter.drop(row)
            row.identity = skipped_identity(row.identity)
            row.request = None
            row.settle(State.ignored, "delta")

    def _tell_dropped(self, request: Request) -> None:
        self._crawler.signals.send_catch_log(
            request_dropped, request=request, spider=self._crawler.spider
        )
