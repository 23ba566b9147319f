"""Completes a batch before it is sent, and applies the store's answer to the rows of the run.

The committer sends one batch at a time, so no other batch is in flight between ``complete`` and
``answered``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from scrapy_resume.frontier.row import leased_row
from scrapy_resume.model import State
from scrapy_resume.store.contract import Admission, Continuation, Release
from scrapy_resume.tracking.admission import SKIPPED

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.workers import Workers
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.politeness.host_breaker import HostBreakers
    from scrapy_resume.steps.fleet_fetches import FleetDownload
    from scrapy_resume.store.contract import Batch, Committed
    from scrapy_resume.tracking.row_ids import IdSequence
    from scrapy_resume.tracking.tracker import Tracker


class BatchSteps(Protocol):
    """The steps of items, as far as batches concern them."""

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to be sent."""

    def answered(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""


class BatchSync:
    """Synchronizes the rows of a run with the store."""

    def __init__(
        self,
        tracker: Tracker,
        frontier: LeaseBuffer,
        dispatcher: Dispatcher,
        workers: Workers,
        breakers: HostBreakers,
        ids: IdSequence,
        steps: BatchSteps,
        committer: Committer,
        fleet_fetches: FleetDownload | None = None,
    ) -> None:
        # All parts that a batch or its answer concerns.
        self._tracker = tracker
        self._admissions = tracker.admissions
        self._frontier = frontier
        self._dispatcher = dispatcher
        self._workers = workers
        self._breakers = breakers
        self._ids = ids
        self._steps = steps
        self._committer = committer
        self._fleet_fetches = fleet_fetches
        self.released_unsent = 0
        """Number of leased rows that went back to the store, so that other rows, or other workers,
        come first."""

    def release_blocked(self, batch: Batch) -> None:
        """Release the rows of hosts whose breaker is open with a batch that is about to be sent."""
        for row in self._frontier.take_blocked_rows():
            self._release(batch, row, self._breakers.put_off_until(row))

    def complete(self, batch: Batch) -> None:
        """Complete a batch that is about to be sent with progress, breakers and lease wishes."""
        batch.progress.pages = self._tracker.pages
        batch.hosts = self._breakers.take_changes()
        self._workers.choose_slots_to_give()
        self._frontier.look_for_room()
        arrived_before = self._dispatcher.arrived_before
        for row in self._frontier.lease_arrivals(batch.arrivals, arrived_before):
            self.released_unsent += 1
            self._release(batch, row)
        batch.leasing.wishes = self._frontier.wishes()
        batch.leasing.suspect_wish = self._dispatcher.wants_suspect()
        self._workers.complete(batch)
        self._steps.complete(batch)
        if self._fleet_fetches is not None:
            self._fleet_fetches.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed: settle its arrivals, and queue the rows that were leased."""
        self._frontier.begin_answer()
        self._workers.answered(batch, answer)
        self._breakers.restore(answer.sharing.hosts)
        touched = self._settle_arrivals(batch, answer)
        self._dispatcher.releasing -= len(batch.releases)
        self._tracker.counts = answer.counts
        self._tracker.delayed = answer.delayed
        self._dispatcher.delayed.set_next_due(_first(answer.next_due, answer.steps.next_due))
        self._dispatcher.suspects = answer.suspects
        for slot, count in answer.pending.items():
            self._frontier.set_pending(slot, count)
        if self._tracker.frozen:
            self._steps.answered(batch, answer)
            return
        for leased in answer.leased:
            self._frontier.push(leased_row(leased))
            touched.add(leased.slot)
        self._tracker.skipped_count = answer.skipped_count
        if answer.leased_skipped:
            self._drop_skipped(answer.leased_skipped)
        if answer.suspect is not None:
            self._dispatcher.run_alone(leased_row(answer.suspect))
        self._ids.advance_to(answer.sharing.next_id)
        for slot in touched:
            for row in self._frontier.overflow(slot):
                self.released_unsent += 1
                self._release(self._committer.begin_entry(), row)
        self._frontier.refill_empty_queues()
        if self._fleet_fetches is not None:
            self._fleet_fetches.answered(answer)
        self._steps.answered(batch, answer)
        ready = self._frontier.leased or self._dispatcher.alone is not None
        if ready or not self._tracker.has_pending():
            self._tracker.wake()
        elif self._frontier.needs_refill or self._dispatcher.wants_suspect():
            self._committer.send_soon()
        self._workers.poll_if_needed()

    def _drop_skipped(self, rows: set[int]) -> None:
        """End leased rows that were skipped for good since, unless they are sent already."""
        for row in self._frontier.take_rows(rows):
            row.request = None
            row.set_outcome(State.ignored, SKIPPED)
            self._tracker.finish(row)

    def _release(self, batch: Batch, row: Row, not_before: float = 0.0) -> None:
        self._dispatcher.releasing += 1
        batch.releases.append(Release(row.id, row.attempts, not_before))

    def _settle_arrivals(self, batch: Batch, answer: Committed) -> set[str]:
        """Settle arrivals as new, duplicate or skipped. Returns the slots that they belong to."""
        admissions = self._admissions
        start_list = admissions.start_list
        touched = set()
        for arrival in batch.arrivals:
            known = arrival.id in answer.duplicates
            skipped = arrival.id in answer.skipped
            for_good = arrival.id in answer.skipped_for_good
            request = admissions.expected.pop(arrival.id, None)
            row = admissions.expected_rows.pop(arrival.id, None)
            shared = admissions.sharing.settle(arrival.id)
            if (question := self._tracker.start.answers.pop(arrival.id, None)) is not None:
                question.set(not known)
                continue
            if start_list.expected:
                start_list.settle(arrival.id, known=known)
            self._frontier.settle(arrival.slot)
            if self._tracker.frozen:
                continue
            if known and not for_good and request is not None:
                if arrival.id in answer.renamed:
                    admissions.log.renamed(request)
                admissions.found_duplicate(arrival, request)
            if shared and (known or skipped or for_good):
                self._tracker.finish_together(admissions.sharing.leaves(shared))
            if for_good and isinstance(arrival, Continuation):
                if request is not None:
                    admissions.skipped_for_good(request, None)
            elif skipped or for_good:
                self._skip(request, row, for_good=for_good)
                touched.add(arrival.slot)
                continue
            if row is not None:
                self._settle_row(row, known=known, leased=arrival.lease)
            elif arrival.lease and not known:
                assert isinstance(arrival, Admission)
                assert request is not None
                leased_here = admissions.row_of(arrival, request)
                leased_here.shared = shared
                self._frontier.push(leased_here)
            touched.add(arrival.slot)
        return touched

    def _skip(self, request: Request | None, row: Row | None, *, for_good: bool) -> None:
        """An arrival is skipped: since an earlier job of a delta crawl has its items, or for good.
        ``row`` is that of an arrival that runs from memory; ``None``: it does not."""
        assert request is not None
        skipped = self._admissions.skipped_for_good if for_good else self._admissions.skipped
        skipped(request, row)
        if row is not None:
            self._tracker.finish(row)

    def _settle_row(self, row: Row, *, known: bool, leased: bool) -> None:
        """Settle a row that runs from memory, or whose request was continued by another one."""
        if not known:
            if leased:
                self._dispatcher.enqueue(row)
            else:
                row.ended = True
            return
        row.request = None
        if row.recorded and not row.memory_identities:
            # The store has ended the row.
            row.ended = True
            self._dispatcher.stop_waiting_for(row)
            self._leave_group(row)
            return
        row.set_outcome(State.ignored, "duplicate")
        self._drop_known(row)

    def _drop_known(self, row: Row) -> None:
        """End a row that runs from memory as a duplicate: the store has a request of that identity,
        or its tombstone."""
        if row.attempts:
            self._tracker.finish(row)
            return
        row.ended = True
        self._leave_group(row)
        self._admissions.dupefilter.ended(row)
        self._dispatcher.stop_waiting_for(row)
        if row.anchor is not None:
            anchor, row.anchor = row.anchor, None
            self._tracker.child_finished(anchor)

    def _leave_group(self, row: Row) -> None:
        """A row is no member of a group that shares something: it was known."""
        shared, row.shared = row.shared, ()
        self._tracker.finish_together(self._admissions.sharing.leaves(shared))


def _first(*moments: float) -> float:
    """The earliest of these times; 0: there is none."""
    return min((moment for moment in moments if moment), default=0.0)
