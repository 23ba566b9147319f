"""The statements that lease rows of a job's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scrapy_resume.store.contract import LeasedRow, Wish
from scrapy_resume.store.contract.waits import FOR_EVER
from scrapy_resume.store.sqlite.statements import COMMIT, IDENTITY, OPENING, RETRIED, Statements
from scrapy_resume.store.transaction.tables import DueRow, as_leased


class SqliteLeases(Statements):
    """See ``Leases``."""

    def __init__(self, *, only_retried: bool = False) -> None:
        self._only_retried = only_retried
        self._leasing = RETRIED if only_retried else COMMIT

    def due(self, now: float, count: int) -> list[DueRow]:
        """Delayed rows whose time has come, those that waited longest first."""
        return [DueRow(*columns) for columns in self._run(COMMIT["due_requests"], (now, count))]

    def next_due(self) -> float:
        """When the first delayed row is due; 0: none is delayed."""
        found = self._run(self._leasing["next_due"]).fetchall()
        return float(found[0][0]) if found else 0.0

    def count_delayed(self, all_rows: int) -> int:
        """How many rows are delayed that this run may lease later."""
        return self._number(RETRIED["count_delayed"]) if self._only_retried else all_rows

    def open_slots(self) -> dict[str, int]:
        """Slot key → number of rows that can be leased, without slots that have none."""
        statement = RETRIED["open_slots"] if self._only_retried else OPENING["open_slots"]
        return dict(self._run(statement).fetchall())

    def bound_delays(self, bound: float) -> None:
        """Have rows that are delayed beyond that time wait until then, unless their host waits for
        longer."""
        if bound < FOR_EVER:
            self._run(OPENING["bound_delays"], {"bound": bound})

    def end_delays(self, rows: Sequence[int]) -> None:
        """Delayed rows can be leased from here on."""
        self._run_many(COMMIT["end_delay"], [(row,) for row in rows])

    def lease(self, wishes: Sequence[tuple[Wish, int]], now: float) -> list[LeasedRow]:
        """Lease the first rows of slots, wish after wish."""
        leased: list[LeasedRow] = []
        for wish, slot in wishes:
            cursor = self._run(self._leasing["lease_requests"], (slot, max(wish.count, 0)))
            rows = [_leased_row(columns, wish.slot) for columns in cursor.fetchall()]
            self._run_many(COMMIT["take"], [(now, row.id) for row in rows])
            leased += rows
        return leased

    def lease_suspect(self, now: float) -> LeasedRow | None:
        """Lease the suspect that was found first."""
        columns = self._run(self._leasing["lease_suspect"]).fetchone()
        if columns is None:
            return None
        row = _leased_row(columns[:-1], columns[-1])
        self._run(COMMIT["take"], (now, row.id))
        return row

    def count_suspects(self) -> int:
        """How many suspects this run can lease now."""
        return self._number(self._leasing["count_suspects"])

    def pending(self, slots: Mapping[int, int]) -> dict[str, int]:
        """Slot key → number of rows that can be leased now; writes the number of each slot."""
        pending = {}
        for slot, change in slots.items():
            if change:
                cursor = self._run(COMMIT["change_slot"], (change, slot))
            else:
                cursor = self._run(COMMIT["slot_pending"], (slot,))
            # fetchall: a RETURNING that is not read to its end keeps the statement open.
            ((key, count),) = cursor.fetchall()
            if self._only_retried:
                ((key, count),) = self._run(RETRIED["slot_pending"], (slot,)).fetchall()
            pending[key] = count
        return pending


def _leased_row(columns: Sequence[Any], slot: str) -> LeasedRow:
    row, head, tail, *rest = columns
    return as_leased(row, IDENTITY.pack(head, tail), rest, slot)
