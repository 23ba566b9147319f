"""What goes out with a batch, and what the store's answer makes of it.

The outbox sends one batch at a time, so between ``complete`` and ``answered`` of a batch no other
one is on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy_resume.model import State
from scrapy_resume.rows import leased_row
from scrapy_resume.store.contract import Admission, Release

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request

    from scrapy_resume.fleet import Fleet
    from scrapy_resume.frontier import Frontier
    from scrapy_resume.handout import HandOut
    from scrapy_resume.hosts import Hosts
    from scrapy_resume.intake import Intake
    from scrapy_resume.ledger import Ledger
    from scrapy_resume.outbox import Outbox
    from scrapy_resume.rows import Row
    from scrapy_resume.store.contract import Batch, Committed


class Exchange:
    """The rows of a run, as they go to the store and come back from it."""

    def __init__(
        self,
        ledger: Ledger,
        frontier: Frontier,
        hand_out: HandOut,
        fleet: Fleet,
        hosts: Hosts,
        intake: Intake,
        outbox: Outbox,
        snapshot: Callable[[Batch], None],
    ) -> None:
        self._ledger = ledger
        self._frontier = frontier
        self._hand_out = hand_out
        self._fleet = fleet
        self._hosts = hosts
        self._intake = intake
        self._outbox = outbox
        self._snapshot = snapshot
        """Adds to a batch what has to be committed with a finish."""

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go what belongs to it."""
        for row in self._frontier.take_blocked_rows():
            self._release(batch, row, self._hosts.put_off_until(row))
        if batch.arrivals or batch.finishes or batch.releases:
            # What a callback yields may need the session that its response has just opened.
            self._snapshot(batch)
        batch.pages = self._ledger.pages
        batch.hosts = self._hosts.take_changes()
        self._fleet.make_way()
        self._frontier.choose(batch.arrivals, self._hand_out.arrived_before)
        batch.wishes = self._frontier.wishes()
        batch.suspect_wish = self._hand_out.wants_suspect()
        self._fleet.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept: what arrived is known to be new or not, what was wished is here."""
        self._fleet.answered(batch, answer)
        self._hosts.heard(answer.hosts)
        touched = self._settle_arrivals(batch, answer)
        self._hand_out.releasing -= len(batch.releases)
        self._ledger.counts = answer.counts
        self._hand_out.waiting.due(answer.next_due)
        self._hand_out.suspects = answer.suspects
        for slot, count in answer.pending.items():
            self._frontier.set_pending(slot, count)
        if self._ledger.frozen:
            return
        for leased in answer.leased:
            self._frontier.push(leased_row(leased))
            touched.add(leased.slot)
        if answer.suspect is not None:
            self._hand_out.take_alone(leased_row(answer.suspect))
        self._intake.go_on_from(answer.next_id)
        for slot in touched:
            for row in self._frontier.overflow(slot):
                self._release(self._outbox.note(), row)
        self._frontier.renew_hunger()
        ready = self._frontier.leased or self._hand_out.alone is not None
        if ready or not self._ledger.has_pending():
            self._ledger.wake()
        elif self._frontier.hungry or self._hand_out.wants_suspect():
            self._outbox.hurry()
        self._fleet.poll_if_needed()

    def _release(self, batch: Batch, row: Row, not_before: float = 0.0) -> None:
        self._hand_out.releasing += 1
        batch.releases.append(Release(row.id, row.attempts, not_before))

    def _settle_arrivals(self, batch: Batch, answer: Committed) -> set[str]:
        """Returns the slots that got rows."""
        intake = self._intake
        touched = set()
        for arrival in batch.arrivals:
            known = arrival.id in answer.duplicates
            skipped = arrival.id in answer.skipped
            request = intake.expected.pop(arrival.id, None)
            row = intake.expected_rows.pop(arrival.id, None)
            if (waiter := intake.item_waiters.pop(arrival.id, None)) is not None:
                waiter.callback(not known)
                continue
            self._frontier.settle(arrival.slot)
            if self._ledger.frozen:
                continue
            if known and request is not None:
                intake.found_duplicate(arrival, request)
            if skipped:
                self._skip(request, row)
            elif row is not None:
                self._settle_row(row, known, arrival.lease)
            elif arrival.lease and not known:
                assert isinstance(arrival, Admission)
                assert request is not None
                self._frontier.push(intake.row_of(arrival, request))
            touched.add(arrival.slot)
        return touched

    def _skip(self, request: Request | None, row: Row | None) -> None:
        """An earlier number has what an arrival would give; ``row``: it runs from memory."""
        assert request is not None
        self._intake.skipped(request, row)
        if row is not None:
            self._ledger.close(row)

    def _settle_row(self, row: Row, known: bool, leased: bool) -> None:
        """A row from memory, or one that goes on: is it a duplicate?"""
        if not known:
            if leased:
                self._hand_out.put(row)
            else:
                row.ended = True
            return
        row.request = None
        if row.recorded and not row.memory_identities:
            # The store has ended the row itself.
            row.ended = True
            self._hand_out.drop(row)
            return
        row.settle(State.ignored, "duplicate")
        self._drop_known(row)

    def _drop_known(self, row: Row) -> None:
        """A row in memory is known: its tombstone, or somebody else's request, is there."""
        if row.attempts:
            self._ledger.close(row)
            return
        row.ended = True
        self._intake.identities.ended(row)
        self._hand_out.drop(row)
        if row.anchor is not None:
            anchor, row.anchor = row.anchor, None
            self._ledger.close_below(anchor)
