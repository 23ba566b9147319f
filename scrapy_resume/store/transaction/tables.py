"""What the steps of a transaction ask of a backend: one method for each statement.

The steps themselves (``arrivals``, ``finishes``, ``batch``, ``recovery``) are the same for
every store, so that two stores cannot come to differ in what they promise. Whatever is
called here happens within the transaction at hand, and is undone with it.
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
from scrapy_resume.store.transaction.units import UnitTables


class Held(NamedTuple):
    """What a commit has to know about a row that this run has leased."""

    kind: int
    slot: int
    suspect: int
    not_before: float
    items: int
    unit: int
    attempts: int


class Known(NamedTuple):
    """Who has an identity."""

    row: int
    run: int
    """The last run in which the row arrived; 0 for an identity that it took on later."""


class NewRow(NamedTuple):
    """A row that was not there. Texts are storable as they are."""

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
    """How many items came to the row, or left it."""
    items_failed: int
    id: int


class Changed(NamedTuple):
    """A leased row that goes on as another request."""

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
    """An item that becomes visible, or a provisional one."""

    row: int
    occurrence: int
    key: str | None
    payload: str


class LeasedThen(NamedTuple):
    """A row that a run held when it ended."""

    id: int
    kind: int
    slot: int
    suspect: int
    not_before: float
    crashes: int
    unit: int


class Fate(NamedTuple):
    """What becomes of such a row."""

    state: State
    attempts: int
    """How many are added."""
    crashes: int
    suspect: int
    error: str | None = None
    error_message: str | None = None


class DueRow(NamedTuple):
    """A pending row, as far as counting it goes."""

    id: int
    kind: int
    slot: int
    suspect: int
    not_before: float


class Unmet(NamedTuple):
    """A pending row that a later run does not owe."""

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
    """The leases of one job, for the run that owns its part of it."""

    def due(self, now: float, count: int) -> list[DueRow]:
        """Delayed rows whose time has come, those that waited longest first."""

    def next_due(self) -> float:
        """When the first delayed row is due, in seconds since the epoch; 0: none is delayed."""

    def end_delays(self, rows: Sequence[int]) -> None:
        """From here on these can be leased."""

    def lease(self, wishes: Sequence[tuple[Wish, int]], now: float) -> list[LeasedRow]:
        """Lease the first rows of slots (their ids beside the wishes), wish after wish."""

    def lease_suspect(self, now: float) -> LeasedRow | None:
        """Lease the suspect that was found first."""

    def count_suspects(self) -> int:
        """Suspects that could run now."""

    def pending(self, slots: Mapping[int, int]) -> dict[str, int]:
        """By key, the rows that can be leased from slots now. (Slot → how this transaction has
        changed that number, for a store that keeps count.)"""


class Tables(EventTables, UnitTables, Protocol):
    """The statements of one job, for the run that owns its part of it.

    Those about events and units stand with who asks them.
    """

    @property
    def leases(self) -> Leases:
        """Of the same run, within the same transaction."""

    # Names

    def find_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """The ids of those download slots that there are."""

    def add_slots(self, keys: Sequence[str]) -> dict[str, int]:
        """The ids of download slots that were not there."""

    def find_units(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of those named units that there are."""

    def add_units(self, names: Sequence[str]) -> dict[str, int]:
        """The ids of named units that were not there."""

    # Arrivals

    def leased(self, ids: Iterable[int]) -> dict[int, Held]:
        """Which of these rows this run has leased."""

    def known(self, identities: Iterable[bytes], claims: Mapping[bytes, int]) -> dict[bytes, Known]:
        """Which of these identities the job has, and who has them.

        ``claims``: those that this transaction is going to add if they are new, and their rows.
        A store that others write to at the same time takes them for these rows at once.
        """

    def given(self, keys: Iterable[bytes]) -> set[bytes]:
        """With which of these keys a request of an earlier number gave items."""

    def admit(self, rows: Sequence[NewRow]) -> None:
        """New rows, pending or leased."""

    def bury(self, rows: Sequence[tuple[NewRow, Outcome]]) -> None:
        """Tombstones: rows that were not recorded while they were open, in their final state."""

    def meet(self, run: int, rows: Sequence[tuple[bytes, int]]) -> None:
        """Rows of earlier runs (by the identity they were known by) arrived again in this run."""

    def continue_rows(self, changes: Sequence[Changed]) -> None:
        """Leased rows go on as other requests."""

    def add_aliases(self, aliases: Sequence[tuple[bytes, int]]) -> None:
        """Rows take on other identities."""

    # Ends

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """The end of leased rows, which clears them of suspicion."""

    def release(self, rows: Sequence[Release], now: float) -> None:
        """leased → pending."""

    def change_items(self, changes: Sequence[tuple[int, int]]) -> None:
        """(row, change): items came to rows that have ended, or left them."""

    # Items

    def add_spills(self, items: Sequence[NewItem]) -> None:
        """Provisional items."""

    def spilled(self, row: int) -> Iterator[list[ItemRecord]]:
        """A row's provisional items in order, in portions."""

    def drop_spills(self, rows: Sequence[int]) -> None:
        """Rows are finished, released or duplicates."""

    def store_items(self, items: Sequence[NewItem]) -> None:
        """Items become visible, in order; each gets the next id. One with a known key replaces
        the one that had it, and comes last all the same."""

    def drop_items(self, row: int) -> int:
        """Delete what an earlier execution of the row gave; how many there were."""

    def item_owners(self, keys: Sequence[str]) -> dict[str, int]:
        """Which of these keys there are items with, and whose they are."""

    # Beside the requests

    def keep_state(self, state: SavedState) -> None:
        """``spider.state``, and cookie jars that changed."""

    def keep_feeds(self, notes: Sequence[FeedNote]) -> None:
        """How far files of feeds have come."""

    def keep_hosts(self, notes: Sequence[HostNote]) -> None:
        """What is the matter with hosts."""

    # Recovery

    def held_then(self) -> list[LeasedThen]:
        """What a run that has ended still holds."""

    def recover(self, ends: Sequence[tuple[LeasedThen, Fate]], now: float) -> None:
        """leased → pending or parked, with what is known about the death."""

    def empty_spills(self) -> None:
        """The provisional items of a run end with it."""

    def unmet(self, run: int) -> list[Unmet]:
        """Requests of earlier runs that were to be fetched once in each run, and were not."""

    def supersede(self, rows: Sequence[int], now: float) -> None:
        """pending → ignored: a later run has requests of its own."""
