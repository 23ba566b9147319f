"""What a transaction does to units: collected by unit, and written once, at its end.

The counts of a unit are written in the transaction that changes its requests: so they are exact
after any death, and reading them does not read the requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from scrapy_resume.model import Kind, State, UnitState, unit_state
from scrapy_resume.store.contract import Committed, EndedUnit


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
    """Of the request that failed, was parked or lost items last."""
    error_message: str | None = None
    items_open: int = 0
    """Items of which a step has not ended."""


Trouble = tuple[str | None, str | None]
"""An error's class name, and its message."""

NO_TROUBLE: Final[Trouble] = (None, None)


class TallyChange(NamedTuple):
    """By how much the number of units in a state changes."""

    units: int
    named: int
    """Those of them that ``meta["resume_unit"]`` has named."""


class UnitChange:
    """What a transaction does to one unit."""

    __slots__ = (
        "attempts",
        "cursor",
        "ended",
        "items",
        "items_failed",
        "items_open",
        "states",
        "trouble",
    )

    def __init__(self) -> None:
        self.states = [0] * len(State)
        """By how much its requests change, by ``State``."""
        self.items = 0
        self.items_failed = 0
        self.items_open = 0
        """By how much its items change of which a step is open."""
        self.attempts = 0
        self.ended = 0
        """How many of its requests have ended."""
        self.cursor: int | None = None
        self.trouble: Trouble | None = None

    def end(self, row: int, state: int, trouble: Trouble) -> None:
        """An open request has ended."""
        states = self.states
        states[State.leased] -= 1
        states[state] += 1
        self.ended += 1
        if state == State.done:
            self.cursor = row
        if state != State.ignored and trouble != NO_TROUBLE:
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
        items_open = row.items_open + self.items_open
        first_at, last_at = row.first_at, row.last_at
        if self.ended:
            first_at, last_at = now if first_at is None else first_at, now
        error, message = (row.error, row.error_message) if self.trouble is None else self.trouble
        return UnitRow(
            unit=row.unit,
            state=unit_state(open_ + items_open, done, failed, parked, ignored, items_failed),
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
            items_open=items_open,
        )


class UnitChanges:
    """Changes by unit; items that ``start()`` yielded belong to no unit."""

    def __init__(self) -> None:
        self._changes: dict[int, UnitChange] = {}
        self.ends: list[tuple[int, int]] = []
        """Requests that have ended, and their states, in order."""
        self.started: list[int] = []
        """Units of whose requests one has ended for the first time."""
        self.completed: list[int] = []
        """Units that have no open request any more."""
        self.named_ends: list[UnitRow] = []
        """Those of them that have a name, as the transaction leaves them."""
        self.named_pages = 0
        """Requests of named units that have ended."""
        self.named_changed = False
        """The number of named units in some state has changed."""

    def end(
        self, unit: UnitChange, kind: int, row: int, state: int, trouble: Trouble = NO_TROUBLE
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
    def cursor(self) -> int | None:
        """The request that was done last; ``None``: none was."""
        return next((row for row, state in reversed(self.ends) if state == State.done), None)

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

    def change_unit_tally(self, changes: Mapping[int, TallyChange]) -> None:
        """State of a unit → by how much the number of units in it changes."""

    def unit_names(self, units: Sequence[int]) -> dict[int, str]:
        """The names of named units, by their ids as in requests (below 0)."""

    def named_tally(self) -> dict[int, int]:
        """How many named units are in each state."""

    def count_units(self, units: int, unit_pages: int, named_pages: int) -> None:
        """The run has ended so many named units more, of which so many requests have ended; and so
        many requests of named units."""


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
    named: Counter[int] = Counter()
    for unit in units:
        was = before.get(unit) or UnitRow(unit)
        row = changes[unit].applied_to(was, now)
        rows.append(row)
        if changes[unit].ended and was.first_at is None:
            tables.units.started.append(unit)
        if unit < 0:
            tables.units.named_pages += changes[unit].ended
        if _completes(changes[unit], row):
            tables.units.completed.append(unit)
            if unit < 0:
                tables.units.named_ends.append(row)
        if row.state != was.state:
            has_name = unit < 0
            if was.state is not None:
                moved[was.state] -= 1
                named[was.state] -= has_name
            if row.state is not None:
                moved[row.state] += 1
                named[row.state] += has_name
    tables.keep_units(rows)
    tally = {
        state: TallyChange(change, named[state])
        for state, change in moved.items()
        if change or named[state]
    }
    if tally:
        tables.change_unit_tally(tally)
        tables.units.named_changed = any(named.values())


def _completes(change: UnitChange, row: UnitRow) -> bool:
    """Whether the transaction has ended what was open of a unit last: a request, or a step."""
    return bool(change.ended or change.items_open < 0) and not row.open and not row.items_open


def answer_units(tables: UnitTables, committed: Committed, *, wanted: bool) -> None:
    """Count the named units that the transaction has ended, and answer with them; with the number
    of named units in each state if that has changed, or if it is ``wanted``.

    To be called after ``settle_units``, by the transaction of a batch.
    """
    committed.units = _ended_units(tables)
    committed.named_pages = tables.units.named_pages
    if committed.named_pages:
        unit_pages = sum(unit.pages for unit in committed.units)
        tables.count_units(len(committed.units), unit_pages, committed.named_pages)
    if wanted or tables.units.named_changed:
        tally = tables.named_tally()
        committed.named_units = {UnitState(state): count for state, count in tally.items()}


def _ended_units(tables: UnitTables) -> list[EndedUnit]:
    rows = sorted(tables.units.named_ends, key=lambda row: -row.unit)  # as they were found
    if not rows:
        return []
    names = tables.unit_names([row.unit for row in rows])
    return [
        EndedUnit(
            name=names[row.unit],
            done=row.done,
            failed=row.failed,
            parked=row.parked,
            ignored=row.ignored,
            items=row.items,
            items_failed=row.items_failed,
        )
        for row in rows
    ]
