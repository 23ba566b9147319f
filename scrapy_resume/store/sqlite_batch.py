"""One batch, applied within a transaction: the order of the steps is the contract's."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Counts, Kind, State
from scrapy_resume.store.contract import Batch, Committed, Continuation, LeasedRow, Wish
from scrapy_resume.store.sqlite_arrivals import (
    COMMIT,
    Arrivals,
    Occurrences,
    Transaction,
    join_identity,
    storable,
)
from scrapy_resume.store.sqlite_finishes import Finishes
from scrapy_resume.store.sqlite_tally import Names, Tally

DUE_AT_ONCE: Final = 10_000


class JobRow(NamedTuple):
    """The columns of the statement ``job``."""

    epoch: int
    commits: int
    next_item: int
    alone_id: int
    pending: int
    leased: int
    done: int
    failed: int
    parked: int
    ignored: int
    delayed: int
    items_stored: int
    items_dropped: int
    items_failed: int
    superseded: int

    def tally(self) -> Tally:
        """The counters, to be changed."""
        counts = Counts(**{name: getattr(self, name) for name in Counts.__dataclass_fields__})
        return Tally(counts, self.next_item, self.alone_id, self.superseded)


class BatchWriter:
    """Applies the batches of one run. Keeps nothing that grows with the crawl."""

    def __init__(self, run: int) -> None:
        self._run = run
        self._slots = Names(COMMIT["find_slots"], COMMIT["add_slot"])
        self._units = Names(COMMIT["find_units"], COMMIT["add_unit"])
        self._occurrences = Occurrences()
        self._counted: Mapping[bytes, int] = {}

    def apply(self, connection: sqlite3.Connection, job: JobRow, batch: Batch) -> Committed:
        """Everything of a batch, within the transaction at hand."""
        transaction = Transaction(
            connection=connection,
            run=self._run,
            now=time.time(),
            tally=job.tally(),
            slots=self._slots,
            units=self._units,
        )
        transaction.hold(_named(batch))
        arrivals = Arrivals(transaction, self._occurrences)
        arrivals.apply(batch.arrivals, batch.finishes)
        finishes = Finishes(transaction, arrivals)
        finishes.spill(batch.spills)
        finishes.apply(batch.finishes)
        finishes.release(batch.releases)
        arrivals.write_met()
        _keep_state(connection, batch)
        _keep_feeds(connection, batch)
        _end_delays(transaction)
        _grant(transaction, batch.wishes)
        if batch.suspect_wish:
            _grant_suspect(transaction)
        _report(transaction)
        _keep_counters(transaction, batch)
        self._counted = arrivals.counts
        return transaction.committed

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
    ids += [row for row, _ in batch.releases]
    return ids


def _keep_state(connection: sqlite3.Connection, batch: Batch) -> None:
    if batch.spider_state is not None:
        connection.execute(COMMIT["keep_spider_state"], (batch.spider_state,))
    if batch.cookies:
        connection.executemany(
            COMMIT["keep_cookies"],
            [(storable(jar), payload) for jar, payload in batch.cookies.items()],
        )


def _keep_feeds(connection: sqlite3.Connection, batch: Batch) -> None:
    if batch.feeds:
        connection.executemany(
            COMMIT["keep_feed"],
            [
                (storable(feed), number, settled, record)
                for feed, number, record, settled in batch.feeds
            ],
        )


def _end_delays(transaction: Transaction) -> None:
    if transaction.tally.delayed:
        end_delays(transaction.connection, transaction.tally, transaction.now)


def end_delays(connection: sqlite3.Connection, tally: Tally, now: float) -> None:
    """Rows whose time has come can be leased from here on; very many come over several calls."""
    due = connection.execute(COMMIT["due_requests"], (now, DUE_AT_ONCE)).fetchall()
    for _, slot, suspect in due:
        tally.leave(State.pending, Kind.request, slot, suspect, now)
        tally.enter(State.pending, Kind.request, slot, suspect, 0)
    connection.executemany(COMMIT["end_delay"], [(row,) for row, _, _ in due])


def _grant(transaction: Transaction, wishes: Sequence[Wish]) -> None:
    connection, tally = transaction.connection, transaction.tally
    known = transaction.slots.known(connection, {wish.slot for wish in wishes})
    for key, count in ((wish.slot, wish.count) for wish in wishes):
        if key not in known:
            transaction.committed.pending[key] = 0
            continue
        slot = known[key]
        tally.slots.setdefault(slot, 0)
        rows = connection.execute(COMMIT["lease_requests"], (slot, max(count, 0))).fetchall()
        for columns in rows:
            tally.leave(State.pending, Kind.request, slot, 0, 0)
            tally.enter(State.leased, Kind.request, slot, 0, 0)
            transaction.committed.leased.append(_leased_row(columns, key))
        connection.executemany(COMMIT["take"], [(transaction.now, row[0]) for row in rows])


def _grant_suspect(transaction: Transaction) -> None:
    connection, tally = transaction.connection, transaction.tally
    columns = connection.execute(COMMIT["lease_suspect"]).fetchone()
    if columns is None:
        return
    row = _leased_row(columns[:-1], columns[-1])
    tally.leave(State.pending, Kind.request, 0, 1, 0)
    tally.enter(State.leased, Kind.request, 0, 1, 0)
    tally.alone_id = row.id
    connection.execute(COMMIT["take"], (transaction.now, row.id))
    transaction.committed.suspect = row


def _leased_row(columns: Sequence[Any], slot: str) -> LeasedRow:
    row, head, tail, parent, url, payload, priority, start, seq, unit, unit_name, *rest = columns
    attempts, crashes, items, every_run = rest
    return LeasedRow(
        id=row,
        identity=join_identity(head, tail),
        parent=parent,
        url=url,
        payload=payload,
        slot=slot,
        priority=priority,
        start=start,
        seq=seq,
        unit=unit if unit_name is None else unit_name,
        attempts=attempts,
        crashes=crashes,
        items=items,
        every_run=bool(every_run),
    )


def _report(transaction: Transaction) -> None:
    connection, committed = transaction.connection, transaction.committed
    for slot, change in transaction.tally.slots.items():
        if change:
            cursor = connection.execute(COMMIT["change_slot"], (change, slot))
        else:
            cursor = connection.execute(COMMIT["slot_pending"], (slot,))
        # fetchall, not fetchone: a RETURNING that is not read to its end keeps the statement open.
        ((key, pending),) = cursor.fetchall()
        committed.pending[key] = pending
    (committed.suspects,) = connection.execute(COMMIT["count_suspects"]).fetchone()
    committed.counts = transaction.tally.counts()
    committed.last_item = transaction.tally.next_item - 1
    committed.items_given = transaction.items_taken
    committed.superseded = transaction.tally.superseded


def _keep_counters(transaction: Transaction, batch: Batch) -> None:
    counts, tally = transaction.committed.counts, transaction.tally
    transaction.connection.execute(
        COMMIT["keep_job"],
        {
            **vars(counts),
            "next_id": batch.next_id,
            "next_item": tally.next_item,
            "alone_id": tally.alone_id,
            "superseded": tally.superseded,
            "now": transaction.now,
            "start_exhausted": batch.start_exhausted,
            "every_run": transaction.every_run,
        },
    )
    transaction.connection.execute(
        COMMIT["beat_run"],
        (transaction.now, batch.pages, transaction.items_taken, transaction.run),
    )
