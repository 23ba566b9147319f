"""What a transaction does to units: collected by unit, and written once, at its end.

The counts of a unit are written in the transaction that changes its requests: so they are exact
after any death, and reading them does not read the requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from scrapy_resume.model import Kind, State, unit_state


class UnitRow(NamedTuple):
    """A unit as it is stored."""

    unit: int
    """As a request's: the id of the unit's root, or minus the id of its name."""
    state: int | None = None
    """Of ``UnitState``; ``None``: it has no requests."""
    open: int = 0
    done: int = 0
    failed: int = 0
    parked: int = 0
    ignored: int = 0
    items: int = 0
    items_failed: int = 0
    attempts: int = 0
    first_at: float | None = None
    """When the first of its requests ended; ``None``: none has."""
    last_at: float | None = None
    cursor: int | None = None
    """The row that was done last."""
    error: str | None = None
    """Of the request that failed, or was parked, last."""
    error_message: str | None = None


Trouble = tuple[str | None, str | None]
"""An error's class name, and its message."""


class UnitChange:
    """What a transaction does to one unit."""

    __slots__ = ("attempts", "cursor", "ended", "items", "items_failed", "states", "trouble")

    def __init__(self) -> None:
        self.states = [0] * len(State)
        """By how much its requests change, by ``State``."""
        self.items = 0
        self.items_failed = 0
        self.attempts = 0
        self.ended = False
        self.cursor: int | None = None
        self.trouble: Trouble | None = None

    def end(self, row: int, state: int, trouble: Trouble) -> None:
        """An open request has ended."""
        states = self.states
        states[State.leased] -= 1
        states[state] += 1
        self.ended = True
        if state == State.done:
            self.cursor = row
        elif state != State.ignored:
            self.trouble = trouble

    def admit(self) -> None:
        """An open request was added, leased or not."""
        self.states[State.pending] += 1

    def steer(self, state: int, to: State, count: int, items_failed: int) -> None:
        """``count`` of its requests become pending, parked or skipped by a command."""
        self.states[state] -= count
        self.states[to] += count
        if to is State.pending:
            self.items_failed -= items_failed

    def applied_to(self, row: UnitRow, now: float) -> UnitRow:
        """The unit as the transaction leaves it."""
        pending, leased, done, failed, parked, ignored = self.states
        open_, done = row.open + pending + leased, row.done + done
        failed, parked, ignored = row.failed + failed, row.parked + parked, row.ignored + ignored
        items_failed = row.items_failed + self.items_failed
        first_at, last_at = row.first_at, row.last_at
        if self.ended:
            first_at, last_at = now if first_at is None else first_at, now
        error, message = (row.error, row.error_message) if self.trouble is None else self.trouble
        return UnitRow(
            unit=row.unit,
            state=unit_state(open_, done, failed, parked, ignored, items_failed),
            open=open_,
            done=done,
            failed=failed,
            parked=parked,
            ignored=ignored,
            items=row.items + self.items,
            items_failed=items_failed,
            attempts=row.attempts + self.attempts,
            first_at=first_at,
            last_at=last_at,
            cursor=row.cursor if self.cursor is None else self.cursor,
            error=error,
            error_message=message,
        )


class UnitChanges:
    """Changes by unit; items that ``start()`` yielded belong to no unit."""

    def __init__(self) -> None:
        self._changes: dict[int, UnitChange] = {}
        self.ends: list[tuple[int, int]] = []
        """Requests that have ended, and their states, in order."""
        self.completed: list[int] = []
        """Units that have no open request any more."""

    def end(
        self, unit: UnitChange, kind: int, row: int, state: int, trouble: Trouble = (None, None)
    ) -> None:
        """An open row of a unit has ended."""
        unit.end(row, state, trouble)
        if kind == Kind.request:
            self.ends.append((row, state))

    def of(self, unit: int, kind: int) -> UnitChange:
        """The change of a unit, to be added to; that of rows that are no requests is dropped."""
        if kind != Kind.request:
            return UnitChange()
        change = self._changes.get(unit)
        if change is None:
            change = self._changes[unit] = UnitChange()
        return change

    @property
    def attempts(self) -> int:
        """By how much the attempts of all requests change, so far."""
        return sum(change.attempts for change in self._changes.values())

    def take(self) -> dict[int, UnitChange]:
        """Take the changes that were collected so far, to write them."""
        changes, self._changes = self._changes, {}
        return changes


class UnitTables(Protocol):
    """The part of ``Tables`` that units need."""

    units: UnitChanges
    """What the transaction does to units; written by ``settle_units``, at its end."""

    def units_of(self, rows: Sequence[int]) -> dict[int, int]:
        """The units of requests, by row; rows that are no requests are left out."""

    def hold_units(self, units: Sequence[int]) -> dict[int, UnitRow]:
        """Those of these units (in order) that exist, locked against other workers."""

    def keep_units(self, rows: Sequence[UnitRow]) -> None:
        """Write units as the transaction leaves them, new ones too, in order."""

    def change_unit_tally(self, changes: Mapping[int, int]) -> None:
        """State of a unit → by how much the number of units in it changes."""


def settle_units(tables: UnitTables, now: float) -> None:
    """Write what the transaction has done to units.

    The last step of a transaction: other workers may wait for the units that it locks here, so it
    must not wait for them any more.
    """
    changes = tables.units.take()
    if not changes:
        return
    units = sorted(changes)
    before = tables.hold_units(units)
    rows = []
    moved: Counter[int] = Counter()
    for unit in units:
        was = before.get(unit) or UnitRow(unit)
        row = changes[unit].applied_to(was, now)
        rows.append(row)
        if changes[unit].ended and not row.open:
            tables.units.completed.append(unit)
        if row.state != was.state:
            if was.state is not None:
                moved[was.state] -= 1
            if row.state is not None:
                moved[row.state] += 1
    tables.keep_units(rows)
    tally = {state: change for state, change in moved.items() if change}
    if tally:
        tables.change_unit_tally(tally)
