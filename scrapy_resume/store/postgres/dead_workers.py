"""Detects workers that have died, and has their rows taken back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from scrapy_resume.ports.clock import elapsed_seconds
from scrapy_resume.store.postgres.recovery import (
    SITE_SECONDS,
    clock_was_set_back,
    end_dead_run,
    live_runs,
)
from scrapy_resume.store.postgres.statements import OPENING

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Opening
    from scrapy_resume.store.postgres.tables import PostgresTables

LOOKS: Final = 4
"""How often a run looks for dead runs within the orphan timeout."""

OUT_SHARE: Final = 0.5
"""Share of the orphan timeout: after so long without an answer of the server, other runs may have
had none either."""

LEAP_SECONDS: Final = 2.0
"""A server's clock that has moved by more than this against the time that has passed was set."""


class Watch:
    """Detects dead runs of the job, for one run of it.

    A run without heartbeats counts as dead only if the server was reachable. A run that had no
    answer from the server for long, or finds that the server's clock has leapt (its machine was
    asleep), waits for a whole orphan timeout before it counts silent runs as dead.
    """

    def __init__(self, run: int, opening: Opening) -> None:
        self._run = run
        self._crash_limit = opening.crash_limit
        self._orphan_seconds = opening.orphan_seconds
        self._free_seconds = max(opening.slot_delay_seconds, SITE_SECONDS)
        self._look_at = elapsed_seconds() + self._pause()
        self._patient_until = 0.0
        self._heard: tuple[float, float] | None = None
        """When the server last answered: (on this process's monotonic clock, on the server's)."""
        self._hearing = (0.0, 0.0)

    def _pause(self) -> float:
        return self._orphan_seconds / LOOKS * random.uniform(0.5, 1.5)

    def note_clock(self, asked_at: float, tables: PostgresTables) -> None:
        """A transaction has begun that was requested at ``asked_at``, on the monotonic clock."""
        self._hearing = (asked_at, tables.now)
        if self._heard is None:
            return
        here, there = (now - before for now, before in zip(self._hearing, self._heard, strict=True))
        if max(here, there) > self._orphan_seconds * OUT_SHARE:
            self._patient_until = asked_at + self._orphan_seconds
        if abs(there - here) > LEAP_SECONDS:
            tables.execute(OPENING["shift_minutes"], minutes=round((there - here) / 60))
            tables.execute(OPENING["settle_minutes"])
            tables.execute(OPENING["shift_run"], leap=there - here)
        if there < here - LEAP_SECONDS:
            clock_was_set_back(tables, self._free_seconds)

    def committed(self) -> None:
        """The transaction was committed."""
        self._heard = self._hearing

    def end_dead_runs(self, tables: PostgresTables, *, idle: bool) -> bool:
        """End runs that have died and take back their rows; returns whether there were any.

        Looks ``LOOKS`` times within the orphan timeout, and always if the run is idle. No two
        runs end the same one.
        """
        now = elapsed_seconds()
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
