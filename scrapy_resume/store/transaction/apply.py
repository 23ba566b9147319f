"""Applies a batch within a transaction; the contract defines the order of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from scrapy_resume.model import Kind, State
from scrapy_resume.store.contract import Batch, Continuation, StartState, WaitLimits, Wish
from scrapy_resume.store.contract.waits import NO_LIMITS, bounded_host
from scrapy_resume.store.transaction.arrivals import Arrivals, Occurrences, Transaction
from scrapy_resume.store.transaction.counters import Names, Tally
from scrapy_resume.store.transaction.finishes import Finishes
from scrapy_resume.store.transaction.rounds import NO_ROUND, Round
from scrapy_resume.store.transaction.skips import Rules
from scrapy_resume.store.transaction.tables import Tables

DUE_AT_ONCE: Final = 10_000

BOUND_SECONDS: Final = 10.0
"""How often a run looks for stored delays that are longer than they may be."""


class BatchWriter:
    """Applies the batches of one run. Its memory does not grow with the crawl."""

    def __init__(
        self,
        run: int,
        tables: Tables,
        limits: WaitLimits = NO_LIMITS,
        start: StartState | None = None,
    ) -> None:
        self._run = run
        self._tables = tables
        self._limits = limits
        self._round = NO_ROUND if start is None else Round(start.round, start.round_from)
        self._bounded_at = 0.0
        self._slots = Names(tables.find_slots, tables.add_slots)
        self._units = Names(tables.find_units, tables.add_units)
        self._step_names = Names(tables.steps.find_kinds, tables.steps.add_kinds)
        self._occurrences = Occurrences()
        self._counted: Mapping[bytes, int] = {}

    def apply(
        self, batch: Batch, tally: Tally, now: float, skips: Rules | None = None
    ) -> Transaction:
        """Apply a batch, except for the counters, within the current transaction.

        ``skips``: what is skipped for good; ``None``: nothing is.
        """
        transaction = Transaction(
            tables=self._tables,
            run=self._run,
            now=now,
            tally=tally,
            slots=self._slots,
            units=self._units,
            round=self._round,
            skips=skips,
            drops_item_duplicates=batch.drops_item_duplicates,
            has_steps=_has_steps(batch, tally),
            step_names=self._step_names,
        )
        tables = self._tables
        transaction.hold(_named(batch))
        arrivals = Arrivals(transaction, self._occurrences)
        arrivals.apply(batch.arrivals, batch.finishes)
        finishes = Finishes(transaction, arrivals)
        finishes.spill(batch.spills)
        finishes.apply(batch.finishes)
        if transaction.has_steps:
            answer = transaction.committed.steps
            finishes.show(transaction.steps.change(batch.steps.changes, answer))
        finishes.write()
        finishes.release(batch.releases)
        if transaction.has_steps:
            _lease_steps(transaction, batch)
        arrivals.write_repeated()
        if batch.state.spider_state is not None or batch.state.cookies:
            tables.keep_state(batch.state)
        if batch.feeds:
            tables.keep_feeds(batch.feeds)
        if batch.hosts:
            tables.keep_hosts(batch.hosts)
        if tally.delayed:
            if batch.hosts or not 0.0 <= now - self._bounded_at < BOUND_SECONDS:
                self._bounded_at = now
                tables.leases.bound_delays(now + self._limits.retry_seconds)
            end_delays(tables, tally, now)
        _grant(transaction, batch.leasing.wishes)
        if batch.leasing.suspect_wish:
            _grant_suspect(transaction)
        _report(transaction)
        self._counted = arrivals.counts
        return transaction

    def committed(self) -> None:
        """The transaction was committed."""
        self._slots.committed()
        self._units.committed()
        self._step_names.committed()
        self._occurrences.remember(self._counted)

    def rolled_back(self) -> None:
        """The transaction was rolled back."""
        self._slots.rolled_back()
        self._units.rolled_back()
        self._step_names.rolled_back()


def _has_steps(batch: Batch, tally: Tally) -> bool:
    """Whether the job has items with steps, or may get some by this batch: those that were spilled
    before are not known here."""
    return (
        tally.has_steps
        or any(finish.spilled for finish in batch.finishes)
        or any(item.steps for finish in batch.finishes for item in finish.items)
        or any(item.steps for _, item in batch.spills)
    )


def _lease_steps(transaction: Transaction, batch: Batch) -> None:
    steps, answer = transaction.steps, transaction.committed.steps
    steps.release(batch.steps.releases)
    steps.lease(batch.steps.wishes, answer)
    if batch.steps.suspect_wish:
        steps.lease_suspect(answer)
    steps.settle(answer)


def _named(batch: Batch) -> list[int]:
    """The rows whose lease a batch may end."""
    ids = [arrival.id for arrival in batch.arrivals if isinstance(arrival, Continuation)]
    ids += [finish.id for finish in batch.finishes if finish.tombstone is None]
    ids += [release.id for release in batch.releases]
    return ids


def bound_waits(tables: Tables, limits: WaitLimits, now: float) -> None:
    """Have rows and hosts wait no longer than the limits allow from now on, whatever was stored."""
    notes = tables.waiting_hosts(now)
    bounded = [bounded_host(note, now, limits) for note in notes]
    changed = [note for note, before in zip(bounded, notes, strict=True) if note is not before]
    if changed:
        tables.keep_hosts(changed)
    tables.leases.bound_delays(now + limits.retry_seconds)


def end_delays(tables: Tables, tally: Tally, now: float) -> None:
    """Make rows that are due leasable, at most ``DUE_AT_ONCE`` in a call."""
    due = tables.leases.due(now, DUE_AT_ONCE)
    for row in due:
        tally.leave(State.pending, row.kind, row.slot, row.suspect, now)
        tally.enter(State.pending, row.kind, row.slot, row.suspect, 0)
    if due:
        tables.leases.end_delays([row.id for row in due])


def _grant(transaction: Transaction, wishes: Sequence[Wish]) -> None:
    if not wishes:
        return
    tally, committed = transaction.tally, transaction.committed
    known = transaction.slots.known({wish.slot for wish in wishes})
    for wish in wishes:
        if wish.slot in known:
            tally.slots.setdefault(known[wish.slot], 0)
        else:
            committed.pending[wish.slot] = 0
    granted = [(wish, known[wish.slot]) for wish in wishes if wish.slot in known]
    committed.leased = transaction.tables.leases.lease(granted, transaction.now)
    for row in committed.leased:
        tally.leave(State.pending, Kind.request, known[row.slot], 0, 0)
        tally.enter(State.leased, Kind.request, known[row.slot], 0, 0)


def _grant_suspect(transaction: Transaction) -> None:
    tally = transaction.tally
    row = transaction.tables.leases.lease_suspect(transaction.now)
    if row is None:
        return
    tally.leave(State.pending, Kind.request, 0, 1, 0)
    tally.enter(State.leased, Kind.request, 0, 1, 0)
    tally.alone_id = row.id
    transaction.committed.suspect = row


def _report(transaction: Transaction) -> None:
    tables, committed, tally = transaction.tables, transaction.committed, transaction.tally
    if tally.slots:
        committed.pending.update(tables.leases.pending(tally.slots))
    committed.suspects = tables.leases.count_suspects()
    committed.counts = tally.counts()
    committed.now = transaction.now
    committed.next_due = tables.leases.next_due() if tally.delayed else 0.0
    committed.delayed = tables.leases.count_delayed(tally.delayed) if tally.delayed else 0
    transaction.attempts = tables.units.attempts
    committed.items.given = transaction.items_taken
    committed.items.superseded = tally.superseded
