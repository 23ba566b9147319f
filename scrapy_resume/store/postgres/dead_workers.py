"""How a run looks after the others: which of them have died, and when that can be told at all."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from scrapy_resume.store.postgres.recovery import SITE_SECONDS, end_dead_run, live_runs
from scrapy_resume.store.postgres.statements import OPENING

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Opening
    from scrapy_resume.store.postgres.tables import PostgresTables

LOOKS: Final = 4
"""How often within the orphan timeout a run looks for those that have died."""

OUT_SHARE: Final = 0.5
"""Of the orphan timeout: after so long without an answer, others may have had none either."""

SET_BACK_SECONDS: Final = 2.0
"""A server's clock that is behind by more than this was set back."""


class Watch:
    """Of one run, over those that are on the job with it.

    Silence is a sign of death only if there was somebody to talk to. A run that was without an
    answer for long, or finds that the server's clock has leapt (its machine was asleep), gives
    the others the time of a whole timeout to be heard again.
    """

    def __init__(self, run: int, opening: Opening) -> None:
        self._run = run
        self._crash_limit = opening.crash_limit
        self._orphan_seconds = opening.orphan_seconds
        self._free_seconds = max(opening.slot_delay_seconds, SITE_SECONDS)
        self._look_at = time.monotonic() + self._pause()
        self._patient_until = 0.0
        self._heard: tuple[float, float] | None = None
        """When the server last answered: (here, by its own clock)."""
        self._hearing = (0.0, 0.0)

    def _pause(self) -> float:
        return self._orphan_seconds / LOOKS * random.uniform(0.5, 1.5)

    def hear(self, asked_at: float, tables: PostgresTables) -> None:
        """A transaction has begun that was asked for at that time, on the monotonic clock."""
        self._hearing = (asked_at, tables.now)
        if self._heard is None:
            return
        here, there = (now - before for now, before in zip(self._hearing, self._heard, strict=True))
        if max(here, there) > self._orphan_seconds * OUT_SHARE:
            self._patient_until = asked_at + self._orphan_seconds
        if there < here - SET_BACK_SECONDS:
            tables.execute(OPENING["set_clock_back"])
            free_at = tables.now + self._free_seconds
            tables.execute(OPENING["free_slots_earlier"], free_at=free_at)

    def keep(self) -> None:
        """The transaction was kept."""
        self._heard = self._hearing

    def see_to_the_dead(self, tables: PostgresTables, *, idle: bool) -> bool:
        """Take back what runs that have died held; no two runs do it for the same one. Returns
        whether there were any. Looks now and then, and always if the run is idle."""
        now = time.monotonic()
        if not idle and now < self._look_at:
            return False
        self._look_at = now + self._pause()
        silent: set[int] = set()
        if now >= self._patient_until:
            silent = {number for number, _ in tables.execute(OPENING["silent_runs"])}
        found = False
        for run in live_runs(tables):
            if run.number == self._run or not (run.number in silent or run.is_gone):
                continue
            tables.execute(OPENING["hold_open_job"])
            if end_dead_run(tables, run, self._crash_limit, others_go_on=True) is not None:
                found = True
        return found
