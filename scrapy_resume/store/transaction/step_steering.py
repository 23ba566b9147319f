"""Steps of items that a command opens again, or gives up: which ones, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import OPEN_STEPS, Counts, StepState
from scrapy_resume.store.contract import SteeredSteps, StepSelection
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.parking import CRASH
from scrapy_resume.store.transaction.steering import in_portions
from scrapy_resume.store.transaction.step_filters import TROUBLED_STEPS
from scrapy_resume.store.transaction.step_tables import Stepped, StepRow, StepTables
from scrapy_resume.store.transaction.steps import Steps
from scrapy_resume.store.transaction.storable_text import storable
from scrapy_resume.store.transaction.units import UnitTables

ENDED_STEPS: Final = frozenset(StepState) - OPEN_STEPS
GIVEN_UP: Final = "skipped"
"""The error of a step that a command has given up, as of a request."""


def steps_to_retry(selection: StepSelection) -> StepSelection:
    """The selection, with the states that can be opened again. Raises ``ConfigurationError``.

    Without a state: failed and parked ones; of items that are named, or that are selected by what
    they lack or by the version of a step, those that have ended in any way.
    """
    named = selection.keys is not None or selection.missing or selection.version is not None
    usual = ENDED_STEPS if named else TROUBLED_STEPS
    return _of(selection, usual, ENDED_STEPS, "retried")


def steps_to_skip(selection: StepSelection) -> StepSelection:
    """The selection, with the states that can be given up. Raises ``ConfigurationError``."""
    return _of(selection, TROUBLED_STEPS, TROUBLED_STEPS, "skipped")


def steps_to_steer(selection: StepSelection, to: StepState) -> StepSelection:
    """The selection of what becomes ``pending`` or ``skipped``. Raises ``ConfigurationError``."""
    if to is StepState.pending:
        return steps_to_retry(selection)
    return replace(steps_to_skip(selection), is_consumed=False)


def _of(
    selection: StepSelection,
    usual: frozenset[StepState],
    possible: frozenset[StepState],
    what: str,
) -> StepSelection:
    if not selection.name:
        raise ConfigurationError("No step is named: give its name.")
    states = selection.states or tuple(sorted(usual))
    for state in states:
        if state not in possible:
            names = ", ".join(StepState(one).name for one in sorted(possible))
            raise ConfigurationError(
                f"Steps that are {StepState(state).name} cannot be {what}; those that are {names} "
                "can."
            )
    return replace(selection, states=tuple(states))


class SteeringTables(Protocol):
    """The statements of a backend, within the current transaction."""

    @property
    def steps(self) -> StepTables:
        """The statements about steps."""

    def find(self, selection: StepSelection, after: int, count: int) -> list[int]:
        """The first ``count`` items above an id of which the step is selected; without those that
        are left alone since the step's fields were consumed."""

    def count_consumed(self, selection: StepSelection) -> int:
        """How many are left alone for that reason."""

    def steer_steps(self, rows: Sequence[tuple[int, str | None, int, int]], crash: str) -> None:
        """Change the states of steps, as (state, error, item, kind): without attempts and delays.
        What error a step has is kept if none is given, unless it is ``crash``. What it gave is not
        carried over to another version of its item."""

    def count_job(self, opened: int) -> None:
        """So many steps are open that were not: the job's counter and its status."""


def count_steered(tables: SteeringTables, selection: StepSelection, to: StepState) -> SteeredSteps:
    """What ``steer_steps`` would do."""
    selection = steps_to_steer(selection, to)
    total = in_portions(partial(tables.find, selection), len, selection.limit)
    return SteeredSteps(total, _consumed(tables, selection))


def steer_steps(
    tables: SteeringTables,
    units: UnitTables,
    selection: StepSelection,
    to: StepState,
    now: float,
) -> SteeredSteps:
    """Open the selected steps again (``pending``), or give them up (``skipped``), within the
    current transaction; see ``Store.steer_steps``."""
    selection = steps_to_steer(selection, to)
    consumed = _consumed(tables, selection)
    steering = StepSteering(tables, units, selection, to, now)
    total = in_portions(partial(tables.find, selection), steering.steer, selection.limit)
    steering.write_counters()
    if total:
        tables.count_job(steering.opened)
    return SteeredSteps(total, consumed)


def _consumed(tables: SteeringTables, selection: StepSelection) -> int:
    return tables.count_consumed(selection) if selection.is_consumed else 0


class StepSteering(Steps):
    """What a command does to the steps of one name."""

    def __init__(
        self,
        tables: SteeringTables,
        units: UnitTables,
        selection: StepSelection,
        to: StepState,
        now: float,
    ) -> None:
        self._counters = Tally(Counts(), 0, 0)
        super().__init__(tables.steps, units, self._counters, 0, now)
        self._steering = tables
        self._selection = selection
        self._to = to
        self._after: frozenset[int] | None = None

    @property
    def opened(self) -> int:
        """By how much the number of open steps has changed."""
        return self._counters.steps_open

    def steer(self, ids: Sequence[int]) -> int:
        """Change the step of these items; how many, since others may have changed some."""
        items = {item.id: item for item in self._tables.items(ids)}
        steps: dict[int, dict[int, StepRow]] = defaultdict(dict)
        for row in self._tables.steps_of(ids):
            steps[row.item][row.kind] = row
        name = storable(self._selection.name or "")
        (kind,) = self._names.known((name,)).values()
        changes: list[tuple[int, str | None, int, int]] = []
        kept = []
        for item in items.values():
            step = steps[item.id].get(kind)
            if step is not None and step.state in self._selection.states:
                changes.append(self._changed(item, step, steps[item.id]))
                open_ = sum(one.state in OPEN_STEPS for one in steps[item.id].values())
                self._in_units[item.request][0] += bool(open_) - bool(item.open)
                kept.append((item._replace(open=open_), False, None))
        if changes:
            self._steering.steer_steps(changes, CRASH)
            self._tables.keep_items(kept)
        return len(changes)

    def _changed(
        self, item: Stepped, row: StepRow, rows: dict[int, StepRow]
    ) -> tuple[int, str | None, int, int]:
        was_partial = _is_partial(rows)
        to = self._to
        if to is StepState.pending and any(
            rows[kind].state in OPEN_STEPS for kind in self._kinds_after() & rows.keys()
        ):
            to = StepState.waiting
        self._move(row, to)
        rows[row.kind] = row._replace(state=int(to), not_before=0.0, suspect=0)
        self._in_units[item.request][1] += _is_partial(rows) - was_partial
        error = None if self._to is StepState.pending else GIVEN_UP
        return (int(to), error, row.item, row.kind)

    def _kinds_after(self) -> frozenset[int]:
        if self._after is None:
            names = [storable(name) for name in self._selection.after]
            self._after = frozenset(self._names.known(names).values())
        return self._after


def _is_partial(rows: dict[int, StepRow]) -> bool:
    return any(row.state in TROUBLED_STEPS for row in rows.values())
