"""The statements of one job's file: the hot path. Those that lease are in ``leases``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import asdict

from scrapy_resume.store.contract import (
    Batch,
    FeedNote,
    HostNote,
    ItemRecord,
    Release,
    SavedState,
)
from scrapy_resume.store.sqlite.cursors import as_dicts, insert_many
from scrapy_resume.store.sqlite.leases import SqliteLeases
from scrapy_resume.store.sqlite.shared_text import SharedBeginnings, SharedTexts
from scrapy_resume.store.sqlite.skip_tables import SqliteSkips
from scrapy_resume.store.sqlite.statements import COMMIT, IDENTITY, OPENING, JobRow, Statements
from scrapy_resume.store.sqlite.steps import SqliteSteps
from scrapy_resume.store.transaction.arrivals import Transaction
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.events import keep_events, log_notes
from scrapy_resume.store.transaction.finishes import spilled_record
from scrapy_resume.store.transaction.selection import UNRECORDED
from scrapy_resume.store.transaction.storable_text import storable
from scrapy_resume.store.transaction.tables import (
    Changed,
    EarlierRow,
    Held,
    Known,
    NewItem,
    NewRow,
    NewSpill,
    OldEveryRun,
    OrphanedRow,
    Outcome,
    RecoveryOutcome,
)
from scrapy_resume.store.transaction.units import (
    TallyChange,
    UnitChanges,
    UnitRow,
    answer_units,
    settle_units,
)

SPILLED_AT_ONCE: Final = 1_000


class SqliteTables(Statements):
    """See ``Tables``. ``begin`` comes before everything else in a transaction."""

    def __init__(self, *, run: int = 0, only_retried: bool = False) -> None:
        """``run``: the one that leases."""
        self._payloads = SharedTexts()
        self._beginnings = SharedBeginnings()
        self.units = UnitChanges()
        self.leases = SqliteLeases(only_retried=only_retried)
        self.skips = SqliteSkips()
        self.steps = SqliteSteps()
        self.steps.run = run

    def begin(self, connection: sqlite3.Connection) -> JobRow:
        """A transaction has begun on that connection. Returns the job as it is now."""
        self.use(connection)
        self.leases.use(connection)
        self.skips.use(connection)
        self.units = UnitChanges()
        job = JobRow(*connection.execute(COMMIT["job"]).fetchone())
        self.steps.use(connection)
        self.steps.next_item, self.steps.next_stepped = job.next_item, job.next_stepped
        self._payloads.begin(job.last_payload)
        self._beginnings.begin(job.last_beginning)
        return job

    # Names

    def find_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """The ids of the download slots that exist, by key."""
        return dict(self._run(COMMIT["find_slots"], (json.dumps(keys),)).fetchall())

    def add_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """Add download slots; their ids, by key."""
        return {key: self._number(COMMIT["add_slot"], (key,)) for key in keys}

    def find_units(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of the named units that exist, by name."""
        return dict(self._run(COMMIT["find_units"], (json.dumps(names),)).fetchall())

    def add_units(self, names: Sequence[str]) -> dict[str, int]:
        """Add named units; their ids, by name."""
        return {name: self._number(COMMIT["add_unit"], (name,)) for name in names}

    # Arrivals

    def leased(self, ids: Iterable[int]) -> dict[int, Held]:
        """Those of these rows that this run has leased, by id."""
        text = _json_numbers(ids)
        if text is None:
            return {}
        return {row: Held(*rest) for row, *rest in self._run(COMMIT["leased"], (text,))}

    def known(self, identities: Iterable[bytes], claims: Mapping[bytes, int]) -> dict[bytes, Known]:
        """Those of these identities that the job knows. (Identities that share their first 8 bytes
        with one of them may be among the answer.)"""
        heads = _json_numbers(IDENTITY.unpack(identity)[0] for identity in identities)
        if heads is None:
            return {}
        known = {}
        for head, tail, row in self._run(COMMIT["known_aliases"], (heads,)):
            known[IDENTITY.pack(head, tail)] = Known(row, 0)
        for head, tail, row, run in self._run(COMMIT["known_requests"], (heads,)):
            known[IDENTITY.pack(head, tail)] = Known(row, run)
        return known

    def rows_of(self, identities: Collection[bytes]) -> dict[bytes, int]:
        """Identity → row, of those that rows have; what rows have taken on later is left out."""
        heads = _json_numbers(int.from_bytes(one[:8], "big", signed=True) for one in identities)
        if heads is None:
            return {}
        wanted, pack = set(identities), IDENTITY.pack
        rows = {}
        for head, tail, row, _ in self._run(COMMIT["known_requests"], (heads,)):
            identity = pack(head, tail)
            if identity in wanted:
                rows[identity] = row
        return rows

    def given(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of these keys by which a request of an earlier number gave items. (Keys that share
        their first 8 bytes with one of them may be among the answer.)"""
        heads = _json_numbers(IDENTITY.unpack(key)[0] for key in keys)
        return {IDENTITY.pack(*row) for row in self._run(COMMIT["given"], (heads or "[]",))}

    def admit(self, rows: Sequence[NewRow]) -> None:
        """Insert new rows, pending or leased."""
        shared = self._payloads.ids([row.payload for row in rows], self._add_payload)
        columns = []
        for row, parted in zip(rows, self._parted(rows), strict=True):
            number = shared.get(row.payload)
            payload = row.payload if number is None else ""
            columns.append((*_columns(row, parted, payload), number))
        self._run_many(COMMIT["admit"], columns)

    def earlier_round(
        self, rows: Sequence[int], round_number: int, round_from: int
    ) -> list[EarlierRow]:
        """Those of these rows that the round has not added, nor been given before."""
        values = {
            "ids": json.dumps(sorted(rows)),
            "round": round_number,
            "round_from": round_from,
            "unrecorded": UNRECORDED,
        }
        return [EarlierRow(*columns) for columns in self._run(COMMIT["earlier_round"], values)]

    def keep_round(self, rows: Sequence[int], round_number: int) -> None:
        """``start()`` has given these rows in that round."""
        self._run_many(COMMIT["keep_round"], [(round_number, row) for row in rows])

    def fetch_again(self, changes: Sequence[Changed]) -> None:
        """done, failed or ignored → pending, as these requests."""
        self._run_many(
            COMMIT["fetch_again"],
            [
                (*change[: Changed._fields.index("attempts")], change.updated_at, change.id)
                for change in changes
            ],
        )

    def mark_retried(self, rows: Sequence[int]) -> None:
        """Rows of this transaction that retried ones have led to."""
        self._run_many(COMMIT["mark_retried"], [(row,) for row in rows])

    def _parted(self, rows: Sequence[NewRow]) -> list[tuple[int | None, str]]:
        return self._beginnings.parted([row.url for row in rows], self._add_beginning)

    def _add_payload(self, text: str) -> int:
        return self._number(COMMIT["add_payload"], (text,))

    def _add_beginning(self, text: str) -> int:
        return self._number(COMMIT["add_beginning"], (text,))

    def add_tombstones(self, rows: Sequence[tuple[NewRow, Outcome]]) -> None:
        """Insert tombstones, in their final state."""
        parted = self._parted([row for row, _ in rows])
        columns = [
            (
                *_columns(row._replace(updated_at=int(row.updated_at)), its, row.payload),
                outcome.attempts,
                outcome.http_status,
                outcome.error,
                outcome.error_message,
                outcome.items_failed,
            )
            for (row, outcome), its in zip(rows, parted, strict=True)
        ]
        insert_many(self._connection, COMMIT["add_tombstones"], columns)

    def arrive_again(self, run: int, rows: Sequence[tuple[bytes, int]]) -> None:
        """Record that rows of earlier runs arrived again in this run."""
        self._run_many(COMMIT["arrive_again"], [(run, row) for _, row in rows])

    def continue_rows(self, changes: Sequence[Changed]) -> None:
        """Replace the requests of leased rows."""
        self._run_many(COMMIT["continue"], changes)

    def add_aliases(self, aliases: Sequence[tuple[bytes, int]]) -> None:
        """Add identities to rows, as (identity, row)."""
        columns = [(*IDENTITY.unpack(identity), row) for identity, row in aliases]
        self._run_many(COMMIT["add_alias"], columns)

    # Ends

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """End leased rows; they are no suspects any more."""
        self._run_many(COMMIT["finish"], outcomes)

    def end_keeping(self, rows: Sequence[int]) -> None:
        """Rows whose pages are gone: nothing of an execution that was done is left."""
        self._run_many(COMMIT["end_keeping"], [(row,) for row in rows])

    def release(self, rows: Sequence[Release], now: float) -> None:
        """leased → pending."""
        columns = [(row.attempts, row.not_before, now, row.id) for row in rows]
        self._run_many(COMMIT["release"], columns)

    def change_items(self, changes: Sequence[tuple[int, int]]) -> None:
        """Change the number of items of rows that have ended."""
        self._run_many(COMMIT["change_items"], [(change, row) for row, change in changes])

    # Items

    def add_spills(self, items: Sequence[NewSpill]) -> None:
        """Store provisional items."""
        insert_many(self._connection, COMMIT["add_spill"], items)

    def spilled(self, row: int) -> Iterator[list[ItemRecord]]:
        """A row's provisional items in order, in portions."""
        cursor = self._run(COMMIT["spilled"], (row,))
        while portion := cursor.fetchmany(SPILLED_AT_ONCE):
            yield [spilled_record(*columns) for columns in portion]

    def drop_spills(self, rows: Sequence[int]) -> None:
        """Delete the provisional items of rows that are finished, released or duplicates."""
        self._run_many(COMMIT["drop_spills"], [(row,) for row in rows])

    def store_items(self, items: Sequence[NewItem]) -> None:
        """Make items visible, in order.

        Ids are assigned here, ascending and never twice, so that a reader that knows the last
        one finds the items that came after it.
        """
        first = self.steps.next_item
        self.steps.next_item += len(items)
        columns = [(number, *item) for number, item in enumerate(items, first)]
        insert_many(self._connection, COMMIT["store_item"], columns)

    def drop_items(self, row: int) -> int:
        """Delete the items that an earlier execution of the row gave."""
        rows = self._run(COMMIT["drop_items"], (row,)).fetchall()
        self.steps.take_back(rows)
        return len(rows)

    def item_owners(self, keys: Sequence[str]) -> dict[str, int]:
        """The rows of the items that have these keys, by key."""
        return dict(self._run(COMMIT["item_owners"], (json.dumps(keys),)).fetchall())

    # Beside the requests

    def keep_state(self, state: SavedState) -> None:
        """Save ``spider.state``, and the cookie jars that changed."""
        if state.spider_state is not None:
            self._run(COMMIT["keep_spider_state"], (state.spider_state,))
        jars = [(storable(jar), payload) for jar, payload in state.cookies.items()]
        self._run_many(COMMIT["keep_cookies"], jars)

    def keep_feeds(self, notes: Sequence[FeedNote]) -> None:
        """Save how far files of feeds have come."""
        columns = [
            (storable(feed), number, settled, record) for feed, number, record, settled in notes
        ]
        self._run_many(COMMIT["keep_feed"], columns)

    def keep_hosts(self, notes: Sequence[HostNote]) -> None:
        """Save the records of hosts."""
        self._run_many(COMMIT["keep_host"], [(storable(key), record) for key, record in notes])

    def shift_times(self, run: int, leap_seconds: float) -> None:
        """The clock was set while the run lasts: have its times, and what waits, follow it."""
        values = {"run": run, "leap": leap_seconds, "minutes": round(leap_seconds / 60)}
        self._run(OPENING["shift_minutes"], values)
        self._run(OPENING["settle_minutes"], values)
        self._run(OPENING["shift_run"], values)
        self._run(OPENING["shift_delays"], values)
        self.steps.shift_times(leap_seconds)

    # Recovery

    def waiting_hosts(self, now: float) -> list[HostNote]:
        """The records of hosts that wait for a time after ``now``."""
        return [HostNote(*row) for row in self._run(OPENING["waiting_hosts"], (now, now))]

    def orphaned_rows(self) -> list[OrphanedRow]:
        """The rows that the previous run still holds."""
        return [OrphanedRow(*columns) for columns in self._run(OPENING["orphaned_rows"])]

    def recover(self, ends: Sequence[tuple[OrphanedRow, RecoveryOutcome]], now: float) -> None:
        """leased → pending or parked, with the outcome of the recovery."""
        changes = [(int(end.state), *end[1:], now, row.id) for row, end in ends]
        self._run_many(OPENING["recover"], changes)

    def empty_spills(self) -> None:
        """Delete all provisional items: their run has ended."""
        self._run(OPENING["empty_spill"])

    def old_every_run(self, run: int) -> list[OldEveryRun]:
        """Pending requests of earlier runs that are fetched once in each run."""
        return [OldEveryRun(*columns) for columns in self._run(OPENING["old_every_run"], (run,))]

    def supersede(self, rows: Sequence[int], now: float) -> None:
        """pending → ignored: a later run has its own requests of this kind."""
        self._run_many(OPENING["supersede"], [(now, row) for row in rows])

    # Events

    def describe_requests(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Requests by id, in the keys of ``requests --json``."""
        cursor = self._run(COMMIT["describe_requests"], (_json_numbers(rows),))
        return {row.pop("id"): row for row in as_dicts(cursor)}

    def describe_units(self, units: Sequence[int]) -> list[dict[str, Any]]:
        """Units, in the keys of ``units --json``."""
        return list(as_dicts(self._run(COMMIT["describe_units"], (_json_numbers(units),))))

    def add_event(self, payload: str) -> int:
        """Keep events until they are delivered."""
        return self._number(COMMIT["add_event"], (payload,))

    def delete_events(self, events: Sequence[int]) -> None:
        """Delete events that were delivered."""
        self._run_many(COMMIT["delete_event"], [(event,) for event in events])

    # Units

    def units_of(self, rows: Sequence[int]) -> dict[int, int]:
        """The units of requests, by row."""
        text = _json_numbers(rows)
        return {} if text is None else dict(self._run(COMMIT["units_of"], (text,)).fetchall())

    def hold_units(self, units: Sequence[int]) -> dict[int, UnitRow]:
        """Those of these units that exist."""
        rows = self._run(COMMIT["hold_units"], (_json_numbers(units),))
        return {columns[0]: UnitRow(*columns) for columns in rows}

    def keep_units(self, rows: Sequence[UnitRow]) -> None:
        """Write units as the transaction leaves them."""
        insert_many(self._connection, COMMIT["keep_unit"], rows)

    def change_unit_tally(self, changes: Mapping[int, TallyChange]) -> None:
        """Change the number of units by state."""
        columns = [(*change, state) for state, change in changes.items()]
        self._run_many(COMMIT["change_unit_tally"], columns)

    def unit_names(self, units: Sequence[int]) -> dict[int, str]:
        """The names of named units."""
        numbers = _json_numbers(-unit for unit in units)
        return {-number: name for number, name in self._run(COMMIT["unit_names"], (numbers,))}

    def named_tally(self) -> dict[int, int]:
        """How many named units are in each state."""
        return dict(self._run(COMMIT["named_tally"]).fetchall())

    def count_units(self, units: int, unit_pages: int, named_pages: int) -> None:
        """The last run has ended so many named units more, and requests of named units."""
        self._run(COMMIT["count_units"], (units, unit_pages, named_pages))

    # Counters

    def keep_tally(self, tally: Tally, now: float) -> None:
        """Write the counters of the job, its slots and its units, as a recovery leaves them."""
        settle_units(self, now)
        changes = [(change, slot) for slot, change in tally.slots.items() if change]
        self._run_many(OPENING["change_slot"], changes)
        self._run(OPENING["keep_recovered"], asdict(tally.counts()))

    def keep_counters(self, transaction: Transaction, batch: Batch) -> None:
        """Write the counters of the job, its run and its units, as a batch leaves them."""
        settle_units(self, transaction.now)
        committed, tally = transaction.committed, transaction.tally
        answer_units(self, committed, wanted=batch.progress.named_units_wanted)
        self.delete_events(batch.events.delivered)
        committed.events = keep_events(self, batch.events.wanted, batch.events.notices)
        committed.log = log_notes(self, batch)
        if batch.progress.custom is not None:
            self._run(COMMIT["keep_custom"], (batch.progress.custom, transaction.run))
        if batch.progress.expected_total is not None:
            self._run(COMMIT["keep_expected"], (batch.progress.expected_total,))
        if (change := batch.progress.metadata) is not None:
            ((text,),) = self._run(COMMIT["metadata"]).fetchall()
            self._run(COMMIT["keep_metadata"], (change.applied_to(text),))
        committed.items.last_id = self.steps.next_item - 1
        self._run(
            COMMIT["keep_job"],
            {
                **asdict(committed.counts),
                "next_id": batch.next_id,
                "next_item": self.steps.next_item,
                "next_stepped": self.steps.next_stepped,
                "alone_id": tally.alone_id,
                "superseded": tally.superseded,
                "now": transaction.now,
                "start_exhausted": batch.start_exhausted,
                "every_run": transaction.every_run,
            },
        )
        minute = transaction.minute(batch.progress.pages)
        if minute is not None:
            self._run(COMMIT["keep_minute"], {**minute, "run": transaction.run})
        beat = (transaction.now, batch.progress.pages, transaction.items_taken, self.units.cursor)
        self._run(COMMIT["beat_run"], (*beat, transaction.run))


def _json_numbers(numbers: Iterable[int]) -> str | None:
    """The JSON array that the statements take; ``None`` if it would be empty."""
    text = ",".join(map(str, numbers))
    return f"[{text}]" if text else None


def _columns(row: NewRow, parted: tuple[int | None, str], payload: str) -> tuple[object, ...]:
    given = (None, None) if row.given_key is None else IDENTITY.unpack(row.given_key)
    return (
        row.id,
        *IDENTITY.unpack(row.identity),
        row.kind,
        row.parent,
        row.unit,
        row.slot,
        row.state,
        row.priority,
        row.start,
        row.seq,
        row.not_before,
        row.depth,
        row.every_run,
        row.run,
        *parted,
        payload,
        row.updated_at,
        *given,
    )
