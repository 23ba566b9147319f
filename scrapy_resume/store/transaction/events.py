"""Events: stored in the commit that makes them true, until they are delivered.

Only events that somebody listens to are stored. The exception are those of an opening: it is not
known then who will listen.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.model import State
from scrapy_resume.store.contract import (
    END_OWED,
    Batch,
    Continuation,
    Described,
    EventNote,
    LogNotes,
)
from scrapy_resume.store.transaction.units import UnitChanges

REQUEST_EVENTS: Final[Mapping[int, str]] = {
    State.done: "request_finished",
    State.ignored: "request_finished",
    State.failed: "request_failed",
    State.parked: "request_parked",
}
UNIT_STARTED: Final = "unit_started"
UNIT_COMPLETED: Final = "unit_completed"

AT_OPENING: Final = frozenset({"request_parked", UNIT_STARTED, UNIT_COMPLETED})
"""The events of a recovery, beside that of the opening."""


class EventTables(Protocol):
    """The part of ``Tables`` that events need."""

    units: UnitChanges

    def describe_requests(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Requests by id, in the keys of ``requests --json``."""

    def describe_units(self, units: Sequence[int]) -> list[dict[str, Any]]:
        """Units, in the keys of ``units --json``."""

    def add_event(self, payload: str) -> int:
        """Keep events until they are delivered; returns their id."""

    def delete_events(self, events: Sequence[int]) -> None:
        """Delete events that were delivered."""


def keep_events(
    tables: EventTables, wanted: Collection[str], notices: Sequence[Mapping[str, Any]] = ()
) -> list[EventNote]:
    """Store the wanted events that the transaction has made true: ``notices`` first, units that
    have started before their requests, those that are completed after them.

    To be called after ``settle_units``.
    """
    events: list[dict[str, Any]] = [dict(notice) for notice in notices]
    if wanted:
        events += _of_units(tables, UNIT_STARTED, tables.units.started, wanted)
        events += _of_requests(tables, wanted)
        events += _of_units(tables, UNIT_COMPLETED, tables.units.completed, wanted)
    if not events:
        return []
    return [EventNote(tables.add_event(json.dumps(events)), events)]


def _of_units(
    tables: EventTables, name: str, units: Sequence[int], wanted: Collection[str]
) -> list[dict[str, Any]]:
    if not units or name not in wanted:
        return []
    return [{"event": name, "unit": unit} for unit in tables.describe_units(units)]


def log_notes(tables: EventTables, batch: Batch) -> LogNotes | None:
    """What only the store knows of a batch, if the run keeps an event log.

    To be called after ``settle_units``.
    """
    if not batch.events.logged:
        return None
    rows = [finish.id for finish in batch.finishes]
    rows += [arrival.id for arrival in batch.arrivals if isinstance(arrival, Continuation)]
    notes = LogNotes()
    if rows:
        found = tables.describe_requests(rows)
        notes.requests = {
            row: Described(request["unit"], request["callback"]) for row, request in found.items()
        }
    if tables.units.started:
        units = tables.describe_units(tables.units.started)
        notes.units_started = [unit["unit"] for unit in units]
    if tables.units.completed:
        notes.units_completed = tables.describe_units(tables.units.completed)
    return notes


def _of_requests(tables: EventTables, wanted: Collection[str]) -> list[dict[str, Any]]:
    ends = [(row, REQUEST_EVENTS[state]) for row, state in tables.units.ends]
    ends = [(row, event) for row, event in ends if event in wanted]
    if not ends:
        return []
    found = tables.describe_requests([row for row, _ in ends])
    return [{"event": event, "request": found[row]} for row, event in ends if row in found]


def opened(run: int, crashed: bool, recovered: int, parked: int) -> list[dict[str, Any]]:
    """The events of an opening."""
    events: list[dict[str, Any]] = [
        {"event": "job_opened" if run == 1 else "job_resumed", "run": run}
    ]
    if crashed:
        events.append(
            {"event": "job_recovered", "run": run, "recovered": recovered, "parked": parked}
        )
    return events


def closed(run: int, status: str, reason: str) -> list[dict[str, Any]]:
    """The event of a closing."""
    return [{"event": "job_closed", "run": run, "status": status, "reason": reason}]


def end_owed(run: int, process: str) -> list[dict[str, Any]]:
    """The event that the process which has completed the job still has to end its crawl."""
    return [{"event": END_OWED, "run": run, "process": process}]


def noted(rows: Sequence[Sequence[Any]]) -> list[EventNote]:
    """Notes out of the store's rows (id, payload). Raises ``StoreDamagedError`` for what is no list
    of events."""
    return [EventNote(number, _events(number, payload)) for number, payload in rows]


def _events(number: int, payload: str) -> list[dict[str, Any]]:
    try:
        events = json.loads(payload)
    except (ValueError, RecursionError):
        events = None
    if not isinstance(events, list) or not all(
        isinstance(event, dict) and isinstance(event.get("event"), str) for event in events
    ):
        raise StoreDamagedError(
            f"the event {number} of the job cannot be read; restore the job from a backup"
        )
    return events
