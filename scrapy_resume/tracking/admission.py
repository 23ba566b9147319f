"""Requests that arrive at the scheduler: whose they are, whether they are new, where they go.

An ordinary request is known by its fingerprint. One with ``dont_filter`` is known by its
parent, its fingerprint and its occurrence among the parent's equal ones: so it runs as often
as plain Scrapy would run it, and a replay of the parent does not add it again. Those of
``start()`` are counted by the store, so that no list of them grows in memory.

A request that cannot be serialized runs from memory; its anchor, the nearest row that is
recorded, stays open until it is whole (see docs/lineage.md).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import NotRecordableError
from scrapy_resume.frontier.delta import given_key, may_be_skipped
from scrapy_resume.frontier.retries import retries_of
from scrapy_resume.frontier.row import (
    Row,
    admission_of,
    admitted_row,
    rank_of,
    storable_priority,
    unit_of,
)
from scrapy_resume.model import (
    NO_PARENT,
    START,
    State,
    occurrence_identity,
    ordinary_identity,
    skipped_identity,
)
from scrapy_resume.store.contract import Admission, Continuation

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.dupefilter import DupeFilter
    from scrapy_resume.frontier.placement import Placement
    from scrapy_resume.tracking.arrival_log import ArrivalLog
    from scrapy_resume.tracking.row_ids import IdSequence

EVERY_RUN_KEY: Final = "resume_every_run"


class Admissions:
    """Turns requests into admissions, continuations, or rows that live in memory."""

    def __init__(
        self,
        ids: IdSequence,
        codec: Codec,
        dupefilter: DupeFilter,
        placement: Placement,
        dispatcher: Dispatcher,
        committer: Committer,
        log: ArrivalLog,
        *,
        delta: bool,
    ) -> None:
        # Eight parameters: an arrival passes through all of these, in this order.
        self._ids = ids
        self._codec = codec
        self.dupefilter = dupefilter
        self._placement = placement
        self._frontier = placement.frontier
        self._dispatcher = dispatcher
        self._committer = committer
        self._log = log
        self._delta = delta
        """The job skips what gave items in earlier numbers."""
        self.expected = dispatcher.expected
        """Arrivals that the store has not answered yet, by id."""
        self.expected_rows: dict[int, Row] = {}
        """Of those, the ones that are rows already: from memory, or continued."""

    def arrive(self, request: Request, parent: Row | None) -> bool:
        """Admit a request that ``parent`` yielded (``None``: nobody known).

        Returns False if it is known to be a duplicate. (Some are found later, by the store.)
        """
        meta = request.meta
        every_run = bool(meta.get(EVERY_RUN_KEY))
        fingerprint = self.dupefilter.fingerprint(request)
        ordinary = self.dupefilter.filters(request)
        skippable = self._delta and not every_run and may_be_skipped(request, parent)
        identity = b""
        if ordinary:
            identity = ordinary_identity(fingerprint)
            if every_run:
                identity = self.dupefilter.in_this_run(identity)
            if self.dupefilter.has(identity, skippable):
                self._log.duplicate(request)
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

    def restore(self, row: Row) -> Request:
        """The request of a row that came from the store. Raises what the codec raises."""
        return self._codec.decode_request(row.url, row.payload, row.priority)

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
        row_id = self._ids.new()
        meta = request.meta
        slot = self._placement.slot_of(request)
        _, start, seq = self._placement.rank_of(request, row_id)
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
                not_before=0.0 if every_run else self._placement.not_before(request, parent),
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
        row_id = self._ids.new()
        self._log.memory_only(request, parent, error)
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
        row.not_before = self._placement.not_before(request, parent)
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
        row.slot = self._placement.slot_of(request)
        row.priority = storable_priority(request)
        row.depth = request.meta.get("depth", 0)
        _, start, seq = self._placement.rank_of(request, row.id)
        row.rank = rank_of(row.priority, start, seq, row.every_run)

    def _ask(self, row: Row, request: Request, identity: bytes) -> None:
        """Ask the store whether an identity is known, without adding it."""
        asked = row.id if row.id not in self.expected else self._ids.new()
        self._frontier.expect(row.slot)
        self.expected[asked] = request
        self.expected_rows[asked] = row
        self._committer.note().arrivals.append(admission_of(row, asked, identity, record=False))

    def go_on(self, row: Row, request: Request) -> bool:
        """A row goes on as another request: a retry, a redirect.

        Returns False if that is a duplicate, which ends the row.
        """
        identity: bytes | None = None
        again, row.again = row.again is request, None
        if self.dupefilter.filters(request) and not again:
            identity = ordinary_identity(self.dupefilter.fingerprint(request))
            if self.dupefilter.has(identity):
                self._log.duplicate(request)
                row.forget_outcome()
                row.settle(State.ignored, "duplicate")
                return False
        row.not_before = self._placement.not_before(request, row)
        failed = retries_of(request) > row.retry_times
        row.may_be_skipped = False
        row.forget_outcome()
        payload: str | None = None
        if row.recorded:
            try:
                payload = self._codec.encode_request(request)
            except NotRecordableError as error:
                self._log.memory_only(request, row, error)
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
        order_id = self._ids.new()
        slot = self._placement.slot_of(request)
        _, start, seq = self._placement.rank_of(request, order_id)
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
                self._log.known_start()
        if not request.dont_filter:
            self._log.late_duplicate(request)

    def skipped(self, request: Request, row: Row | None) -> None:
        """An earlier number has what a new request would give; ``row``: it runs from memory."""
        self._log.skipped(request)
        if row is not None:
            self.dupefilter.drop(row)
            row.identity = skipped_identity(row.identity)
            row.request = None
            row.settle(State.ignored, "delta")
