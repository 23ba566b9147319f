"""Events that are kept with the commit that made them true, until somebody was told of them.

Nothing is kept that nobody wants, but for what an opening does: nobody can say then who will
listen.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from scrapy_resume.model import State
from scrapy_resume.store.contract import EventNote
from scrapy_resume.store.transaction.units import UnitChanges

REQUEST_EVENTS: Final[Mapping[int, str]] = {
    State.done: "request_finished",
    State.ignored: "request_finished",
    State.failed: "request_failed",
    State.parked: "request_parked",
}
UNIT_EVENT: Final = "unit_completed"

AT_OPENING: Final = frozenset({"request_parked", UNIT_EVENT})
"""What a recovery tells, beside that the job was opened."""


class EventTables(Protocol):
    """Of ``Tables``, what events need."""

    units: UnitChanges

    def describe_requests(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Requests by id, in the keys of ``requests --json``."""

    def describe_units(self, units: Sequence[int]) -> list[dict[str, Any]]:
        """Units, in the keys of ``units --json``."""

    def add_event(self, payload: str) -> int:
        """Keep events until they are told; returns their id."""

    def forget_events(self, events: Sequence[int]) -> None:
        """They were told."""


def keep_events(
    tables: EventTables, wanted: Collection[str], notices: Sequence[Mapping[str, Any]] = ()
) -> list[EventNote]:
    """Keep what the transaction has made true and somebody wants to know; after
    ``settle_units``. ``notices`` come first."""
    events: list[dict[str, Any]] = [dict(notice) for notice in notices]
    if wanted:
        events += _of_requests(tables, wanted)
        if tables.units.completed and UNIT_EVENT in wanted:
            found = tables.describe_units(tables.units.completed)
            events += [{"event": UNIT_EVENT, "unit": unit} for unit in found]
    if not events:
        return []
    return [EventNote(tables.add_event(json.dumps(events)), events)]


def _of_requests(tables: EventTables, wanted: Collection[str]) -> list[dict[str, Any]]:
    ends = [(row, REQUEST_EVENTS[state]) for row, state in tables.units.ends]
    ends = [(row, event) for row, event in ends if event in wanted]
    if not ends:
        return []
    found = tables.describe_requests([row for row, _ in ends])
    return [{"event": event, "request": found[row]} for row, event in ends if row in found]


def opened(run: int, crashed: bool, recovered: int, parked: int) -> list[dict[str, Any]]:
    """What an opening makes true."""
    events: list[dict[str, Any]] = [
        {"event": "job_opened" if run == 1 else "job_resumed", "run": run}
    ]
    if crashed:
        events.append(
            {"event": "job_recovered", "run": run, "recovered": recovered, "parked": parked}
        )
    return events


def closed(run: int, status: str, reason: str) -> list[dict[str, Any]]:
    """What a closing makes true."""
    return [{"event": "job_closed", "run": run, "status": status, "reason": reason}]


def noted(rows: Sequence[Sequence[Any]]) -> list[EventNote]:
    """(id, payload) as the store has them."""
    return [EventNote(number, json.loads(payload)) for number, payload in rows]
