"""The interface between the steps of a transaction and a backend: one method a statement.

The steps themselves (``arrivals``, ``finishes``, ``apply``, ``recovery``) are shared by all
backends, so that backends cannot differ in what they guarantee. Every method runs within the
current transaction and is rolled back with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from scrapy_resume.model import State
from scrapy_resume.store.contract import (
    FeedNote,
    HostNote,
    ItemRecord,
    LeasedRow,
    Release,
    SavedState,
    Wish,
)
from scrapy_resume.store.transaction.events import EventTables
from scrapy_resume.store.transaction.skips import SkipTables
from scrapy_resume.store.transaction.step_tables import StepTables
from scrapy_resume.store.transaction.units import UnitTables


class Held(NamedTuple):
    """The columns of a leased row that a commit needs."""

    kind: int
    slot: int
    suspect: int
    not_before: float
    items: int
    unit: int
    attempts: int
    kept: int
    """1: its items are those of an execution that was done."""
    round: int
    """Above 0: ``start()`` has given it in a round of an extended job."""


class Known(NamedTuple):
    """The row that has an identity."""

    row: int
    run: int
    """The last run in which the row arrived; 0 for an identity that it took on later."""


class NewRow(NamedTuple):
    """A new row. Texts are storable as they are."""

    id: int
    identity: bytes
    kind: int
    parent: int
    unit: int
    slot: int
    state: int
    priority: int
    start: int
    seq: int
    not_before: float
    depth: int
    every_run: int
    run: int
    url: str
    payload: str
    updated_at: float
    given_key: bytes | None


class Outcome(NamedTuple):
    """How a row ended. Texts are storable as they are."""

    state: int
    attempts: int
    http_status: int | None
    error: str | None
    error_message: str | None
    updated_at: float
    items: int
    """By how much the number of the row's items changes."""
    items_failed: int
    id: int


class Changed(NamedTuple):
    """A leased row with its next request."""

    url: str
    payload: str
    slot: int
    priority: int
    start: int
    seq: int
    attempts: int
    state: int
    not_before: float
    updated_at: float
    failed_at: float | None
    """An attempt has failed, at that time."""
    id: int


class NewItem(NamedTuple):
    """An item that becomes visible."""

    row: int
    occurrence: int
    key: str | None
    payload: str


class NewSpill(NamedTuple):
    """A provisional item."""

    row: int
    occurrence: int
    key: str | None
    payload: str
    steps: str | None
    """JSON; ``None``: it has no steps."""
    stable_key: str | None


class EarlierRow(NamedTuple):
    """A row of an earlier round of an extended job."""

    id: int
    state: int
    kind: int
    slot: int
    unit: int
    items_failed: int


class OrphanedRow(NamedTuple):
    """A row that was leased when its run ended."""

    id: int
    kind: int
    slot: int
    suspect: int
    not_before: float
    crashes: int
    unit: int


class RecoveryOutcome(NamedTuple):
    """What a recovery makes of such a row."""

    state: State
    attempts: int
    """How many are added."""
    crashes: int
    suspect: int
    error: str | None = None
    error_message: str | None = None


class DueRow(NamedTuple):
    """The columns of a delayed row that its counters need."""

    id: int
    kind: int
    slot: int
    suspect: int
    not_before: float


class OldEveryRun(NamedTuple):
    """A pending row of an earlier run that is fetched once in each run."""

    id: int
    kind: int
    slot: int
    suspect: int
    not_before: float
    unit: int


def as_leased(row: int, identity: bytes, columns: Sequence[Any], slot: str) -> LeasedRow:
    """``columns``: those of ``lease_requests`` and ``lease_suspect`` that follow the identity."""
    parent, url, payload, priority, start, seq, unit, unit_name, *rest = columns
    attempts, crashes, items, every_run = rest
    return LeasedRow(
        id=row,
        identity=identity,
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


class Leases(Protocol):
    """The leases of one job, for one run of it."""

    def due(self, now: float, count: int) -> list[DueRow]:
        """Delayed rows whose time has come, those that waited longest first."""

    def next_due(self) -> float:
        """When the first delayed row is due, in seconds since the epoch; 0: none is delayed."""

    def count_delayed(self, all_rows: int) -> int:
        """How many rows are delayed that this run may lease later; ``all_rows``: of the job."""

    def bound_delays(self, bound: float) -> None:
        """Have rows that are delayed beyond that time wait until then, unless their host waits for
        longer."""

    def end_delays(self, rows: Sequence[int]) -> None:
        """Delayed rows can be leased from here on."""

    def lease(self, wishes: Sequence[tuple[Wish, int]], now: float) -> list[LeasedRow]:
        """Lease the first rows of slots, wish after wish; each wish comes with the slot's id."""

    def lease_suspect(self, now: float) -> LeasedRow | None:
        """Lease the suspect that was found first."""

    def count_suspects(self) -> int:
        """How many suspects this run can lease now."""

    def pending(self, slots: Mapping[int, int]) -> dict[str, int]:
        """Slot key → number of rows that can be leased now. ``slots``: slot → by how much this
        transaction has changed that number, for a store that keeps it."""


class Tables(EventTables, UnitTables, Protocol):
    """The statements of one job, for one run of it.

    Those about events and units are in ``EventTables`` and ``UnitTables``.
    """

    @property
    def leases(self) -> Leases:
        """The leases of the same run, within the same transaction."""

    @property
    def skips(self) -> SkipTables:
        """What is skipped for good, within the same transaction."""

    @property
    def steps(self) -> StepTables:
        """The steps of items, within the same transaction."""

    # Names

    def find_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """The ids of the download slots that exist, by key."""

    def add_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """Add download slots; their ids, by key."""

    def find_units(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of the named units that exist, by name."""

    def add_units(self, names: Sequence[str]) -> dict[str, int]:
        """Add named units; their ids, by name."""

    # Arrivals

    def leased(self, ids: Iterable[int]) -> dict[int, Held]:
        """Those of these rows that this run has leased, by id."""

    def known(self, identities: Iterable[bytes], claims: Mapping[bytes, int]) -> dict[bytes, Known]:
        """Those of these identities that the job knows, and the rows that have them.

        ``claims``: identity → row, for those that this transaction adds if they are new. A store
        that other workers write to at the same time claims them for these rows at once.
        """

    def given(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of these keys by which a request of an earlier number gave items."""

    def admit(self, rows: Sequence[NewRow]) -> None:
        """Insert new rows, pending or leased."""

    def earlier_round(
        self, rows: Sequence[int], round_number: int, round_from: int
    ) -> list[EarlierRow]:
        """Those of these rows that the round has not added, nor been given before; in order."""

    def keep_round(self, rows: Sequence[int], round_number: int) -> None:
        """``start()`` has given these rows in that round."""

    def fetch_again(self, changes: Sequence[Changed]) -> None:
        """done, failed or ignored → pending, as these requests."""

    def mark_retried(self, rows: Sequence[int]) -> None:
        """Rows of this transaction that retried ones have led to."""

    def add_tombstones(self, rows: Sequence[tuple[NewRow, Outcome]]) -> None:
        """Insert rows that were not recorded while they were open, in their final state."""

    def arrive_again(self, run: int, rows: Sequence[tuple[bytes, int]]) -> None:
        """Record that rows of earlier runs, given by identity and id, arrived again in this run."""

    def continue_rows(self, changes: Sequence[Changed]) -> None:
        """Replace the requests of leased rows."""

    def add_aliases(self, aliases: Sequence[tuple[bytes, int]]) -> None:
        """Add identities to rows, as (identity, row)."""

    # Ends

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """End leased rows; they are no suspects any more."""

    def end_keeping(self, rows: Sequence[int]) -> None:
        """Rows whose pages are gone: nothing of an execution that was done is left."""

    def release(self, rows: Sequence[Release], now: float) -> None:
        """leased → pending."""

    def change_items(self, changes: Sequence[tuple[int, int]]) -> None:
        """Change the number of items of rows that have ended, as (row, change)."""

    # Items

    def add_spills(self, items: Sequence[NewSpill]) -> None:
        """Store provisional items."""

    def spilled(self, row: int) -> Iterator[list[ItemRecord]]:
        """A row's provisional items in order, in portions."""

    def drop_spills(self, rows: Sequence[int]) -> None:
        """Delete the provisional items of rows that are finished, released or duplicates."""

    def store_items(self, items: Sequence[NewItem]) -> None:
        """Make items visible, in order; each gets the next id. An item with a known key replaces
        the one that had it and gets a new id all the same."""

    def drop_items(self, row: int) -> int:
        """Delete the items that an earlier execution of the row gave; how many there were."""

    def item_owners(self, keys: Sequence[str]) -> dict[str, int]:
        """The rows of the items that have these keys, by key."""

    # Beside the requests

    def keep_state(self, state: SavedState) -> None:
        """Save ``spider.state``, and the cookie jars that changed."""

    def keep_feeds(self, notes: Sequence[FeedNote]) -> None:
        """Save how far files of feeds have come."""

    def keep_hosts(self, notes: Sequence[HostNote]) -> None:
        """Save the records of hosts."""

    def waiting_hosts(self, now: float) -> list[HostNote]:
        """The records of hosts that wait for a time after ``now``."""

    # Recovery

    def orphaned_rows(self) -> list[OrphanedRow]:
        """The rows that a run which has ended still holds."""

    def recover(self, ends: Sequence[tuple[OrphanedRow, RecoveryOutcome]], now: float) -> None:
        """leased → pending or parked, with the outcome of the recovery."""

    def empty_spills(self) -> None:
        """Delete the provisional items of a run that has ended."""

    def old_every_run(self, run: int) -> list[OldEveryRun]:
        """Pending requests of earlier runs that are fetched once in each run."""

    def supersede(self, rows: Sequence[int], now: float) -> None:
        """pending → ignored: a later run has its own requests of this kind."""
