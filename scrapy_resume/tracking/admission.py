"""Admits the requests that reach the scheduler: identifies, deduplicates, serializes, places them.

The identity of an ordinary request is its fingerprint. That of a request with ``dont_filter`` is
derived from its parent, its fingerprint, its callback and errback, its ``cb_kwargs`` and the user's
own ``meta`` (see ``codec.distinction``), and its number among the parent's requests that are equal
in all of these. So it runs as often as in plain Scrapy, a replay of the parent does not add it
again, and the order in which the parent yields it does not matter. ``meta["resume_key"]`` stands in
for all that is the request's own. Equal requests of ``start()`` are counted by the store, so that
no list of them grows in memory.

A request that cannot be serialized runs from memory. Its anchor, the nearest recorded row above
it, stays open until the request and all unrecorded requests below it are finished (see
docs/lineage.md).
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import NotRecordableError
from scrapy_resume.frontier.delta import given_key, may_be_skipped, own_key
from scrapy_resume.frontier.every_run import belongs_to_every_run, form_of, is_for_every_run
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
    Kind,
    State,
    distinction_of,
    occurrence_identity,
    ordinary_identity,
    skipped_identity,
)
from scrapy_resume.store.contract import Admission, Continuation
from scrapy_resume.tracking.withheld import Arrival, Withheld, may_withhold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy import Request

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.dupefilter import DupeFilter
    from scrapy_resume.frontier.placement import Placement
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.tracking.arrival_log import ArrivalLog
    from scrapy_resume.tracking.row_ids import IdSequence
    from scrapy_resume.tracking.shared_objects import Planned
    from scrapy_resume.tracking.sharing import Sharing


SKIPPED: Final = "skipped"
"""The reason why a request is ignored that is skipped for good."""


class Admissions:
    """Turns requests into admissions, continuations, or rows that run from memory."""

    def __init__(
        self,
        ids: IdSequence,
        codec: Codec,
        dupefilter: DupeFilter,
        placement: Placement,
        dispatcher: Dispatcher,
        committer: Committer,
        log: ArrivalLog,
        sharing: Sharing,
        clock: Clock,
        *,
        delta: bool,
        delta_start: bool = False,
        only_retried: bool = False,
        extends: bool = False,
    ) -> None:
        # Nine parameters, and a clock: each arrival is processed by all of these, in this order.
        self._ids = ids
        self._codec = codec
        self.dupefilter = dupefilter
        self._placement = placement
        self._frontier = placement.frontier
        self._dispatcher = dispatcher
        self._committer = committer
        self.log = log
        self.start_list = log.start_list
        self.sharing = sharing
        self.withheld = Withheld(self, sharing, codec, committer, log, clock)
        self._delta = delta
        """The job skips requests that gave items in earlier numbers of the job."""
        self._may_be_skipped = partial(may_be_skipped, start=delta_start)
        self._only_retried = only_retried
        """The run fetches only what was retried, and what that leads to."""
        self._extends = extends
        """The store is asked about each request of ``start()``: known ones are fetched again."""
        self.expected = dispatcher.expected
        """By id: requests whose arrival the store has not answered yet."""
        self.expected_rows: dict[int, Row] = {}
        """By the same ids: rows of those that have one, since they run from memory or continue."""

    def admit(self, request: Request, parent: Row | None) -> bool:
        """Admit a request that ``parent`` yielded (``None``: unknown).

        Returns False if the request is known to be a duplicate. The store finds other duplicates
        later: see ``found_duplicate``.
        """
        form = belongs_to_every_run(request, parent)
        every_run = form or is_for_every_run(request)
        fingerprint = self.dupefilter.fingerprint(request)
        ordinary = self.dupefilter.filters(request)
        skippable = self._delta and not every_run and self._may_be_skipped(request, parent)
        identity, distinctions = b"", [b""]
        if ordinary:
            identity = ordinary_identity(fingerprint)
            if every_run:
                identity = self.dupefilter.in_this_run(identity)
            if self._is_duplicate(identity, parent, skippable=skippable):
                self.log.duplicate(request)
                return False
            if form:
                self._name_form(request, parent, identity)
        else:
            distinctions = [form_of(request)] if form else self._distinctions(request, fingerprint)
        arrival = Arrival(
            request, parent, fingerprint, identity, distinctions, every_run, skippable
        )
        if (
            parent is not None
            and not every_run
            and may_withhold(parent)
            and self._codec.shared.may_share(request)
        ):
            if identity:
                self.dupefilter.add(skipped_identity(identity) if skippable else identity)
            self.withheld.add(arrival, parent)
            return True
        try:
            payload = self._codec.encode_request(request)
        except NotRecordableError as error:
            self.log.memory_only(request, parent, error)
            self.run_from_memory(arrival)
        else:
            self.record(arrival, payload)
        return True

    def _distinctions(self, request: Request, fingerprint: bytes) -> list[bytes]:
        """See ``model.distinction_of``. The first one is the request's, by the others it may be
        known too."""
        own = own_key(request)
        if own is not None:
            return [own]
        return [distinction_of(fingerprint, text) for text in self._codec.telling_texts(request)]

    def _name_form(self, request: Request, parent: Row | None, identity: bytes) -> None:
        """Give a form that every run sends a key that does not depend on what is in it."""
        assert parent is not None
        base, occurrence = parent.next_occurrence(form_of(request), b"every run")
        self.dupefilter.set_lasting_key(identity, occurrence_identity(base, occurrence))

    def _is_duplicate(self, identity: bytes, parent: Row | None, *, skippable: bool) -> bool:
        if self._extends and parent is not None and parent.id == START:
            return self.dupefilter.holds(identity)
        return self.dupefilter.has(identity, skippable=skippable)

    def restore(self, row: Row) -> Request:
        """Deserialize the request of a row that was leased. Raises what the codec raises."""
        request = self._codec.decode_request(row.url, row.payload, row.priority)
        self.sharing.attach(row, request)
        return request

    def row_of(self, admission: Admission, request: Request) -> Row:
        """The row of an admission that the store has accepted and this run keeps leased."""
        row = admitted_row(admission, request)
        row.lasting_key = self.dupefilter.lasting_key(row.identity)
        return row

    def record(self, arrival: Arrival, payload: str) -> int:
        """Add an arrival to the batch. It becomes a row when the store has accepted it. Returns its
        id."""
        request, parent, fingerprint, identity, distinctions, every_run, skippable = arrival
        known_here, counted = identity, False
        others: list[bytes] = []
        if not identity:
            (identity, *others), counted = self.dupefilter.of_unfiltered(
                parent, distinctions, every_run=every_run
            )
        row_id = self._ids.new()
        slot = self._placement.slot_of(request)
        _, start, seq = self._placement.rank_of(request, row_id)
        # Values of ``meta`` may raise here. The request counts as known only after that.
        admission = Admission(
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
            depth=request.meta.get("depth", 0),
            lease=every_run,
            counted=counted,
            others=others,
            every_run=every_run,
            not_before=0.0 if every_run else self._placement.not_before(request, parent),
            given_key=None if every_run else given_key(request, fingerprint, identity),
            may_be_skipped=skippable,
            retried=self._only_retried and _is_led_to(parent),
        )
        if known_here:
            # If the store skips it, a later one for the same page that must not be skipped is new.
            self.dupefilter.add(skipped_identity(known_here) if skippable else known_here)
        if every_run:
            self._frontier.every_run.arrived(row_id)
        if counted and distinctions[0] != fingerprint and own_key(request) is None:
            self.start_list.expect(row_id, request.url, payload)
        self._frontier.expect(slot)
        self.expected[row_id] = request
        self._committer.begin_entry().arrivals.append(admission)
        return row_id

    def run_from_memory(self, arrival: Arrival, plan: Planned | None = None) -> None:
        """Create the row of an arrival that cannot be serialized, or that shares something with
        such a one (``plan``)."""
        request, parent, fingerprint, identity, distinctions, every_run, skippable = arrival
        others: list[bytes] = []
        row_id = self._ids.new()
        row = Row(row_id, identity, recorded=False)
        row.lasting_key = self.dupefilter.lasting_key(identity)
        if identity:
            self.dupefilter.reserve(row, identity)
        elif parent is None:
            row.identity = os.urandom(20)
        else:
            # What a request shares may differ in a replay, its identity must not.
            namespace = b"memory" if plan is None or not plan.objects else b""
            row.identity, *others = [
                occurrence_identity(*parent.next_occurrence(distinction, namespace))
                for distinction in distinctions
            ]
        row.given_key = given_key(request, fingerprint, row.identity)
        row.may_be_skipped = skippable
        row.not_before = self._placement.not_before(request, parent)
        row.parent = parent.id if parent is not None else NO_PARENT
        row.unit = unit_of(request, parent, row_id)
        row.every_run = every_run
        if every_run:
            self._frontier.every_run.arrived(row_id)
        group = None
        if plan is not None and parent is not None:
            self.sharing.runs_from_memory(row, plan, parent)
            group = plan.group
        # A group ends as a whole, its members that run from memory included.
        if parent is not None and not parent.ended and group is None:
            row.anchor = parent
            parent.open_below += 1
        self._place(row, request)
        self._ask(row, request, row.identity, others)

    def _place(self, row: Row, request: Request) -> None:
        row.request = request
        row.url = request.url
        row.slot = self._placement.slot_of(request)
        row.priority = storable_priority(request)
        row.depth = request.meta.get("depth", 0)
        _, start, seq = self._placement.rank_of(request, row.id)
        row.rank = rank_of(row.priority, start, seq, every_run=row.every_run)

    def _ask(
        self, row: Row, request: Request, identity: bytes, others: Sequence[bytes] = ()
    ) -> None:
        """Ask the store whether an identity is known, without adding the row."""
        asked = row.id if row.id not in self.expected else self._ids.new()
        self._frontier.expect(row.slot)
        self.expected[asked] = request
        self.expected_rows[asked] = row
        question = admission_of(row, asked, identity, record=False)
        question.others = others
        self._committer.begin_entry().arrivals.append(question)

    def continue_row(self, row: Row, request: Request) -> bool:
        """A row continues as another request: a retry, a redirect.

        Returns False if that is a duplicate. The row's outcome is then ``ignored``.
        """
        identity: bytes | None = None
        is_repeat, row.repeat = row.repeat is request, None
        if self.dupefilter.filters(request) and not is_repeat:
            identity = ordinary_identity(self.dupefilter.fingerprint(request))
            known = self.dupefilter.has(identity)
            if row.every_run:
                identity = self.dupefilter.redirected_in_this_run(identity)
            if known or self.dupefilter.has(identity):
                self.log.duplicate(request)
                row.reset_outcome()
                row.set_outcome(State.ignored, "duplicate")
                return False
        row.not_before = self._placement.not_before(request, row)
        if row.not_before:
            self._dispatcher.retry_waits(row)
        failed = retries_of(request) > row.retry_times
        row.may_be_skipped = False
        row.reset_outcome()
        payload: str | None = None
        if row.recorded:
            refs = self.sharing.refs_again(row, request)
            try:
                payload = self._codec.encode_request(request, refs) if refs is not None else None
            except NotRecordableError as error:
                self.log.memory_only(request, row, error)
        if payload is None:
            self._continue_from_memory(row, request, identity)
            return True
        if identity is not None:
            self.dupefilter.add(identity)
        self._record_continuation(row, request, payload, identity=identity, failed=failed)
        return True

    def _continue_from_memory(self, row: Row, request: Request, identity: bytes | None) -> None:
        self._place(row, request)
        if identity is None:
            self._dispatcher.enqueue(row)
            return
        self.dupefilter.reserve(row, identity)
        self._ask(row, request, identity)

    def _record_continuation(
        self, row: Row, request: Request, payload: str, *, identity: bytes | None, failed: bool
    ) -> None:
        """Add a continuation to the batch. ``identity``: to be deduplicated by; ``None``: not at
        all. ``failed``: the attempt before it has failed."""
        order_id = self._ids.new()
        slot = self._placement.slot_of(request)
        _, start, seq = self._placement.rank_of(request, order_id)
        pinned = row.every_run or row.open_below > 0 or row is self._dispatcher.alone
        self._frontier.expect(slot)
        same_url = row.url == request.url
        row.url, row.slot, row.priority = request.url, slot, storable_priority(request)
        row.rank = rank_of(row.priority, start, seq, every_run=row.every_run)
        row.request = request
        self.expected[row.id] = request
        self.expected_rows[row.id] = row
        self._committer.begin_entry().arrivals.append(
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
                again=same_url,
            )
        )

    def found_duplicate(self, arrival: Admission | Continuation, request: Request) -> None:
        """The store has found a duplicate, which the engine believes to be scheduled."""
        if isinstance(arrival, Admission):
            self._frontier.every_run.ended(arrival.id)
            if arrival.parent == START:
                self.log.known_start()
        if not request.dont_filter:
            self.log.late_duplicate(request)

    def skipped_for_good(self, request: Request, row: Row | None) -> None:
        """A request is skipped for good; the parameters are as in ``skipped``."""
        self.log.skipped_for_good(request)
        if row is not None:
            row.request = None
            row.set_outcome(State.ignored, SKIPPED)

    def skipped(self, request: Request, row: Row | None) -> None:
        """The store has skipped a request, since an earlier number of the job has its items.

        ``row``: the row of a request that runs from memory; ``None``: it is recorded.
        """
        self.log.skipped(request)
        if row is not None:
            self.dupefilter.cancel_reservations(row)
            row.identity = skipped_identity(row.identity)
            row.request = None
            row.set_outcome(State.ignored, "delta")


def _is_led_to(parent: Row | None) -> bool:
    """Whether a retried request has led to what a row yields, in a run that fetches no others."""
    return not (
        parent is None or parent.id == START or parent.kind is Kind.start_item or parent.every_run
    )
