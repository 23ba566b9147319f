"""How far the named units of a job have come. No I/O.

Only units that ``meta["resume_unit"]`` has named are counted: progress by start requests that are
their own units is the progress of requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from scrapy_resume.model import UnitState

FEWEST_UNITS: Final = 2
"""Progress by a single unit says nothing."""

ENDED_STATES: Final = (
    UnitState.completed,
    UnitState.partial,
    UnitState.failed,
    UnitState.parked,
)
"""No request of such a unit is open."""


class UnitProgress(NamedTuple):
    """Named units: how many there are, and how many have ended or not begun."""

    total: int
    completed: int
    """Of those that have ended, without a failure."""
    ended: int
    waiting: int
    """None of their requests has ended."""

    def text(self, per_hour: float | None) -> str:
        """``12/522 units, 43.1 units/hour``; ``per_hour``: ``None`` before the first."""
        rate = "" if not per_hour else f", {per_hour:.1f} units/hour"
        return f"{self.ended}/{self.total} units{rate}"


def units_worth(pages: float, ended: int, ended_pages: int) -> float:
    """How many units ``pages`` of named units are, if ``ended`` ones have had ``ended_pages``.

    So units that are in work count with what of them is done: the rate of units is as steady as
    that of pages, and does not fall until the next one ends. 0 before the first has ended.
    """
    return pages * ended / ended_pages if ended_pages else float(ended)


def unit_progress(named: Mapping[UnitState, int]) -> UnitProgress | None:
    """From the number of named units in each state; ``None`` if there are fewer than two."""
    total = sum(named.values())
    if total < FEWEST_UNITS:
        return None
    return UnitProgress(
        total=total,
        completed=named.get(UnitState.completed, 0),
        ended=sum(named.get(state, 0) for state in ENDED_STATES),
        waiting=named.get(UnitState.pending, 0),
    )
