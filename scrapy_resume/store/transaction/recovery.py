"""Recovery: the rows that a run held when it ended become pending again, or are parked."""

from __future__ import annotations

from scrapy_resume.model import Kind, State
from scrapy_resume.store.contract import Recovered
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.parking import Death, recovery_outcome
from scrapy_resume.store.transaction.step_recovery import recover_steps
from scrapy_resume.store.transaction.tables import Tables


def recover(tables: Tables, tally: Tally, death: Death, now: float) -> Recovered:
    """Take back the leased rows, within the current transaction; delete provisional items."""
    rows = tables.orphaned_rows()
    recovered = Recovered(
        requests=len(rows),
        in_flight=sum(row.id in death.marks and row.kind == Kind.request for row in rows),
    )
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
    recover_steps(tables.steps, death, now)
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
