"""One batch, applied within a transaction: the order of the steps is the contract's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from scrapy_resume.model import Kind, State
from scrapy_resume.store.contract import Batch, Continuation, Wish
from scrapy_resume.store.transaction.arrivals import Arrivals, Occurrences, Transaction
from scrapy_resume.store.transaction.counters import Names, Tally
from scrapy_resume.store.transaction.finishes import Finishes
from scrapy_resume.store.transaction.tables import Tables

DUE_AT_ONCE: Final = 10_000


class BatchWriter:
    """Applies the batches of one run. Keeps nothing that grows with the crawl."""

    def __init__(self, run: int, tables: Tables) -> None:
        self._run = run
        self._tables = tables
        self._slots = Names(tables.find_slots, tables.add_slots)
        self._units = Names(tables.find_units, tables.add_units)
        self._occurrences = Occurrences()
        self._counted: Mapping[bytes, int] = {}

    def apply(self, batch: Batch, tally: Tally, now: float) -> Transaction:
        """Everything of a batch but the counters, within the transaction at hand."""
        transaction = Transaction(
            tables=self._tables,
            run=self._run,
            now=now,
            tally=tally,
            slots=self._slots,
            units=self._units,
        )
        tables = self._tables
        transaction.hold(_named(batch))
        arrivals = Arrivals(transaction, self._occurrences)
        arrivals.apply(batch.arrivals, batch.finishes)
        finishes = Finishes(transaction, arrivals)
        finishes.spill(batch.spills)
        finishes.apply(batch.finishes)
        finishes.release(batch.releases)
        arrivals.write_met()
        if batch.state.spider_state is not None or batch.state.cookies:
            tables.keep_state(batch.state)
        if batch.feeds:
            tables.keep_feeds(batch.feeds)
        if batch.hosts:
            tables.keep_hosts(batch.hosts)
        if tally.delayed:
            end_delays(tables, tally, now)
        _grant(transaction, batch.leasing.wishes)
        if batch.leasing.suspect_wish:
            _grant_suspect(transaction)
        _report(transaction)
        self._counted = arrivals.counts
        return transaction

    def keep(self) -> None:
        """The transaction was kept."""
        self._slots.keep()
        self._units.keep()
        self._occurrences.keep(self._counted)

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._slots.forget()
        self._units.forget()


def _named(batch: Batch) -> list[int]:
    """The rows that a batch may take out of their lease."""
    ids = [arrival.id for arrival in batch.arrivals if isinstance(arrival, Continuation)]
    ids += [finish.id for finish in batch.finishes if finish.tombstone is None]
    ids += [release.id for release in batch.releases]
    return ids


def end_delays(tables: Tables, tally: Tally, now: float) -> None:
    """Rows whose time has come can be leased from here on; very many come over several calls."""
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
    committed.next_due = tables.leases.next_due() if tally.delayed else 0.0
    committed.items.given = transaction.items_taken
    committed.items.superseded = tally.superseded
