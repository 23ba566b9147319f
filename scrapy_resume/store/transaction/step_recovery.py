"""Recovery of steps: those that a run held when it ended become pending again."""

from __future__ import annotations

from scrapy_resume.model import StepState
from scrapy_resume.store.transaction.parking import CRASH, Death
from scrapy_resume.store.transaction.step_tables import (
    KindTally,
    StepEnd,
    StepRow,
    StepTables,
    mark_of,
)
from scrapy_resume.wording import counted


def recover_steps(tables: StepTables, death: Death, now: float) -> None:
    """Take back the steps that were leased, within the current transaction.

    One that ran alone when the process died is parked by the run that leases it next: only a run
    can say what becomes visible of its item then (``LeasedStep.condemned``).
    """
    rows = tables.orphaned_steps()
    if not rows:
        return
    ends = [_end_of(row, death) for row in rows]
    changes: dict[int, KindTally] = {}
    for row, end in zip(rows, ends, strict=True):
        change = changes.setdefault(row.kind, KindTally())
        change.move(-1, StepState.running)
        change.move(1, StepState.pending, suspect=end.suspect)
    tables.change_tally(changes)
    tables.recover_steps(ends)
    tables.end_uses([(row.item, row.kind) for row in rows], now)


def _end_of(row: StepRow, death: Death) -> StepEnd:
    mark = mark_of(row.item, row.kind)
    ran = mark in death.marks
    crashes = row.crashes + (ran and death.blames)
    suspect = int(bool(row.suspect) or (ran and crashes >= death.crash_limit))
    error, message = row.error, row.message
    if ran and death.blames and mark == death.alone_id:
        error = CRASH
        message = (
            f"the process died {counted(crashes, 'time')} while it ran, the last time while it ran "
            "alone"
        )
    return StepEnd(row.attempts + ran, crashes, suspect, error, message, row.item, row.kind)
