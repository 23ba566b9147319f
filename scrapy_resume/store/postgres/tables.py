"""The statements of one job in PostgreSQL, for one run: the hot path. Those that lease are in
``postgres_leases``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import dict_row

from scrapy_resume.errors import LeaseLostError
from scrapy_resume.model import State
from scrapy_resume.store.contract import (
    EventNote,
    FeedNote,
    HostNote,
    ItemRecord,
    Release,
    SavedState,
)
from scrapy_resume.store.postgres.leases import PostgresLeases
from scrapy_resume.store.postgres.skip_tables import PostgresSkips
from scrapy_resume.store.postgres.statements import COMMIT, OPENING, Statements
from scrapy_resume.store.postgres.steps import PostgresSteps
from scrapy_resume.store.transaction.events import noted
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
from scrapy_resume.store.transaction.units import TallyChange, UnitChanges, UnitRow

ITEMS_AT_ONCE: Final = 1_000

_encode: Final = msgspec.json.Encoder().encode


class PostgresTables(Statements):
    """See ``Tables``. ``begin`` comes before everything else in a transaction."""

    def __init__(self, job: int, run: int, any_owner: bool, *, only_retried: bool = False) -> None:
        super().__init__(job, run)
        self._any_owner = any_owner
        self.units = UnitChanges()
        self.leases = PostgresLeases(job, run, any_owner, only_retried=only_retried)
        self.skips = PostgresSkips(self)
        self.steps = PostgresSteps(job, run)
        self._claims: dict[bytes, int] = {}
        self._used: dict[bytes, int] = {}

    def begin(self, connection: Connection[Any], now: float) -> None:
        """A transaction has begun on that connection; the server's time."""
        self.use(connection, now)
        self.leases.begin(connection, now)
        self.steps.use(connection, now)
        self.units = UnitChanges()
        self._claims = {}
        self._used = {}

    def committed(self) -> None:
        """The transaction was committed."""
        self.leases.committed()

    def of_run(self, run: int) -> PostgresTables:
        """The tables for another run, within the same transaction; changes of units are collected
        with this run's."""
        other = PostgresTables(self._job, run, self._any_owner)
        other.begin(self._connection, self._now)
        other.units = self.units
        return other

    # Names

    def find_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """The ids of the download slots that exist, by key."""
        return dict(self.execute(COMMIT["find_slots"], names=list(keys)).fetchall())

    def add_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """Add download slots; their ids, by key."""
        self.execute(COMMIT["add_slots"], names=list(keys))
        return self.find_slots(keys)

    def find_units(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of the named units that exist, by name."""
        return dict(self.execute(COMMIT["find_units"], names=list(names)).fetchall())

    def add_units(self, names: Sequence[str]) -> dict[str, int]:
        """Add named units; their ids, by name."""
        self.execute(COMMIT["add_units"], names=list(names))
        return self.find_units(names)

    # Arrivals

    def leased(self, ids: Iterable[int]) -> dict[int, Held]:
        """Those of these rows that this run has leased, by id."""
        wanted = list(ids)
        if not wanted:
            return {}
        rows = self.execute(COMMIT["leased"], ids=wanted)
        return {row: Held(*rest) for row, *rest in rows}

    def known(self, identities: Iterable[bytes], claims: Mapping[bytes, int]) -> dict[bytes, Known]:
        """Those of these identities that the job knows; claims the new ones of ``claims``."""
        wanted = list(identities)
        known = self._ask(wanted)
        new = {identity: row for identity, row in claims.items() if identity not in known}
        if new:
            columns = {"identities": list(new), "requests": list(new.values())}
            taken = {row[0] for row in self.execute(COMMIT["claim_identities"], **columns)}
            known.update(self._ask([identity for identity in new if identity not in taken]))
            self._claims.update((identity, new[identity]) for identity in taken)
        return known

    def _ask(self, identities: list[bytes]) -> dict[bytes, Known]:
        if not identities:
            return {}
        rows = self.execute(COMMIT["known"], identities=identities)
        return {identity: Known(row, run) for identity, row, run in rows}

    def settle_claims(self) -> None:
        """Release the claims that were not used, and assign those that another row used."""
        idle = [identity for identity in self._claims if identity not in self._used]
        if idle:
            self.execute(COMMIT["unclaim_identities"], identities=idle)
        used = {k: row for k, row in self._used.items() if self._claims.get(k) != row}
        new = {k: row for k, row in used.items() if k not in self._claims}
        if new:
            columns = {"identities": list(new), "requests": list(new.values())}
            taken = self.execute(COMMIT["claim_identities"], **columns).fetchall()
            if len(taken) != len(new):
                raise LeaseLostError(
                    "another worker runs start() at the same time; this one stops, and nothing "
                    "that it does from here on is kept"
                )
        others = {k: row for k, row in used.items() if k in self._claims}
        if others:
            columns = {"identities": list(others), "requests": list(others.values())}
            self.execute(COMMIT["reclaim_identities"], **columns)

    def given(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of these keys by which a request of an earlier number gave items."""
        return {key for (key,) in self.execute(COMMIT["given"], given_keys=list(keys))}

    def admit(self, rows: Sequence[NewRow]) -> None:
        """Insert new rows, pending or leased."""
        self._used.update((row.identity, row.id) for row in rows)
        self.execute(COMMIT["admit"], rows=_json([row._asdict() for row in rows]))

    def earlier_round(
        self, rows: Sequence[int], round_number: int, round_from: int
    ) -> list[EarlierRow]:
        """Those of these rows that the round has not added, nor been given before."""
        found = self.execute(
            COMMIT["earlier_round"],
            ids=list(rows),
            round=round_number,
            round_from=round_from,
            unrecorded=UNRECORDED,
        )
        return [EarlierRow(*columns) for columns in found]

    def keep_round(self, rows: Sequence[int], round_number: int) -> None:
        """``start()`` has given these rows in that round."""
        self.execute(COMMIT["keep_round"], ids=list(rows), round=round_number)

    def fetch_again(self, changes: Sequence[Changed]) -> None:
        """done, failed or ignored → pending, as these requests."""
        self.execute(
            COMMIT["fetch_again"],
            rows=_json([change._asdict() for change in changes]),
            ids=[change.id for change in changes],
        )

    def mark_retried(self, rows: Sequence[int]) -> None:
        """Rows of this transaction that retried ones have led to."""
        self.execute(COMMIT["mark_retried"], ids=list(rows))

    def add_tombstones(self, rows: Sequence[tuple[NewRow, Outcome]]) -> None:
        """Insert tombstones, in their final state."""
        self._used.update((row.identity, row.id) for row, _ in rows)
        columns = [{**outcome._asdict(), **row._asdict()} for row, outcome in rows]
        self.execute(COMMIT["add_tombstones"], rows=_json(columns))

    def arrive_again(self, run: int, rows: Sequence[tuple[bytes, int]]) -> None:
        """Record that rows of earlier runs arrived again in this run."""
        self.execute(COMMIT["arrive_again"], identities=[identity for identity, _ in rows])

    def continue_rows(self, changes: Sequence[Changed]) -> None:
        """Replace the requests of leased rows; of several changes of a row, the last one counts."""
        last = {change.id: change._asdict() for change in changes}
        self.execute(COMMIT["continue"], rows=_json(list(last.values())), ids=list(last))

    def add_aliases(self, aliases: Sequence[tuple[bytes, int]]) -> None:
        """Add identities to rows, as (identity, row)."""
        self._used.update(aliases)

    # Ends

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """End leased rows. Raises ``LeaseLostError`` if one of them is not this run's."""
        rows = _json([outcome._asdict() for outcome in outcomes])
        ids = [outcome.id for outcome in outcomes]
        ((ended,),) = self.execute(COMMIT["finish"], rows=rows, ids=ids).fetchall()
        if ended != len(outcomes):
            raise LeaseLostError("requests of this run were taken back; it stops")

    def end_keeping(self, rows: Sequence[int]) -> None:
        """Rows whose pages are gone: nothing of an execution that was done is left."""
        self.execute(COMMIT["end_keeping"], ids=list(rows))

    def release(self, rows: Sequence[Release], now: float) -> None:
        """leased → pending."""
        ids, attempts, moments = map(list, zip(*rows, strict=True))
        self.execute(COMMIT["release"], ids=ids, attempts=attempts, moments=moments)

    def change_items(self, changes: Sequence[tuple[int, int]]) -> None:
        """Change the number of items of rows that have ended."""
        ids, numbers = [row for row, _ in changes], [change for _, change in changes]
        self.execute(COMMIT["change_items"], ids=ids, changes=numbers)

    # Items

    def add_spills(self, items: Sequence[NewSpill]) -> None:
        """Store provisional items."""
        self._in_portions(COMMIT["add_spills"], items)

    def spilled(self, row: int) -> Iterator[list[ItemRecord]]:
        """A row's provisional items in order, in portions."""
        after = 0
        while True:
            values = {"request": row, "after": after, "count": ITEMS_AT_ONCE}
            rows = self.execute(COMMIT["spilled"], **values).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield [spilled_record(*columns[1:]) for columns in rows]

    def drop_spills(self, rows: Sequence[int]) -> None:
        """Delete the provisional items of rows that are finished, released or duplicates."""
        self.execute(COMMIT["drop_spills"], ids=list(rows))

    def store_items(self, items: Sequence[NewItem]) -> None:
        """Make items visible, in order. (One statement can write a key only once: of several items
        with one key, only the last is written.)"""
        last = {item.key: place for place, item in enumerate(items)}
        rows = [
            item for place, item in enumerate(items) if item.key is None or last[item.key] == place
        ]
        self._in_portions(COMMIT["store_items"], rows)

    def _in_portions(self, statement: str, items: Sequence[NewItem | NewSpill]) -> None:
        for start in range(0, len(items), ITEMS_AT_ONCE):
            portion = items[start : start + ITEMS_AT_ONCE]
            self.execute(statement, rows=_json([item._asdict() for item in portion]))

    def drop_items(self, row: int) -> int:
        """Delete the items that an earlier execution of the row gave."""
        return self.execute(COMMIT["drop_items"], request=row).rowcount

    def item_owners(self, keys: Sequence[str]) -> dict[str, int]:
        """The rows of the items that have these keys; other workers that use one of them wait."""
        self.execute(COMMIT["lock_item_keys"], keys=list(keys))
        return dict(self.execute(COMMIT["item_owners"], keys=list(keys)).fetchall())

    # Beside the requests

    def keep_state(self, state: SavedState) -> None:
        """Save the worker's ``spider.state``, and the cookie jars that changed."""
        if state.spider_state is not None:
            self.execute(COMMIT["keep_spider_state"], payload=state.spider_state)
        for jar, payload in state.cookies.items():
            self.execute(COMMIT["keep_cookies"], jar=storable(jar), payload=payload)

    def keep_feeds(self, notes: Sequence[FeedNote]) -> None:
        """Save how far files of feeds have come."""
        for feed, number, record, settled in notes:
            values = {"name": storable(feed), "batch": number, "record": record}
            self.execute(COMMIT["keep_feed"], settled=settled, **values)

    def keep_hosts(self, notes: Sequence[HostNote]) -> None:
        """Save the records of hosts."""
        records = {storable(key): record for key, record in notes}
        keys = sorted(records)
        self.execute(COMMIT["keep_hosts"], keys=keys, records=[records[key] for key in keys])

    def hosts_of_slots(self, keys: Sequence[str]) -> list[HostNote]:
        """The records of the hosts of these slots."""
        return [HostNote(*row) for row in self.execute(COMMIT["hosts_of_slots"], keys=list(keys))]

    def waiting_hosts(self, now: float) -> list[HostNote]:
        """The records of hosts that wait for a time after ``now``."""
        return [HostNote(*row) for row in self.execute(OPENING["waiting_hosts"], after=now)]

    def hosts_since(self, since: float) -> list[HostNote]:
        """The records of hosts that others have written since that time, by the server's clock."""
        return [HostNote(*row) for row in self.execute(COMMIT["hosts_since"], since=since)]

    # Recovery

    def orphaned_rows(self) -> list[OrphanedRow]:
        """The rows that the run, which has ended, still holds."""
        return [OrphanedRow(*columns) for columns in self.execute(OPENING["orphaned_rows"])]

    def recover(self, ends: Sequence[tuple[OrphanedRow, RecoveryOutcome]], now: float) -> None:
        """leased → pending or parked, with the outcome of the recovery."""
        pending = [(row, end) for row, end in ends if end.state is State.pending]
        if pending:
            self.execute(
                OPENING["recover"],
                ids=[row.id for row, _ in pending],
                attempts=[end.attempts for _, end in pending],
                crashes=[end.crashes for _, end in pending],
                suspects=[end.suspect for _, end in pending],
            )
        for row, end in ends:
            if end.state is State.parked:
                self.execute(
                    OPENING["park"],
                    id=row.id,
                    attempts=end.attempts,
                    crashes=end.crashes,
                    error=end.error,
                    error_message=end.error_message,
                )

    def empty_spills(self) -> None:
        """Delete the provisional items of the run, which has ended."""
        self.execute(OPENING["empty_spill"])

    def old_every_run(self, run: int) -> list[OldEveryRun]:
        """Pending requests of a run that has ended which are fetched once in each run."""
        return [OldEveryRun(*columns) for columns in self.execute(OPENING["old_every_run"])]

    def supersede(self, rows: Sequence[int], now: float) -> None:
        """pending → ignored: each run has its own requests of this kind."""
        self.execute(OPENING["supersede"], ids=list(rows))

    # Events

    def describe_requests(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Requests by id, in the keys of ``requests --json``."""
        found = self._dicts(COMMIT["describe_requests"], rows)
        return {row.pop("id"): row for row in found}

    def describe_units(self, units: Sequence[int]) -> list[dict[str, Any]]:
        """Units, in the keys of ``units --json``."""
        return self._dicts(COMMIT["describe_units"], units)

    def _dicts(self, statement: str, ids: Sequence[int]) -> list[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row)
        return cursor.execute(statement, {"job": self._job, "ids": list(ids)}).fetchall()

    def add_event(self, payload: str) -> int:
        """Keep events until they are delivered, by this run or by the one that adopts them."""
        return int(self.execute(COMMIT["add_event"], payload=payload).fetchall()[0][0])

    def delete_events(self, events: Sequence[int]) -> None:
        """Delete events that were delivered."""
        if events:
            self.execute(COMMIT["delete_events"], ids=list(events))

    def adopt_events(self) -> list[EventNote]:
        """Take over the events that runs which have ended did not deliver; they are in order."""
        return noted(sorted(self.execute(COMMIT["adopt_events"]).fetchall()))

    # Units

    def units_of(self, rows: Sequence[int]) -> dict[int, int]:
        """The units of requests, by row."""
        return dict(self.execute(COMMIT["units_of"], ids=list(rows)).fetchall())

    def hold_units(self, units: Sequence[int]) -> dict[int, UnitRow]:
        """Those of these units that exist, locked against other workers."""
        rows = self.execute(COMMIT["hold_units"], ids=list(units))
        return {columns[0]: UnitRow(*columns) for columns in rows}

    def keep_units(self, rows: Sequence[UnitRow]) -> None:
        """Write units as the transaction leaves them.

        No other worker can write a new one: the worker that added its name has locked that, and
        its root is known only to the worker that found it.
        """
        self.execute(COMMIT["keep_units"], rows=_json([row._asdict() for row in rows]))

    def change_unit_tally(self, changes: Mapping[int, TallyChange]) -> None:
        """Change the number of units by state, in the run's part of it."""
        self.execute(
            COMMIT["change_unit_tally"],
            states=list(changes),
            units=[change.units for change in changes.values()],
            named=[change.named for change in changes.values()],
        )

    def unit_names(self, units: Sequence[int]) -> dict[int, str]:
        """The names of named units."""
        rows = self.execute(COMMIT["unit_names"], ids=[-unit for unit in units])
        return {-number: name for number, name in rows}

    def named_tally(self) -> dict[int, int]:
        """How many named units are in each state."""
        return dict(self.execute(COMMIT["named_tally"]).fetchall())

    def count_units(self, units: int, unit_pages: int, named_pages: int) -> None:
        """The run has ended so many named units more, and requests of named units."""
        self.execute(
            COMMIT["count_units"], units=units, unit_pages=unit_pages, named_pages=named_pages
        )


def _json(rows: object) -> str:
    return _encode(rows).decode()
