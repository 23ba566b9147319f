"""Logs a line for each named unit that ends in a run, and knows which ones are in work.

Only units that ``meta["resume_unit"]`` has named have a line: a start request that is a unit of its
own has none, since there may be a million of them. Where very many small units are named, lines are
summed up: see ``LINES_A_SECOND``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from scrapy_resume.reporting.progress import shown_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scrapy import Request

    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.store.contract import EndedUnit

logger = logging.getLogger("scrapy_resume")

LINES_A_SECOND: Final = 10
"""Of more units that end in one second only the number is logged."""


class UnitLog:
    """The lines of one run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = 0
        self._lines = 0
        self._unsaid = 0

    def ended(self, units: Iterable[EndedUnit]) -> None:
        """A commit has ended these units."""
        for unit in units:
            self.tick()
            if self._lines >= LINES_A_SECOND:
                self._unsaid += 1
                continue
            self._lines += 1
            logger.info("unit %s", line_of(unit))

    def tick(self) -> None:
        """Log how many units were left out in the seconds before, if any were."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
            self.say_rest()

    def say_rest(self) -> None:
        """Log how many units were left out so far, if any were."""
        if self._unsaid:
            logger.info("and %d more units have ended: scrapy resume units", self._unsaid)
            self._unsaid = 0


def line_of(unit: EndedUnit) -> str:
    """``FORD F-150: 2 pages, 100 items``, with what failed."""
    parts = [_counted(unit.done, "page"), _counted(unit.items, "item")]
    if unit.failed:
        parts.append(f"{unit.failed} failed")
    if unit.parked:
        parts.append(f"{unit.parked} parked")
    if unit.items_failed:
        parts.append(f"{_counted(unit.items_failed, 'item')} lost")
    return f"{shown_unit(unit.name)}: {', '.join(parts)}"


def units_in_work(dispatched: Mapping[Request, Row]) -> Sequence[str]:
    """The named units of the requests that the engine holds, in the order of dispatch."""
    return list(dict.fromkeys(row.unit for row in dispatched.values() if isinstance(row.unit, str)))


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
