"""The statements that claim download slots for one run of many, and lease their rows."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection, Cursor

from scrapy_resume.store.contract import LeasedRow, Wish
from scrapy_resume.store.contract.waits import FOR_EVER
from scrapy_resume.store.postgres.statements import (
    ALL,
    COMMIT,
    OPENING,
    RETRIED,
    Statements,
    without_refused,
)
from scrapy_resume.store.transaction.tables import DueRow, as_leased


class PostgresLeases(Statements):
    """See ``Leases``."""

    def __init__(self, job: int, run: int, any_owner: bool, *, only_retried: bool = False) -> None:
        super().__init__(job, run)
        self._any_owner = any_owner
        self._only_retried = only_retried
        self.leasing = RETRIED if only_retried else ALL
        """The statements that find rows for this run."""
        self._refused: list[int] = []
        """Rows that this run does not lease again."""
        self._owned: set[int] = set()
        """Slots of this run, by committed transactions and by the current one."""
        self._fresh: set[int] = set()
        self.claimed: list[str] = []
        """Keys of the slots that the current transaction has claimed."""

    def begin(self, connection: Connection[Any], now: float) -> None:
        """A transaction has begun on that connection; the server's time."""
        self.use(connection, now)
        self._owned -= self._fresh
        self._fresh = set()
        self.claimed = []

    def committed(self) -> None:
        """The transaction was committed."""
        self._fresh = set()

    def refuse(self, rows: Sequence[int]) -> None:
        """Lease these rows no more: this run cannot restore them, another one may. It does not
        matter whether the transaction is committed."""
        if rows:
            self.leasing = without_refused(only_retried=self._only_retried)
            self._refused += rows

    def _find(self, name: str, **values: Any) -> Cursor[Any]:
        """Run a statement that finds rows for this run."""
        if self._refused:
            values["refused"] = self._refused
        return self.execute(self.leasing[name], **values)

    def due(self, now: float, count: int) -> list[DueRow]:
        """Delayed rows whose time has come, those that waited longest first."""
        return [DueRow(*columns) for columns in self.execute(COMMIT["due_requests"], count=count)]

    def next_due(self) -> float:
        """When the first delayed row is due; 0: none is delayed."""
        found = self.execute(self.leasing["next_due"]).fetchall()
        return float(found[0][0]) if found else 0.0

    def count_delayed(self, all_rows: int) -> int:
        """How many rows are delayed that this run may lease later."""
        if not self._only_retried:
            return all_rows
        return int(self.execute(RETRIED["count_delayed"]).fetchall()[0][0])

    def bound_delays(self, bound: float) -> None:
        """Have rows that are delayed beyond that time wait until then, unless their host waits for
        longer."""
        if bound < FOR_EVER:
            self.execute(OPENING["bound_delays"], bound=bound)

    def end_delays(self, rows: Sequence[int]) -> None:
        """Delayed rows can be leased from here on."""
        self.execute(COMMIT["end_delays"], ids=list(rows))

    def lease(self, wishes: Sequence[tuple[Wish, int]], now: float) -> list[LeasedRow]:
        """Lease the first rows of slots, wish after wish, of slots that are this run's."""
        self.claim({slot for _, slot in wishes})
        counts: dict[int, int] = {}
        for wish, slot in wishes:
            counts[slot] = counts.get(slot, 0) + max(wish.count, 0)
        leased: dict[str, list[LeasedRow]] = {}
        for row in self._lease(counts, {slot: wish.slot for wish, slot in wishes}):
            leased.setdefault(row.slot, []).append(row)
        granted = []
        for wish, _ in wishes:
            rows = leased.get(wish.slot, [])
            granted += rows[: wish.count]
            del rows[: wish.count]
        return granted

    def lease_from_new_slots(self, count: int, share: int) -> list[LeasedRow]:
        """Claim up to ``count`` free slots, and lease up to ``share`` rows from each."""
        slots = self.open_slots(count)
        keys = self._keys(slots) if self._any_owner else self.claim(set(slots))
        return self._lease(dict.fromkeys(keys, share), keys) if keys else []

    def lease_from_shared_slots(
        self, count: int, share: int, total: int, passed_over: Sequence[int]
    ) -> list[LeasedRow]:
        """Lease from up to ``count`` slots with pending rows: up to ``share`` rows from each, and
        ``total`` from all. ``passed_over``: ids of slots that are not leased from."""
        keys = self._keys(self.open_slots(min(count, total), passed_over))
        if not keys:
            return []
        share = min(share, max(1, total // len(keys)))
        return self._lease(dict.fromkeys(keys, share), keys)

    def _keys(self, slots: Sequence[int]) -> dict[int, str]:
        names = list(self.pending(dict.fromkeys(slots, 0)))
        found = self.execute(COMMIT["find_slots"], names=names).fetchall()
        return {slot: key for key, slot in found}

    def open_slots(self, count: int, passed_over: Sequence[int] = ()) -> list[int]:
        """Some slots that this run may claim and that have rows to lease, but for those that are
        passed over."""
        ((first, last),) = self.execute(COMMIT["slot_range"]).fetchall()
        if first is None:
            return []
        slots: list[int] = []
        for start in (random.randint(first, last), first):
            values = {
                "first": start,
                "count": count,
                "any_owner": self._any_owner,
                "passed_over": list(passed_over),
            }
            found = self._find("find_open_slots", **values)
            slots += [slot for (slot,) in found if slot not in slots]
            if len(slots) >= count:
                break
        return slots[:count]

    def claim(self, slots: set[int]) -> dict[int, str]:
        """Claim those of these slots that are free; returns id → key of those that it claimed."""
        wanted = sorted(slots - self._owned)
        if self._any_owner or not wanted:
            return {}
        claimed = dict(self.execute(COMMIT["claim_slots"], slots=wanted).fetchall())
        self._own(claimed)
        return claimed

    def _own(self, claimed: Mapping[int, str]) -> None:
        self._fresh |= claimed.keys() - self._owned
        self._owned |= claimed.keys()
        self.claimed += claimed.values()

    def give(self, slots: Mapping[str, float]) -> None:
        """Give slots away. ``slots``: key → seconds before another run may claim it."""
        keys, seconds = list(slots), list(slots.values())
        for (slot,) in self.execute(COMMIT["give_slots"], keys=keys, seconds=seconds):
            self._owned.discard(slot)

    def _lease(self, counts: Mapping[int, int], keys: Mapping[int, str]) -> list[LeasedRow]:
        slots = [slot for slot in counts if self._any_owner or slot in self._owned]
        if not slots:
            return []
        numbers = [counts[slot] for slot in slots]
        rows = self._find("lease_requests", slots=slots, counts=numbers)
        return [_leased_row(columns[:-1], keys[columns[-1]]) for columns in rows]

    def lease_suspect(self, now: float) -> LeasedRow | None:
        """Lease the suspect that was found first, of those that this run may have."""
        columns = self._find("lease_suspect", any_owner=self._any_owner).fetchone()
        if columns is None:
            return None
        *rest, key, claimed = columns
        if claimed is not None:
            self._own({claimed: key})
        return _leased_row(rest, key)

    def count_suspects(self) -> int:
        """How many suspects this run can lease now."""
        cursor = self._find("count_suspects", any_owner=self._any_owner)
        return int(cursor.fetchall()[0][0])

    def pending(self, slots: Mapping[int, int]) -> dict[str, int]:
        """Slot key → number of rows that this run can lease now."""
        values = {"slots": list(slots), "any_owner": self._any_owner}
        return dict(self._find("pending", **values).fetchall())


def _leased_row(columns: Sequence[Any], slot: str) -> LeasedRow:
    row, identity, *rest = columns
    return as_leased(row, bytes(identity), rest, slot)
