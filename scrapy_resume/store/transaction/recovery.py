"""Recovery: what becomes of the rows that a run held when it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scrapy_resume.model import Phase, State
from scrapy_resume.store.contract import Recovered
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.tables import OrphanedRow, RecoveryOutcome, Tables

CRASH: Final = "crash"
PATIENCE: Final = 20
"""Crashes beyond the limit after which a suspect is parked although the process died before the
site answered each time: the request itself may be what kills it."""


@dataclass(frozen=True)
class Death:
    """How the previous run ended, and which of its requests may have caused it."""

    marks: Mapping[int, Phase] = field(default_factory=dict)
    """Rows that the engine held. Empty after a graceful end."""
    alone_id: int = 0
    """The suspect that ran alone then; 0: none did."""
    crash_limit: int = 3
    blames: bool = True
    """False: the process was not ended by what it did (a takeover by force)."""


def recovery_outcome(row: OrphanedRow, death: Death) -> RecoveryOutcome:
    """Pending, as a suspect after too many crashes; parked if it crashed while it ran alone."""
    phase = death.marks.get(row.id)
    if phase is None:
        return RecoveryOutcome(State.pending, attempts=0, crashes=row.crashes, suspect=row.suspect)
    if not death.blames:
        return RecoveryOutcome(State.pending, attempts=1, crashes=row.crashes, suspect=row.suspect)
    crashes = row.crashes + 1
    if row.id == death.alone_id and (
        phase is Phase.answered or crashes >= death.crash_limit + PATIENCE
    ):
        message = (
            f"the process died {crashes} times while it was in flight, the last time while it "
            "ran alone"
        )
        return RecoveryOutcome(
            State.parked,
            attempts=1,
            crashes=crashes,
            suspect=1,
            error=CRASH,
            error_message=message,
        )
    suspect = int(bool(row.suspect) or crashes >= death.crash_limit)
    return RecoveryOutcome(State.pending, attempts=1, crashes=crashes, suspect=suspect)


def recover(tables: Tables, tally: Tally, death: Death, now: float) -> Recovered:
    """Take back the leased rows, within the current transaction; delete provisional items."""
    rows = tables.orphaned_rows()
    recovered = Recovered(requests=len(rows))
    ends = []
    for row in rows:
        end = recovery_outcome(row, death)
        tally.leave(State.leased, row.kind, row.slot, row.suspect, row.not_before)
        tally.enter(end.state, row.kind, row.slot, end.suspect, row.not_before)
        if end.attempts or end.state is State.parked:
            unit = tables.units.of(row.unit, row.kind)
            unit.attempts += end.attempts
            if end.state is State.parked:
                trouble = end.error, end.error_message
                tables.units.end(unit, row.kind, row.id, end.state, trouble)
                recovered.parked += 1
        ends.append((row, end))
    if ends:
        tables.recover(ends, now)
    tables.empty_spills()
    return recovered


def supersede_every_run(tables: Tables, tally: Tally, run: int, now: float) -> None:
    """Requests of earlier runs that are fetched once in each run are ignored from here on."""
    rows = tables.old_every_run(run)
    for row in rows:
        tally.leave(State.pending, row.kind, row.slot, row.suspect, row.not_before)
        tally.enter(State.ignored, row.kind, row.slot, row.suspect, row.not_before)
        unit = tables.units.of(row.unit, row.kind)
        tables.units.end(unit, row.kind, row.id, State.ignored)
    if rows:
        tables.supersede([row.id for row in rows], now)
