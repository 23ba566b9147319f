"""Parking: a request that was in flight in too many crashes runs alone, and is parked if the
process dies then too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from scrapy_resume.model import Phase, State
from scrapy_resume.store.transaction.tables import OrphanedRow, RecoveryOutcome
from scrapy_resume.wording import counted

CRASH: Final = "crash"
PATIENCE: Final = 20
"""Crashes beyond the limit after which a suspect is parked although the process died before the
site answered each time: the request itself may be what kills it."""


class Death(Struct, frozen=True):
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
            f"the process died {counted(crashes, 'time')} while it was in flight, the last time "
            "while it ran alone"
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
