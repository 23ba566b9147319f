"""What becomes of the rows that a run held when it ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from scrapy_resume.model import Phase, State
from scrapy_resume.store.queries import load_queries
from scrapy_resume.store.sqlite_tally import Tally

OPENING: Final = load_queries("sqlite", "opening.sql")

CRASH: Final = "crash"
PATIENCE: Final = 20
"""Crashes beyond the limit after which a suspect is parked even though each time the process
died before the site answered: the request itself may be what kills it."""


@dataclass(frozen=True)
class Death:
    """How the run before ended, as far as its requests may be blamed for it."""

    marks: Mapping[int, Phase] = field(default_factory=dict)
    """Rows that the engine held. Empty after a graceful end."""
    alone_id: int = 0
    """The suspect that ran alone then; 0: none did."""
    crash_limit: int = 3
    blames: bool = True
    """False: the process was not ended by what it did (a takeover by force)."""


class LeasedThen(NamedTuple):
    """The columns of the statement ``leased_rows``."""

    id: int
    kind: int
    slot: int
    suspect: int
    not_before: float
    crashes: int


class Fate(NamedTuple):
    """What becomes of a row; in the order of the statement ``recover``."""

    state: State
    attempts: int
    """How many are added."""
    crashes: int
    suspect: int
    error: str | None = None
    error_message: str | None = None


def fate(row: LeasedThen, death: Death) -> Fate:
    """Pending again, as a suspect after too many crashes; parked if it crashed while alone."""
    phase = death.marks.get(row.id)
    if phase is None:
        return Fate(State.pending, 0, row.crashes, row.suspect)
    if not death.blames:
        return Fate(State.pending, 1, row.crashes, row.suspect)
    crashes = row.crashes + 1
    if row.id == death.alone_id and (
        phase is Phase.answered or crashes >= death.crash_limit + PATIENCE
    ):
        message = (
            f"the process died {crashes} times while it was in flight, the last time while it "
            "ran alone"
        )
        return Fate(State.parked, 1, crashes, 1, CRASH, message)
    suspect = int(bool(row.suspect) or crashes >= death.crash_limit)
    return Fate(State.pending, 1, crashes, suspect)


@dataclass
class Recovered:
    """How many rows a recovery brought back, and how many of them it parked."""

    rows: int = 0
    parked: int = 0


def recover(connection: sqlite3.Connection, tally: Tally, death: Death, now: float) -> Recovered:
    """Take back what is leased, within the transaction at hand; provisional items end too."""
    rows = [LeasedThen(*columns) for columns in connection.execute(OPENING["leased_rows"])]
    recovered = Recovered(rows=len(rows))
    changes = []
    for row in rows:
        end = fate(row, death)
        tally.leave(State.leased, row.kind, row.slot, row.suspect, row.not_before)
        tally.enter(end.state, row.kind, row.slot, end.suspect, row.not_before)
        recovered.parked += end.state is State.parked
        changes.append((int(end.state), *end[1:], now, row.id))
    connection.executemany(OPENING["recover"], changes)
    connection.execute(OPENING["empty_spill"])
    return recovered


def supersede_every_run(connection: sqlite3.Connection, tally: Tally, run: int, now: float) -> None:
    """Requests that are fetched once in each run are not owed by later ones."""
    rows = connection.execute(OPENING["old_every_run"], (run,)).fetchall()
    for _, kind, slot, suspect, not_before in rows:
        tally.leave(State.pending, kind, slot, suspect, not_before)
        tally.enter(State.ignored, kind, slot, suspect, not_before)
    connection.executemany(OPENING["supersede"], [(now, row[0]) for row in rows])


def keep_tally(connection: sqlite3.Connection, tally: Tally) -> None:
    """Write the counters of the job and of its slots."""
    connection.executemany(OPENING["change_slot"], _changes(tally.slots.items()))
    connection.execute(OPENING["keep_recovered"], vars(tally.counts()))


def _changes(slots: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(change, slot) for slot, change in slots if change]
